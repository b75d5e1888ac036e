"""Rollouts by a real supervisor with a real gateway, before model servers that start in no time."""

from __future__ import annotations

import http.server
import json
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deployer.cli.main import cli
from deployer.document.loader import read
from deployer.errors import TurnoutError
from deployer.local import environments
from deployer.local.gateway_process import Gateway, Options
from deployer.local.rollouts import Keep
from deployer.local.state_folder import StateFolder
from deployer.local.supervisor import Route, Supervisor
from deployer.rollout import checkpoint as keeping
from deployer.rollout.state import Phase
from gateway.contract import route_table
from tests.fakes.turnout import WITH_FAKES, Turnout, until

KEY = "default/digits"


@pytest.fixture
def turnout(tmp_path: Path) -> Iterator[Turnout]:
    with Turnout(tmp_path, WITH_FAKES) as running:
        yield running


def document(turnout: Turnout, *numbers: int, replicas: int = 1, **rollout: Any) -> str:
    """Writes a document with these versions, the first stable, the second its canary, and gives its path."""
    scaling = {"minReplicas": 1, "maxReplicas": 4}
    few = {"margin": 3.0, "negligible": 0.2}  # so that little evidence is enough
    plan = {
        "steps": [20, 50],
        "interval": "1s",
        "bake": "1s",
        "deadline": "1h",
        "objectives": {"errors": few, "rejections": few},
        **rollout,
    }
    first = {"name": f"v{numbers[0]}", "model": f"digits/{numbers[0]}"}
    versions = [
        first | {"autoscaling": {"minReplicas": replicas, "maxReplicas": 4}},
        *({"name": f"v{number}", "model": f"digits/{number}", "autoscaling": scaling} for number in numbers[1:]),
    ]
    traffic = {"stable": f"v{numbers[0]}"} | ({"canary": f"v{numbers[1]}"} if numbers[1:] else {})
    return turnout.document(versions=versions, traffic=traffic, rollout=plan)


def phase(turnout: Turnout, *wanted: str) -> bool:
    return turnout.rollout().get("phase") in wanted


def test_a_good_version_takes_all_the_traffic(turnout: Turnout) -> None:
    turnout.model(1)
    turnout.model(2)
    up = turnout.up(document(turnout, 1, replicas=2))
    turnout.settled()
    with turnout.load() as requests:
        requests.more(10)
        assert "v1 100 %" in turnout.run("apply", document(turnout, 1, 2, replicas=2, steps=[50], bake="5s"))
        until(lambda: phase(turnout, "baking"), "v2 has all traffic")
        assert (turnout.version("v1")["ready"], turnout.version("v2")["ready"]) == (2, 2)
        until(lambda: phase(turnout, "promoted"), "v2 is promoted")
        requests.more(20)
        before = requests.versions["v1"]
        requests.more(50)
        assert requests.versions["v1"] == before
        assert requests.failures == []
    (record,) = turnout.status()["rollouts"]
    assert (record["stable"], record["canary"], record["outcome"]) == ("v1", "v2", "promoted")
    assert turnout.version("v2")["share"] == 100
    turnout.stop(up)


@pytest.mark.slow
def test_a_person_steers_it(turnout: Turnout) -> None:
    turnout.model(1)
    turnout.model(2)
    up = turnout.up(document(turnout, 1, 2, steps=[20, 50], pauses=[{"at": 20}]))
    until(lambda: turnout.version("v1").get("ready") and turnout.gateway_ready(), "v1 serves")
    with turnout.load() as requests:
        until(lambda: "waits for approval" in turnout.rollout().get("paused", ""), "it waits for approval")
        assert "that takes `approve`" in turnout.run("rollout", "resume", "digits", code=1)
        assert turnout.version("v2")["share"] == 20
        with open(turnout.folder / "watched", "wb") as watched:  # no terminal
            watching = turnout.start("status", "--watch", output=watched.fileno())
            until(lambda: "waits for approval" in Path(watched.name).read_text(), "it is shown")
            watching.send_signal(signal.SIGINT)
            assert watching.wait(timeout=60) == 0
        turnout.run("rollout", "approve", "digits")
        until(lambda: phase(turnout, "promoted"), "v2 is promoted")
        turnout.run("rollout", "undo", "digits")
        until(lambda: phase(turnout, "rolled back"), "v1 has the traffic again")
        assert turnout.version("v1")["share"] == 100
        turnout.run("rollout", "retry", "digits")
        until(lambda: "waits for approval" in turnout.rollout().get("paused", ""), "it has begun again")
        answer = json.loads(turnout.run("rollout", "promote", "digits", "--now", "-o", "json"))
        assert "promoted by hand" in answer["rollout"]["reason"]
        until(lambda: phase(turnout, "promoted"), "v2 is promoted again")
        assert requests.failures == []
    assert "promoted by hand" in turnout.run("rollout", "explain", "digits")
    assert [record["outcome"] for record in turnout.status()["rollouts"]] == ["promoted", "undone", "promoted"]
    turnout.stop(up)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes CloudEvents."""

    taken: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        self.taken.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_version_that_crashes_gets_no_request_and_it_is_told(turnout: Turnout) -> None:
    turnout.model(1)
    turnout.model(2, broken="the weights are damaged")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        up = turnout.up(document(turnout, 1, 2, notify=f"http://127.0.0.1:{receiver.server_port}/"))
        until(lambda: turnout.version("v1").get("ready") and turnout.gateway_ready(), "v1 serves")
        with turnout.load() as requests:
            until(lambda: phase(turnout, "rolled back"), "v2 is rolled back")
            requests.more(10)
            assert set(requests.versions) == {"v1"}
            assert requests.failures == []
        until(lambda: "RolledBack" in [taken["data"]["reason"] for taken in Receiver.taken], "it is told")
        receiver.shutdown()
    (record,) = turnout.status()["rollouts"]
    assert "v2 failed 3 times" in record["reason"]
    assert "ended with exit code 1: the weights are damaged" in record["reason"]
    assert "RollingBack" in [taken["data"]["reason"] for taken in Receiver.taken]
    turnout.stop(up)


def test_what_is_kept_is_written_before_the_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in between, the next supervisor knows of the rollout that the route is of."""
    monkeypatch.setattr(environments, "program", lambda runtime: Path(sys.executable))
    monkeypatch.setattr(Gateway, "look", lambda self, now, urgent: False)
    state = StateFolder(tmp_path / "state")
    turnout = Turnout(tmp_path)
    turnout.model(1)
    turnout.model(2)
    state.write_document(read([document(turnout, 1)])[0])
    supervisor = Supervisor(state, Gateway(state, Options()), print)
    supervisor.begin()
    for action in supervisor.plan(supervisor.observe()):
        if isinstance(action, Route):
            supervisor.apply(action)
    state.write_document(read([document(turnout, 1, 2)])[0])
    first, *_, last = (a for a in supervisor.plan(supervisor.observe()) if isinstance(a, Keep | Route))
    assert isinstance(first, Keep)
    assert isinstance(last, Route)
    assert first.decision.checkpoint.rollout is not None
    assert last.table.deployments[0].canary == "v2"


@pytest.mark.slow
def test_it_goes_on_where_a_killed_supervisor_left_it(turnout: Turnout) -> None:
    turnout.model(1)
    turnout.model(2)
    first = turnout.up(document(turnout, 1, 2, pauses=[{"at": 20}]))
    until(lambda: turnout.version("v1").get("ready") and turnout.gateway_ready(), "v1 serves")
    with turnout.load() as requests:
        until(lambda: "waits for approval" in turnout.rollout().get("paused", ""), "it waits for approval")
        first.kill()
        first.wait()
        requests.more(50)
        document(turnout, 1, 2)  # without the pause
        second = turnout.up(str(turnout.folder / "digits.yaml"), ports=False)
        until(lambda: phase(turnout, "promoted"), "v2 is promoted")
        assert requests.failures == []
    assert [record["number"] for record in turnout.status()["rollouts"]] == [1]
    turnout.stop(second)


@pytest.mark.slow
def test_it_goes_on_at_its_step_after_all_was_ended(turnout: Turnout) -> None:
    """A canary that is not up yet, because nothing is, fails no request."""
    turnout.model(1)
    turnout.model(2)
    path = document(turnout, 1, 2, steps=[20, 50], pauses=[{"at": 50}])
    first = turnout.up(path)
    until(lambda: turnout.version("v1").get("ready") and turnout.gateway_ready(), "v1 serves")
    with turnout.load():
        until(lambda: turnout.version("v2").get("share") == 50, "v2 has half")
    turnout.stop(first)
    turnout.model(2, loading="")
    second = turnout.up(path)
    until(lambda: turnout.version("v1").get("ready") and turnout.gateway_ready(), "v1 serves")
    with turnout.load() as requests:
        requests.more(100)
        assert set(requests.versions) == {"v1"}
        (turnout.folder / "digits" / "2" / "loading").unlink()
        until(lambda: turnout.version("v2").get("share") == 50, "v2 has half again")
        assert (turnout.rollout()["number"], turnout.rollout()["step"]) == (1, 1)
        assert requests.failures == []
    turnout.stop(second)


@pytest.mark.parametrize(
    ("phase", "again"),
    [
        (Phase.WARMING, Phase.WARMING),
        (Phase.STEP, Phase.WARMING),
        (Phase.PROMOTING, Phase.PROMOTING),
        (Phase.BAKING, Phase.PROMOTING),
    ],
)
def test_a_canary_that_was_ended_has_no_traffic_before_it_is_ready(
    phase: Phase, again: Phase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "program", lambda runtime: Path(sys.executable))
    monkeypatch.setattr(Gateway, "look", lambda self, now, urgent: False)
    state = StateFolder(tmp_path / "state")
    turnout = Turnout(tmp_path)
    turnout.model(1)
    turnout.model(2)
    state.write_document(read([document(turnout, 1, 2)])[0])
    supervisor = Supervisor(state, Gateway(state, Options()), print)
    supervisor.begin()
    for _ in range(2):  # the route, then the rollout, which needs one
        for action in supervisor.plan(supervisor.observe()):
            if isinstance(action, Route | Keep):
                supervisor.apply(action)
    checkpoint = keeping.read(state.rollout(KEY) or "")
    assert checkpoint.rollout is not None
    with_traffic = replace(
        checkpoint.rollout, phase=phase, entered=1.0, weight=50.0, before=50.0, since=1.0, reason="as it was"
    )
    state.write_rollout(KEY, keeping.write(replace(checkpoint, entered=1.0, rollout=with_traffic)))
    routes = route_table.read(state.routes.read_bytes()).table
    routed = routes.deployments[0].model_copy(update={"weight": 50.0})
    state.routes.write_bytes(route_table.write(routes.model_copy(update={"deployments": (routed,)})))

    second = Supervisor(state, Gateway(state, Options()), print)
    second.begin()
    observed = second.observe()
    assert observed is not None
    assert [(d.stable, d.canary, d.weight) for d in observed.table.deployments] == [("v1", "v2", 0.0)]
    assert (turnout.rollout()["phase"], turnout.rollout()["weight"]) == (again, 0)
    # Its time to get ready begins anew, too: what was started before has been ended.
    assert turnout.rollout()["began"] > "2020"
    assert again is not Phase.WARMING or turnout.rollout()["deadline"] > "2020"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:9090", "http://a:b", "http://a:0", "http://a:99999", "http://[x", "ftp://a", "http://", "http://xn--a"],
)
def test_a_prometheus_without_an_address_is_refused_before_anything_starts(tmp_path: Path, address: str) -> None:
    with pytest.raises(TurnoutError, match="is no address; write one such as"):
        cli.main(["up", "--state", str(tmp_path), "--prometheus", address], standalone_mode=False)
    assert StateFolder(tmp_path).supervisor() is None
