"""Notices, sent to a real receiver over HTTP: retried, bounded, never in the way, and without secrets in the logs."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deployer.rollout.notify.webhook import MOST, Webhooks
from tests.fakes.rest_servers import Script, Server, endless

LONG = 20.0
"""Seconds within which anything has to happen."""


class Receiver:
    """Answers by what is in `answers`, then 204; keeps what it got."""

    def __init__(self) -> None:
        self.answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.got: queue.SimpleQueue[tuple[str, dict[str, str], Any]] = queue.SimpleQueue()
        self.open = threading.Event()
        self.open.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.open.wait(LONG)
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.put((self.path, headers, json.loads(body)))
                self.send_response(204 if receiver.answers.empty() else receiver.answers.get())
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}).start()

    def close(self) -> None:
        self.open.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def notices() -> Iterator[Webhooks]:
    made = Webhooks(pauses=(0.0, 0.0))
    yield made
    made.close()


def event(number: int = 1) -> dict[str, Any]:
    return {"specversion": "1.0", "id": str(number), "source": "/a", "type": "dev.turnout.rollout.promoted"}


def until_said(caplog: pytest.LogCaptureFixture, words: str) -> str:
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        for message in caplog.messages:
            if words in message:
                return message
        time.sleep(0.02)
    raise AssertionError(f"never said {words!r}: {caplog.messages}")


def test_it_arrives_as_a_cloudevent(receiver: Receiver, notices: Webhooks) -> None:
    notices.send(f"http://{receiver.host}/hook?token=t", event())
    path, headers, body = receiver.got.get(timeout=LONG)
    assert (path, body) == ("/hook?token=t", event())
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"


def test_one_whose_answer_has_no_end_keeps_no_other_from_hearing(
    servers: Callable[[Script], Server], receiver: Receiver, notices: Webhooks
) -> None:
    notices.send(f"http://127.0.0.1:{servers(endless).port}/", event(1))
    notices.send(f"http://{receiver.host}", event(2))
    assert receiver.got.get(timeout=LONG)[2] == event(2)


@pytest.mark.parametrize("answer", [429, 500, 503])
def test_what_is_refused_for_now_is_sent_again(receiver: Receiver, notices: Webhooks, answer: int) -> None:
    receiver.answers.put(answer)
    receiver.answers.put(answer)
    notices.send(f"http://{receiver.host}", event())
    assert [receiver.got.get(timeout=LONG)[2] for _ in range(3)] == [event()] * 3


def test_it_is_given_up_after_some_tries(
    receiver: Receiver, notices: Webhooks, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        receiver.answers.put(503)
    notices.send(f"http://{receiver.host}", event())
    until_said(caplog, "dev.turnout.rollout.promoted can't be sent to 127.0.0.1: it answers 503")
    assert receiver.answers.empty()
    notices.send(f"http://{receiver.host}", event(2))
    assert [receiver.got.get(timeout=LONG)[2]["id"] for _ in range(4)] == ["1", "1", "1", "2"]


@pytest.mark.parametrize("answer", [302, 400, 404])
def test_what_is_refused_for_good_is_not_sent_again(
    receiver: Receiver, notices: Webhooks, caplog: pytest.LogCaptureFixture, answer: int
) -> None:
    receiver.answers.put(answer)
    notices.send(f"http://{receiver.host}", event())
    until_said(caplog, f"it answers {answer}")
    notices.send(f"http://{receiver.host}", event(2))
    assert [receiver.got.get(timeout=LONG)[2]["id"] for _ in range(2)] == ["1", "2"]


def test_one_that_is_not_there_keeps_no_other_from_hearing(
    receiver: Receiver, notices: Webhooks, caplog: pytest.LogCaptureFixture
) -> None:
    notices.send("http://127.0.0.1:9", event(1))
    notices.send(f"http://{receiver.host}", event(2))
    assert receiver.got.get(timeout=LONG)[2]["id"] == "2"
    until_said(caplog, "can't be sent to 127.0.0.1: ConnectError")


def test_sending_never_waits_and_what_is_too_much_is_dropped(
    receiver: Receiver, notices: Webhooks, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.open.clear()  # it takes the first, and doesn't answer
    url = f"http://{receiver.host}"
    for number in range(MOST + 20):
        notices.send(url, event(number))
    dropped = [message for message in caplog.messages if message.endswith("is dropped: too many notices wait")]
    assert len(dropped) in (19, 20)
    receiver.open.set()
    got = [receiver.got.get(timeout=LONG)[2]["id"] for _ in range(MOST + 20 - len(dropped))]
    assert got == [str(number) for number in range(len(got))], "those that wait go out in their order"


@pytest.mark.parametrize("answer", [204, 404, 503])
@pytest.mark.parametrize("where", ["http://user:SECRET@{}/SECRET?token=SECRET", "http://[SECRET"])
def test_no_address_is_logged_whole(
    receiver: Receiver, notices: Webhooks, caplog: pytest.LogCaptureFixture, answer: int, where: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(3):
        receiver.answers.put(answer)
    notices.send(where.format(receiver.host), event())
    notices.close()
    assert "SECRET" not in caplog.text
    assert answer == 204 or "can't be sent to" in caplog.text or "[" not in where


def test_closing_sends_what_waits_for_another_try(receiver: Receiver) -> None:
    notices = Webhooks(pauses=(3600.0,))
    receiver.answers.put(503)
    notices.send(f"http://{receiver.host}", event())
    receiver.got.get(timeout=LONG)
    notices.close()
    assert receiver.got.get(timeout=LONG)[2] == event()


def test_closing_does_not_wait_for_one_that_says_nothing(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    notices = Webhooks()
    receiver.open.clear()
    notices.send(f"http://{receiver.host}", event())
    notices.close(timeout=0.1)
    assert "what waits to be sent is given up" in caplog.text
    notices.send(f"http://{receiver.host}", event(2))
    assert "is dropped" in caplog.text
    receiver.open.set()
    assert receiver.got.get(timeout=LONG)[2] == event()


def test_closing_what_never_sent_anything() -> None:
    Webhooks().close()
