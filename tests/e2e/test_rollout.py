"""Rollouts on this machine, with real processes: a good version is promoted by itself, bad ones are rolled back."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes import faults
from tests.fakes.faults import BODY, FAULTS, NAME, PATH, Fault
from tests.fakes.prometheus import prometheus
from tests.fakes.traffic import Traffic
from tests.fakes.turnout import Turnout, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).resolve().parent / "programs" / "faulty" / "Faulty.py"


def document(fault: str | None, **rollout: Any) -> dict[str, Any]:
    """v1, and unless `fault` is None v2 on trial, which has it."""
    versions: dict[str, dict[str, Any]] = {"v1": {"model": "model"}}
    if fault is not None:
        versions["v2"] = {"model": "model", "env": {"FAULT": fault}}
    return faults.document(versions, **rollout)


@pytest.fixture
def port() -> int:
    """Where Prometheus is, if it is."""
    return free_port()


@pytest.fixture
def turnout(tmp_path: Path, port: int) -> Iterator[Turnout]:
    """With v1 alone."""
    (tmp_path / "model").mkdir()
    shutil.copy(PROGRAM, tmp_path / "model")
    with Turnout(tmp_path) as running:
        running.up(write(running, document(None)), "--prometheus", f"http://127.0.0.1:{port}")
        running.settled(NAME, seconds=240)
        yield running
        print(running.output(), running.status(NAME).get("rollout"))


def write(turnout: Turnout, content: dict[str, Any]) -> str:
    file = turnout.folder / "faulty.json"
    file.write_text(json.dumps(content))
    return str(file)


def begin(turnout: Turnout, fault: str = "", **rollout: Any) -> None:
    turnout.run("apply", write(turnout, document(fault, **rollout)), "--no-wait")


def traffic(turnout: Turnout, rate: float = 50) -> Traffic:
    return Traffic(f"http://127.0.0.1:{turnout.port}{PATH}", BODY, rate=rate)


def rollout(turnout: Turnout) -> dict[str, Any]:
    """How it stands; {} if there is none."""
    return turnout.status(NAME).get("rollout") or {}


def ended(turnout: Turnout, seconds: float = 180) -> dict[str, Any]:
    """Wait for the end of a rollout; its record."""
    return dict(until(lambda: turnout.status(NAME).get("rollouts"), "the rollout is over", seconds)[-1])


def lasted(record: dict[str, Any]) -> float:
    """Seconds."""
    began, over = (datetime.fromisoformat(record[key]) for key in ("began", "ended"))
    return (over - began).total_seconds()


def shares(turnout: Turnout) -> dict[str, float]:
    return {version["name"]: version["share"] for version in turnout.status(NAME)["versions"]}


def seen_by(turnout: Turnout, version: str) -> int:
    """Requests that the gateway has given to the version, for whatever reason but the deployer's own."""
    metrics = httpx.get(f"http://127.0.0.1:{turnout.admin_port}/metrics", trust_env=False).text
    lines = [line for line in metrics.splitlines() if line.startswith("turnout_requests_total")]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if f'version="{version}"' in line))


def test_a_good_version_takes_all_the_traffic_by_itself(turnout: Turnout) -> None:
    with traffic(turnout) as load:
        begin(turnout)
        record = ended(turnout)
        load.more(200)
    print(f"promoted after {lasted(record):.0f} s: {record['reason']}")
    assert record["outcome"] == "promoted"
    assert (record["stable"], record["canary"]) == ("v1", "v2")
    assert load.failures == []
    assert shares(turnout)["v2"] == 100


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_bad_version_loses_its_traffic_by_itself(fault: Fault, turnout: Turnout) -> None:
    with traffic(turnout) as load:
        begin(turnout, fault.name)
        record = ended(turnout)
        until(lambda: shares(turnout)["v1"] == 100, "v1 has all the traffic")
        before = load.answered["v2"]
        load.more(200)
        assert load.answered["v2"] <= before + 20, "the bad version gets traffic still"
    saw = seen_by(turnout, "v2")
    print(
        f"{fault.name}: {record['outcome']} after {lasted(record):.0f} s; {saw} of "
        f"{load.answered.total()} requests saw it, {len(load.failures)} failed: {record['reason']}"
    )
    assert record["outcome"] == "rolled back"
    assert re.search(fault.reason, record["reason"]), record["reason"]
    if fault.harmless:  # what it answers itself, before it is known, no gateway can mend
        assert [failed for failed in load.failures if failed.version != "v2"] == []
    if fault.unseen:
        assert saw == 0


def test_deadlines_that_no_server_keeps_hide_nothing(turnout: Turnout) -> None:
    """Half of all requests fail on both versions, for they wait a millisecond: that is not what decides."""
    impatient = Traffic(
        f"http://127.0.0.1:{turnout.port}{PATH}", BODY, rate=30, headers=lambda number: {"x-turnout-timeout-ms": "1"}
    )
    with traffic(turnout, rate=30) as load, impatient:
        begin(turnout, "errors")
        record = ended(turnout, 300)
    print(f"{record['outcome']} after {lasted(record):.0f} s: {record['reason']}")
    assert record["outcome"] == "rolled back"
    assert re.search(r"errors: .*worse", record["reason"]), record["reason"]
    assert len(impatient.failures) >= 0.9 * impatient.answered.total() > 0
    assert [failed for failed in load.failures if failed.version != "v2"] == []


def middle(turnout: Turnout) -> None:
    """Wait until the canary has traffic."""
    until(lambda: (rollout(turnout).get("evidence") or [{}])[0].get("canaryRequests"), "the canary has traffic", 120)


def test_a_supervisor_and_a_gateway_killed_in_the_middle_change_nothing(turnout: Turnout, port: int) -> None:
    with traffic(turnout) as load:
        begin(turnout)
        middle(turnout)
        turnout.kill()
        load.more(200)  # the gateway serves on
        assert load.failures == []
        turnout.up(str(turnout.folder / "faulty.json"), "--prometheus", f"http://127.0.0.1:{port}")
        middle(turnout)
        os.kill(next(pid for name, pid in turnout.pids().items() if name.startswith("gateway")), signal.SIGKILL)
        record = ended(turnout)
    assert record["outcome"] == "promoted"
    assert record["number"] == 1
    assert shares(turnout)["v2"] == 100


@pytest.mark.tools
def test_while_prometheus_is_away_a_rollout_that_asks_it_holds(turnout: Turnout, port: int, tmp_path: Path) -> None:
    gateway = [f"127.0.0.1:{turnout.admin_port}"]
    with traffic(turnout) as load:
        with prometheus(tmp_path / "prometheus", "turnout-gateway", gateway, port):
            begin(turnout, evidence="prometheus")
            middle(turnout)
        until(lambda: "Prometheus" in " ".join(rollout(turnout)["holdReasons"]), "it is missed")
        held = rollout(turnout)
        load.more(400)
        assert (rollout(turnout)["step"], rollout(turnout)["weight"]) == (held["step"], held["weight"])
        with prometheus(tmp_path / "prometheus", "turnout-gateway", gateway, port):
            record = ended(turnout)
    assert record["outcome"] == "promoted"
    assert load.failures == []
