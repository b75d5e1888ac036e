"""Rollouts on the rig of a version with a fault: each is stopped or rolled back by itself, for the right reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.cluster.installed import Installed
from tests.fakes.faults import BODY, FAULTS, NAME, PATH, Fault, document
from tests.fakes.traffic import Traffic
from tests.fakes.turnout import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

IMAGE = {"image": "test/faulty", "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}}


@pytest.fixture(scope="module")
def serving(installed: Installed) -> Iterator[Installed]:
    """v1 alone."""
    installed.apply(document({"v1": IMAGE}))
    installed.settled(NAME)
    yield installed
    installed.remove(NAME)


def rollouts(serving: Installed) -> list[dict[str, Any]]:
    """Those that are over."""
    return list(serving.get("modeldeployment", NAME)["status"].get("rollouts", []))


def lasted(record: dict[str, Any]) -> float:
    """Seconds."""
    began, ended = (datetime.fromisoformat(record[key]) for key in ("began", "ended"))
    return (ended - began).total_seconds()


@pytest.mark.parametrize("fault", [*FAULTS, None], ids=lambda fault: fault.name if fault else "none")
def test_a_version_gets_what_it_is_due(fault: Fault | None, serving: Installed) -> None:
    known = len(rollouts(serving))
    with Traffic(f"http://{serving.address}{PATH}", BODY, rate=50) as load:
        # Each version is one that was not there before.
        name = f"with-{fault.name}" if fault else "good"
        env = {"FAULT": fault.name} if fault else {}
        serving.apply(document({"v1": IMAGE, name: {**IMAGE, "env": env}}))
        until(lambda: len(rollouts(serving)) > known, "the rollout is over", 240)
        record = rollouts(serving)[-1]
        due = "v1" if fault else name
        until(lambda: serving.get("modeldeployment", NAME)["status"]["stable"] == due, f"{due} is stable")
        other = name if fault else "v1"
        before = load.answered[other]
        load.more(200)
        assert load.answered[other] <= before + 100, f"{other} gets traffic still"
    print(
        f"{name}: {record['outcome']} after {lasted(record):.0f} s; {load.answered[name]} of "
        f"{load.answered.total()} answers were its, {len(load.failures)} failed: {record['reason']}"
    )
    if fault is None:
        assert record["outcome"] == "promoted"
        assert load.failures == []
        return
    assert record["outcome"] == "rolled back"
    assert re.search(fault.reason, record["reason"]), record["reason"]
    if fault.harmless:  # what it answers itself, before it is known, no gateway can mend
        assert [failed for failed in load.failures if failed.version != name] == []
    if fault.unseen:
        assert load.answered[name] == 0
