"""A good version goes to all the traffic by itself, under load, whatever is killed on its way there."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from click.testing import CliRunner

from deployer.cli.main import cli
from tests.cluster.installed import RELEASE, SYSTEM, Installed, images
from tests.cluster.load import Load
from tests.cluster.space import is_ready
from tests.fakes.turnout import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAME = "rolled"  # a name of its own: an older deployment elsewhere would get its requests
AWAY = 15.0
"""Seconds that the API server is away: some rounds of the operator's."""
# What hardly fails could not be told from what fails once in a thousand within a test's time.
OBJECTIVE = {"negligible": 0.02}
STEPS = (20, 35, 50)
ROLLOUT = {
    "steps": STEPS,
    "interval": "40s",
    "deadline": "5m",
    "bake": "10s",
    "objectives": {"errors": OBJECTIVE, "rejections": OBJECTIVE, "slow": {"over": "5s", "negligible": 0.05}},
}


def document(*versions: int) -> dict[str, Any]:
    """The first version is stable, the second the canary. Odd ones have the example's first model."""

    def version(number: int) -> dict[str, Any]:
        resources = {"requests": {"cpu": "100m", "memory": "256Mi"}}
        return {"name": f"v{number}", "model": f"models/digits/{2 - number % 2}", "resources": resources}

    roles = dict(zip(("stable", "canary"), (f"v{number}" for number in versions), strict=False))
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "runtime": "tfserving",
            "versions": [version(number) for number in versions],
            "traffic": roles,
            "rollout": ROLLOUT,
        },
    }


@pytest.fixture(scope="module")
def serving(installed: Installed) -> Iterator[Installed]:
    """v1 alone."""
    installed.apply(document(1))
    installed.settled(NAME)
    yield installed
    installed.remove(NAME)


def status(serving: Installed) -> dict[str, Any]:
    found: dict[str, Any] = serving.get("modeldeployment", NAME)["status"]
    return found


def kill(serving: Installed, component: str) -> None:
    """SIGKILL to the first process of each container, and so to all of them; back once others run."""
    before = {pod["metadata"]["name"]: restarts(pod) for pod in pods(serving, component)}
    for name in before:
        (record,) = serving.cluster.folder.glob(f"nodes/*/pods/{SYSTEM}_{name}.json")
        for container in json.loads(record.read_text())["containers"].values():
            os.kill(container["pid"], signal.SIGKILL)

    def again() -> bool:
        found = pods(serving, component)
        return all(restarts(pod) > before[pod["metadata"]["name"]] and is_ready(pod) for pod in found)

    until(again, f"the {component} runs again", 120)


def restarts(pod: Any) -> int:
    return sum(container["restartCount"] for container in pod["status"]["containerStatuses"])


def pods(serving: Installed, component: str) -> list[Any]:
    return serving.list("pods", f"app.kubernetes.io/component={component}", SYSTEM)


def the_operator_is_killed(serving: Installed) -> None:
    kill(serving, "operator")


def the_api_server_is_away(serving: Installed) -> None:
    serving.cluster.stop_api_server()
    try:
        began = time.monotonic()
        until(lambda: time.monotonic() - began > AWAY, "it is away for some rounds")
    finally:
        serving.cluster.start_api_server()


def gateways_are_replaced(serving: Installed) -> None:
    """One after the other, in order: so no request is lost, and all that they have counted is."""
    where = ("--namespace", SYSTEM)
    serving.cluster.kubectl("rollout", "restart", f"deployment/{RELEASE}-gateway", *where)
    serving.cluster.kubectl("rollout", "status", f"deployment/{RELEASE}-gateway", "--timeout", "180s", *where)


def test_a_good_version_goes_to_all_traffic_by_itself_whatever_happens_meanwhile(serving: Installed) -> None:
    with Load(serving.address, images()[0], name=NAME, rate=50) as load:
        serving.apply(document(1, 2))
        until(lambda: status(serving)["weight"] == STEPS[0], "the first weight is in force", 180)
        seen = [STEPS[0]]
        for trouble in (the_operator_is_killed, the_api_server_is_away, gateways_are_replaced):
            trouble(serving)
            assert not status(serving).get("rollouts"), "it is over before all has happened"

        def over() -> bool:
            found = status(serving)
            if found["weight"] not in (seen[-1], 0):
                seen.append(found["weight"])
            return bool(found.get("rollouts"))

        until(over, "the rollout is over", 300)
        answered = load.answered["v2"]
        until(lambda: load.answered["v2"] > answered + 100, "v2 answers")
    assert load.failures == []
    assert seen == sorted(seen), "no step back"
    found = serving.settled(NAME)
    record = found["rollouts"][-1]
    assert (record["outcome"], record["number"], found["stable"]) == ("promoted", 1, "v2")
    assert found.get("canary") is None
    reasons = {event["reason"] for event in serving.list("events") if "v2" in event["message"]}
    assert {"RolloutBegun", "StepBegun", "Promoting", "Promoted", "Baked"} <= reasons
    began, ended = (datetime.fromisoformat(record[word]) for word in ("began", "ended"))
    print(
        f"promoted after {(ended - began).total_seconds():.0f} s; {load.answered['v2']} of {load.sent} answers were its"
    )


def test_a_person_steers_it(serving: Installed) -> None:
    def turnout(*arguments: str) -> str:
        command, *options = arguments
        where = ("--kubernetes", "--kubeconfig", str(serving.cluster.kubeconfig))
        done = CliRunner().invoke(cli, ["rollout", command, NAME, *where, *options])
        assert done.exit_code == 0, done.exception
        return done.output

    number = int(status(serving)["stable"].removeprefix("v"))
    stable, canary = f"v{number}", f"v{number + 1}"
    with Load(serving.address, images()[0], name=NAME, rate=50) as load:
        serving.apply(document(number, number + 1))
        until(lambda: status(serving)["weight"] == STEPS[0], "the first weight is in force", 180)
        assert "paused by hand" in turnout("pause")
        assert serving.condition(NAME, "RolloutPaused")["status"] == "True"
        assert "step" in serving.cluster.kubectl("get", "modeldeployment", NAME)
        turnout("resume")
        assert serving.condition(NAME, "RolloutPaused") == {}
        assert json.loads(turnout("explain", "--output", "json"))["rollout"]["canary"] == canary
        turnout("rollback")
        until(lambda: status(serving)["rollout"]["phase"] == "rolled back", "it is rolled back")
        answered, goal = load.answered[canary], load.answered[stable] + 100
        until(lambda: load.answered[stable] > goal, f"{stable} answers")
        assert load.answered[canary] <= answered + 5, f"{canary} gets traffic still"
    assert load.failures == []
    assert serving.condition(NAME, "RolledBack")["message"] == f"{canary} was rolled back: rolled back by hand"
    assert status(serving)["phase"] == "Degraded"
    # An action on a spec that has changed since is refused.
    generation = serving.get("modeldeployment", NAME)["metadata"]["generation"] - 1
    order = f"turnout.dev/action=retry:{generation}"
    serving.cluster.kubectl("annotate", "--overwrite", "modeldeployment", NAME, order)
    until(lambda: status(serving)["action"].get("refused"), "it is refused")
    assert "ActionRefused" in {event["reason"] for event in serving.list("events")}
