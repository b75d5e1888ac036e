"""The demo's load has to see each answer that is not its version's own. The gateway is played by a server of REST."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from examples.demo.clients import APIS, Image
from examples.demo.load import Load, Results, ask_each
from tests.fakes.turnout import until

DIGITS: list[tuple[Image, int]] = [([float(number)] * 64, number) for number in range(10)]
REST = next(api for api in APIS if api.protocol == "tfserving-rest")
VERSION = {"x-turnout-version": "v1"}


def _right(digit: int) -> tuple[int, dict[str, str], bytes]:
    return 200, VERSION, json.dumps({"predictions": [{"classes": digit, "scores": []}]}).encode()


class _Server(ThreadingHTTPServer):
    """`answers[digit]` is the status, the fields and the body for a digit; None ends the connection."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[int, tuple[int, dict[str, str], bytes] | None] = {n: _right(n) for n in range(10)}
        self.asked: list[int] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        digit = int(json.loads(body)["instances"][0][0])
        self.server.asked.append(digit)
        answer = self.server.answers[digit]
        if answer is None:
            self.close_connection = True
            return
        status, fields, content = answer
        self.send_response(status)
        for name, value in {**fields, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    monkeypatch.setattr("examples.demo.load.APIS", [REST])
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _load(server: _Server) -> Load:
    own = ask_each(REST, server.address, DIGITS)
    server.asked.clear()
    return Load(server.address, DIGITS, {("tfserving-rest", "v1"): own})


def test_each_digit_is_asked_once_and_right_answers_raise_no_problem(server: _Server) -> None:
    totals = Results()
    _load(server).each(totals)
    assert sorted(server.asked) == list(range(10))
    assert (totals.problems, totals.wrong) == ([], 0)
    assert totals.answers == {("tfserving-rest", "v1"): 10}
    assert totals.right == {("tfserving-rest", "v1"): 10}


def test_the_digit_that_a_model_takes_for_another_is_no_problem_but_not_right(server: _Server) -> None:
    server.answers[4] = _right(9)
    totals = Results()
    _load(server).each(totals)
    assert (totals.problems, totals.right) == ([], {("tfserving-rest", "v1"): 9})


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (_right(7), "TF-Serving REST, digit 3: not what v1 answers itself"),
        ((200, {}, _right(3)[2]), "TF-Serving REST, digit 3: the answer names no known version: ''"),
        ((503, VERSION, b'{"error":"no"}'), 'TF-Serving REST, digit 3: 503 b\'{"error":"no"}\''),
        (None, "TF-Serving REST, digit 3: RemoteDisconnected Remote end closed connection without response"),
    ],
)
def test_each_other_answer_is_a_problem(
    server: _Server, answer: tuple[int, dict[str, str], bytes] | None, problem: str
) -> None:
    ready = _load(server)
    server.answers[3] = answer
    totals = Results()
    ready.each(totals)
    assert totals.problems == [problem]
    assert totals.wrong == 1


def test_a_flow_goes_on_until_the_block_ends(server: _Server) -> None:
    totals = Results()
    with _load(server).flowing(totals):
        until(lambda: totals.answers.total() > 20, "more than all digits were asked, again and again")
    answered = totals.answers.total()
    assert len(server.asked) == answered
    assert totals.problems == []
