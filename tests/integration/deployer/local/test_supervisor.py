"""A real supervisor with a real gateway, before model servers that start in no time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from deployer.local.state_folder import Record
from tests.fakes.turnout import WITH_FAKES, Load, Turnout, until


@pytest.fixture
def turnout(tmp_path: Path) -> Iterator[Turnout]:
    with Turnout(tmp_path, WITH_FAKES) as running:
        yield running


def document(
    turnout: Turnout,
    *numbers: int,
    stable: str = "v1",
    canary: str | None = None,
    weight: float = 0.0,
    replicas: int = 1,
    most: int | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """Writes a document with these versions (v1 for 1, …) and gives its path."""
    path = turnout.folder / "digits.yaml"
    scaling = {"minReplicas": replicas, "maxReplicas": most or replicas, "target": {"inFlight": 2.0}}
    versions = [
        {"name": f"v{number}", "model": f"digits/{number}", "autoscaling": scaling, "env": env or {}}
        for number in numbers
    ]
    spec = {
        "runtime": "tfserving",
        "versions": versions,
        "traffic": {"stable": stable, "weight": weight} | ({"canary": canary} if canary else {}),
    }
    head = {"apiVersion": "turnout.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "digits"}}
    path.write_text(json.dumps({**head, "spec": spec}))
    return str(path)


def load(turnout: Turnout) -> Load:
    return Load(f"http://127.0.0.1:{turnout.port}/v1/models/digits:predict", {"instances": [[1]]})


def test_it_serves_moves_traffic_and_leaves_nothing(turnout: Turnout) -> None:
    turnout.model(1)
    turnout.model(2, child="")
    up = turnout.up(document(turnout, 1, 2, canary="v2"))
    turnout.settled()
    with load(turnout) as requests:
        requests.more(20)
        assert set(requests.versions) == {"v1"}
        assert json.loads(turnout.run("predict", "digits", "[[1]]", "-o", "json"))["version"] == "v1"
        assert json.loads(turnout.run("predict", "digits", "--version", "v2", "[[1]]")) == {"predictions": [2]}
        assert "v2 100 %" in turnout.run("traffic", "digits", "v1=0", "v2=100")
        before = requests.versions["v1"]
        requests.more(20)
        assert requests.versions["v1"] <= before + 1  # one may have been under way
        turnout.run("rollback", "digits")
        before = requests.versions["v2"]
        requests.more(20)
        assert requests.versions["v2"] <= before + 1
        shown = json.loads(turnout.run("promote", "digits", "-o", "json"))
        assert [(v["name"], v.get("role"), v["share"]) for v in shown["deployments"][0]["versions"]] == [
            ("v1", None, 0),
            ("v2", "stable", 100),
        ]
        before = requests.versions["v1"]
        requests.more(20)
        assert requests.versions["v1"] <= before + 1
        assert requests.failures == []
    listed = json.loads(turnout.run("status", "-o", "json"))
    assert listed["supervisor"] == up.pid
    assert listed["deployments"][0]["versions"][0]["runtime"] == "tfserving (fake)"
    assert "v1.0 | serving" in turnout.run("logs", "digits", "v1")
    written = [json.loads(line) for line in turnout.run("logs", "digits", "v1", "-o", "json").splitlines()]
    assert all((line["version"], line["replica"]) == ("v1", 0) for line in written)
    assert any(line["line"].startswith("serving") for line in written)
    turnout.stop(up)
    assert turnout.left() == []  # not the child of v2's server either, which heeds no TERM
    assert turnout.state.records() == []
    assert turnout.run("status").strip().endswith("nothing runs: `turnout up` starts it")


def test_what_a_killed_supervisor_left_is_taken_over_without_a_failed_request(turnout: Turnout) -> None:
    turnout.model(1)
    turnout.model(2)
    first = turnout.up(document(turnout, 1, 2, canary="v2", weight=50.0))
    turnout.settled()
    pids = turnout.pids()
    with load(turnout) as requests:
        requests.more(10)
        first.kill()
        first.wait()
        requests.more(20)
        document(turnout, 1, 2, 3, canary="v3", weight=50.0)  # v2 goes on without traffic, v3 is new
        turnout.model(3)
        second = turnout.up(str(turnout.folder / "digits.yaml"), ports=False)
        until(lambda: turnout.version("v3").get("share") == 50, "v3 has its share")
        turnout.settled()
        requests.more(20)
        assert requests.failures == []
        assert requests.versions["v3"] > 0
    assert {name: pid for name, pid in turnout.pids().items() if "v3" not in name} == pids
    turnout.stop(second, signal.SIGTERM)
    assert turnout.left() == []


def ended(pid: int) -> bool:
    """Also where whoever adopted it has not yet asked how."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_no_longer_matches_is_replaced_while_it_serves(turnout: Turnout) -> None:
    turnout.model(1)
    turnout.model(2)
    first = turnout.up(document(turnout, 1, 2, canary="v2", weight=50.0))
    turnout.settled()
    pids = turnout.pids()
    with load(turnout) as requests:
        first.kill()
        first.wait()
        second = turnout.up(document(turnout, 1, env={"COLOUR": "blue"}), ports=False)
        until(lambda: not {pids["default.digits.v1.0"], pids["default.digits.v2.0"]} & set(turnout.pids().values()), "")
        turnout.settled()
        requests.more(20)
        assert requests.failures == []
    assert [name for name in turnout.pids() if name != "gateway"] == ["default.digits.v1.1"]
    assert turnout.pids()["gateway"] == pids["gateway"]
    until(lambda: ended(pids["default.digits.v2.0"]), "the one that is wanted no more has ended")
    turnout.stop(second)


def test_a_record_whose_pid_another_program_has_now_harms_nobody(turnout: Turnout) -> None:
    turnout.model(1)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as innocent:
        stale = Record.model_validate(
            {
                "deployment": "default/digits",
                "version": "v1",
                "index": 0,
                "identity": {"marker": "m" * 32, "pid": innocent.pid, "started": 1.0},
                "digest": "d",
                "ports": {"rest": 1, "grpc": 2},
                "ready": True,
            }
        )
        turnout.state.write_record(stale)
        up = turnout.up(document(turnout, 1))
        turnout.settled()
        assert turnout.pids()["default.digits.v1.0"] != innocent.pid
        turnout.stop(up)
        assert innocent.poll() is None
        innocent.kill()


def forgotten(turnout: Turnout, pid: int) -> bool:
    return pid not in turnout.pids().values()


def test_a_killed_replica_leaves_the_table_and_comes_back(turnout: Turnout) -> None:
    turnout.model(1)
    up = turnout.up(document(turnout, 1, replicas=2))
    turnout.settled()
    with load(turnout) as requests:
        for _ in range(3):
            pid = turnout.version("v1")["replicas"][0]["pid"]
            os.kill(pid, signal.SIGKILL)
            until(partial(forgotten, turnout, pid), "the record of the killed one is gone")
            until(lambda: turnout.version("v1").get("ready") == 2, "both are ready again")
        requests.more(20)
        # Each kill may meet one request that was being answered.
        assert len(requests.failures) <= 3
    assert turnout.version("v1")["restarts"] == 3
    turnout.stop(up)


def test_a_gateway_that_dies_is_started_again(turnout: Turnout) -> None:
    turnout.model(1)
    up = turnout.up(document(turnout, 1))
    turnout.settled()
    before = turnout.pids()
    os.kill(before["gateway"], signal.SIGKILL)
    until(lambda: turnout.pids().get("gateway", before["gateway"]) != before["gateway"], "another gateway runs")
    until(turnout.gateway_ready, "it is ready")
    turnout.settled()
    turnout.run("predict", "digits", "[[1]]")
    assert turnout.pids()["default.digits.v1.0"] == before["default.digits.v1.0"]
    turnout.stop(up)
    assert turnout.left() == []


def test_a_version_that_cannot_load_is_told_and_disturbs_no_other(turnout: Turnout) -> None:
    turnout.model(1)
    turnout.model(2, broken="the weights are damaged")
    up = turnout.up(document(turnout, 1, 2, canary="v2", weight=50.0))
    with_reason = "ended with exit code 1: the weights are damaged"
    until(lambda: turnout.version("v2").get("condition") == "Failed", "v2 has failed")
    assert turnout.version("v2")["reason"] == with_reason
    assert turnout.version("v1")["condition"] == "Ready"
    assert turnout.version("v1")["share"] == 100
    until(lambda: "its 50 % stay with v1" in turnout.status()["message"], "it is told where its share went")
    pid = turnout.pids()["default.digits.v1.0"]
    assert with_reason in turnout.run("traffic", "digits", "v1=40", "v2=60", code=1)
    assert "v2 of default/digits isn't ready" in turnout.run("promote", "digits", code=1)
    with load(turnout) as requests:
        requests.more(10)
    assert (set(requests.versions), requests.failures) == ({"v1"}, [])
    (turnout.folder / "digits" / "2" / "broken").unlink()
    turnout.run("apply", document(turnout, 1, 2, canary="v2", weight=50.0))
    assert turnout.version("v2")["share"] == 50
    assert turnout.pids()["default.digits.v1.0"] == pid
    turnout.stop(up)


def test_a_model_folder_that_goes_missing_is_told(turnout: Turnout) -> None:
    turnout.model(1)
    folder = turnout.model(2, broken="x")
    up = turnout.up(document(turnout, 1, 2))
    until(lambda: turnout.version("v2").get("condition") == "Failed", "v2 has failed")
    folder.rename(folder.with_name("away"))
    until(lambda: "no such model" in turnout.version("v2").get("reason", ""), "it is told")
    assert turnout.version("v1")["condition"] == "Ready"
    turnout.stop(up)
    assert "no such model" in turnout.run("up", document(turnout, 1, 2), code=1)


def test_stable_is_replaced_only_once_its_successor_is_ready(turnout: Turnout) -> None:
    turnout.model(1)
    turnout.model(2, loading="")
    up = turnout.up(document(turnout, 1))
    turnout.settled()
    with load(turnout) as requests:
        requests.more(5)
        turnout.run("apply", document(turnout, 2, stable="v2"), "--no-wait")
        until(lambda: "v1 stays stable until v2 is ready" in turnout.status().get("message", ""), "it is said")
        requests.more(20)
        assert set(requests.versions) == {"v1"}
        (turnout.folder / "digits" / "2" / "loading").unlink()
        turnout.run("apply", document(turnout, 2, stable="v2"))
        requests.more(20)
        until(lambda: "default.digits.v1.0" not in turnout.pids(), "v1 has ended")
        requests.more(20)
        assert requests.failures == []
        assert requests.versions["v2"] >= 20
    turnout.stop(up)


def test_a_removed_replica_answers_what_it_has(turnout: Turnout) -> None:
    turnout.model(1)
    slow = turnout.model(2, slow="3")
    up = turnout.up(document(turnout, 1, 2, canary="v2", weight=100.0))
    turnout.settled()
    with load(turnout) as requests:
        pid = turnout.pids()["default.digits.v2.0"]
        until(lambda: len(psutil.Process(pid).net_connections("tcp")) > 2, "a request is at v2")
        turnout.run("apply", document(turnout, 1), "--no-wait")
        until(lambda: requests.versions["v1"] > 5, "v1 answers")
        assert requests.versions["v2"] > 0
        assert requests.failures == []
    until(lambda: "default.digits.v2.0" not in turnout.pids(), "v2 has ended")
    assert slow.exists()
    turnout.stop(up)


def test_replicas_follow_the_requests_in_flight(turnout: Turnout) -> None:
    turnout.model(1, slow="0.5")
    up = turnout.up(document(turnout, 1, most=3))
    turnout.settled()
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(load(turnout)) for _ in range(6)]
        until(lambda: turnout.version("v1")["ready"] == 3, "three replicas for six requests at once")
        loads[0].more(5)
    until(lambda: turnout.version("v1")["ready"] == 1 and len(turnout.pids()) == 2, "one is left without load")
    assert all(requests.failures == [] for requests in loads)
    turnout.stop(up)


def test_deleting_ends_and_forgets(turnout: Turnout) -> None:
    turnout.model(1)
    up = turnout.up(document(turnout, 1))
    turnout.settled()
    assert "did you mean digits?" in turnout.run("delete", "digit", code=1)
    assert "--no-wait has no result" in turnout.run("rollback", "digits", "--no-wait", "-o", "json", code=1)
    assert json.loads(turnout.run("delete", "digits", "-o", "json")) == {"deleted": "default/digits"}
    assert list(turnout.pids()) == ["gateway"]
    assert "no deployment is called digits; there is none yet" in turnout.run("predict", "digits", "[1]", code=1)
    turnout.stop(up)


def test_ports_that_are_taken_are_told_with_who_has_them(turnout: Turnout) -> None:
    turnout.model(1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", turnout.port))
        other.listen()
        up = turnout.up(document(turnout, 1))
        assert up.wait(timeout=60) == 1
    assert f"port {turnout.port} is taken by" in turnout.output()
    assert f"(process {os.getpid()})" in turnout.output()
    assert turnout.left() == []


def test_what_is_watched_goes_on_until_ctrl_c(turnout: Turnout) -> None:
    turnout.model(1)
    up = turnout.up(document(turnout, 1))
    turnout.settled()
    for command, shown in ((["status", "--watch"], b"default/digits"), (["logs", "digits", "-f"], b"serving")):
        terminal, end = os.openpty()
        os.set_blocking(terminal, False)
        output = bytearray()

        def more(terminal: int = terminal, output: bytearray = output, shown: bytes = shown) -> bool:
            with contextlib.suppress(BlockingIOError):
                output.extend(os.read(terminal, 65536))
            return shown in output

        watching = turnout.start(*command, output=end)
        until(more, "something is shown")
        watching.send_signal(signal.SIGINT)
        # Its last words too have to be read: a terminal that is full would hold it up.
        until(lambda watching=watching, more=more: (more(), watching.poll() is not None)[1], "it ends")  # type: ignore[misc]
        assert watching.returncode == 0
        more()
        assert b"Traceback" not in output
        os.close(terminal)
        os.close(end)
    turnout.stop(up)


def test_one_folder_has_one_supervisor_and_commands_need_it(turnout: Turnout) -> None:
    turnout.model(1)
    path = document(turnout, 1)
    for command in (["apply", path], ["traffic", "digits", "v1=100"], ["promote", "digits"], ["rollback", "digits"]):
        assert "start it by `turnout up FILE`" in turnout.run(*command, code=1)
    up = turnout.up(path)
    turnout.settled()
    assert f"process {up.pid}" in turnout.run("up", code=1)
    turnout.stop(up)
