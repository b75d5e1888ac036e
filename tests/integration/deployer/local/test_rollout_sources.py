"""Rollouts that people's own metrics, commits and pauses decide, by a real supervisor, gateway and Prometheus' API over
HTTP."""

from __future__ import annotations

import http.server
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.turnout import WITH_FAKES, Turnout, until


class FakePrometheus:
    """It answers one of `values`, as chance will have it; None: 401, as a proxy before it does."""

    def __init__(self) -> None:
        self.values: tuple[float | None, ...] = (None,)
        fake, draw = self, random.Random(5)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                value = draw.choice(fake.values)
                vector = [{"metric": {}, "value": [0, str(value)]}]
                answer = {"status": "success", "data": {"resultType": "vector", "result": vector}}
                body = b"<html>" if value is None else json.dumps(answer).encode()
                self.send_response(401 if value is None else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakePrometheus:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def turnout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turnout]:
    monkeypatch.setenv("TURNOUT_TEST_HASTY", "3600")
    with Turnout(tmp_path, WITH_FAKES) as running:
        for number in (1, 2, 3):
            running.model(number)
        yield running


def document(turnout: Turnout, *numbers: int, **objectives: Any) -> str:
    """Writes a document with these versions, the first stable, the second its canary, and gives its path."""
    few = {"margin": 3.0, "negligible": 0.2}  # so that little evidence is enough
    plan = {
        "steps": [50],
        "interval": "1s",
        "bake": "1s",
        "deadline": "1h",
        "objectives": {"errors": few, "rejections": few, **objectives},
    }
    traffic = {"stable": f"v{numbers[0]}"} | ({"canary": f"v{numbers[1]}"} if numbers[1:] else {})
    versions = [{"name": f"v{number}", "model": f"digits/{number}"} for number in numbers]
    return turnout.document(versions=versions, traffic=traffic, rollout=plan)


def test_a_metric_that_can_not_be_read_holds_and_one_that_flaps_rolls_back(turnout: Turnout) -> None:
    with FakePrometheus() as prometheus:
        up = turnout.up(document(turnout, 1), "--prometheus", prometheus.address)
        turnout.settled()
        accuracy = {"name": "accuracy", "query": "avg(model_error)", "max": 5}
        with turnout.load() as requests:
            turnout.run("apply", document(turnout, 1, 2, metrics=[accuracy]), "--no-wait")
            until(
                lambda: any("401" in reason for reason in turnout.rollout().get("holdReasons", ())), "its cause is told"
            )
            assert turnout.rollout()["phase"] in ("warming", "step")
            prometheus.values = (100.0, 1.0, 100.0)
            until(lambda: turnout.rollout()["phase"] == "rolled back", "it is rolled back")
            assert "accuracy" in turnout.rollout()["reason"]
            assert requests.failures == []
        assert turnout.version("v1")["share"] == 100
        turnout.stop(up)


def test_the_revert_of_a_promotion_is_followed_and_not_tried_again(turnout: Turnout) -> None:
    up = turnout.up(document(turnout, 1))
    turnout.settled()
    with turnout.load() as requests:
        turnout.run("apply", document(turnout, 1, 2), "--no-wait")
        until(lambda: turnout.rollout().get("phase") == "promoted", "v2 is promoted")
        turnout.run("apply", document(turnout, 2))
        turnout.settled()
        turnout.run("apply", document(turnout, 1, 2))
        turnout.settled()
        assert (turnout.version("v1")["share"], turnout.version("v2")["share"]) == (100, 0)
        assert turnout.rollout()["phase"] == "rolled back"
        before = requests.versions["v2"]
        requests.more(100)
        assert requests.versions["v2"] <= before + 1  # one may have been under way
        assert requests.failures == []
    turnout.stop(up)


def test_a_pause_outlasts_a_change_of_the_canary(turnout: Turnout) -> None:
    up = turnout.up(document(turnout, 1))
    turnout.settled()
    turnout.run("apply", document(turnout, 1, 2), "--no-wait")
    until(lambda: turnout.rollout().get("phase") == "step", "v2 has traffic")
    turnout.run("rollout", "pause", "digits")
    turnout.run("apply", document(turnout, 1, 3), "--no-wait")
    until(lambda: turnout.rollout().get("canary") == "v3", "v3 takes its place")
    until(lambda: turnout.version("v3").get("ready") == 1, "v3 is ready")
    assert turnout.rollout()["paused"] == "paused by hand"
    with turnout.load() as requests:
        requests.more(100)
        assert set(requests.versions) == {"v1"}
    turnout.stop(up)
