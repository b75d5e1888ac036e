"""`turnout rollout`, and the commands that move weights by hand, over what a supervisor would have left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from deployer.cli.main import cli
from deployer.document.model import ModelDeployment
from deployer.errors import TurnoutError
from deployer.local.policy.status import Condition, DeploymentStatus, VersionStatus
from deployer.local.state_folder import StateFolder, digest
from deployer.rollout.state import Action, Phase
from deployer.rollout.status import RolloutRecord, RolloutStatus

DOCUMENT = ModelDeployment.model_validate(
    {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits"},
        "spec": {
            "runtime": "tfserving",
            "versions": [{"name": f"v{number}", "model": f"/models/digits/{number}"} for number in (1, 2)],
            "traffic": {"stable": "v1", "canary": "v2"},
            "rollout": {"steps": [5, 25]},
        },
    }
)
RECORD = RolloutRecord(
    number=2,
    stable="v1",
    canary="v2",
    outcome="rolled back",
    reason="errors: 3.00% on the canary",
    began="2026-01-01T00:00:00Z",
    ended="2026-01-01T00:01:00Z",
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    state = StateFolder(tmp_path)
    state.write_document(DOCUMENT)
    with state.supervising():
        yield state


def stands(state: StateFolder, phase: Phase | None, *, order: str | None = None, paused: str = "") -> None:
    """Leave a status with the rollout in this phase."""
    versions = tuple(
        VersionStatus(name=name, role=role, condition=Condition.READY, runtime="tfserving", ready=1, desired=1)
        for name, role in (("v1", "stable"), ("v2", "canary"))
    )
    rollout = RolloutStatus(
        number=3,
        phase=phase or Phase.STEP,
        stable="v1",
        canary="v2",
        step=1,
        steps=(5, 25),
        weight=25,
        began="2026-01-02T00:00:00Z",
        reason="v2 is ready",
        paused=paused,
    )
    status = DeploymentStatus(
        namespace="default",
        name="digits",
        document=digest(DOCUMENT),
        revision=1,
        in_force=True,
        routed=True,
        settled=True,
        versions=versions,
        rollout=rollout if phase is not None else None,
        rollouts=(RECORD,),
        action=order,
    )
    state.write_status(DOCUMENT.key, status)


def run(state: StateFolder, *arguments: str) -> str:
    done = CliRunner().invoke(cli, [*arguments, "--state", str(state.root)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(state: StateFolder, *arguments: str) -> str:
    with pytest.raises(TurnoutError) as refusal:
        run(state, *arguments)
    return str(refusal.value)


def test_an_order_waits_until_it_was_taken(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    stands(state, Phase.STEP)
    looks = []

    def look(seconds: float) -> None:
        """Of the supervisor, between two of the command's: it takes the order at its second."""
        ordered = state.action(DOCUMENT.key)
        assert ordered is not None
        looks.append(ordered.action)
        if len(looks) == 2:
            stands(state, Phase.STEP, order=ordered.token, paused="paused by hand")

    monkeypatch.setattr("time.sleep", look)
    assert run(state, "rollout", "pause", "digits") == "rollout 3, v1 → v2: step 2 of 2, 25 %; paused by hand\n"
    assert looks == [Action.PAUSE, Action.PAUSE]


def test_orders_without_sense_leave_nothing(state: StateFolder) -> None:
    stands(state, Phase.STEP)
    assert "nothing to retry" in refused(state, "rollout", "retry", "digits")
    assert "is not paused" in refused(state, "rollout", "resume", "digits")
    assert "`turnout rollout promote digits --now`" in refused(state, "rollout", "promote", "digits")
    stands(state, None)
    assert "digits has had no rollout" in refused(state, "rollout", "rollback", "digits")
    assert "did you mean digits?" in refused(state, "rollout", "pause", "digit")
    assert state.action(DOCUMENT.key) is None


def test_explain_tells_the_reason_and_what_was_before(state: StateFolder) -> None:
    stands(state, Phase.STEP)
    explained = run(state, "rollout", "explain", "digits")
    assert "v2 is ready" in explained
    assert RECORD.reason in explained
    answer = json.loads(run(state, "rollout", "explain", "digits", "-o", "json"))
    assert (answer["rollout"]["phase"], answer["rollouts"][0]["outcome"]) == ("step", "rolled back")


def test_a_weight_that_a_rollout_moves_is_not_moved_by_hand(state: StateFolder) -> None:
    stands(state, Phase.STEP)
    assert "a rollout moves the weight" in refused(state, "traffic", "digits", "v1=50", "v2=50")
    assert "`turnout rollout rollback digits`" in refused(state, "rollback", "digits")
    assert "`turnout rollout promote digits --now`" in refused(state, "promote", "digits")
    assert state.documents() == [DOCUMENT]


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        (Phase.BAKING, "is not over"),
        (Phase.ROLLED_BACK, "`turnout rollout retry digits` tries it again"),
    ],
)
def test_a_document_overrules_no_rollout(state: StateFolder, phase: Phase, reason: str) -> None:
    stands(state, phase)
    assert reason in refused(state, "promote", "digits")
    assert state.documents() == [DOCUMENT]


def test_the_document_may_say_who_is_stable_once_a_rollout_has_decided(state: StateFolder) -> None:
    stands(state, Phase.PROMOTED)
    run(state, "promote", "digits", "--no-wait")
    traffic = state.documents()[0].spec.traffic
    assert (traffic.stable, traffic.canary) == ("v2", None)


def test_the_status_tells_of_it(state: StateFolder) -> None:
    stands(state, Phase.STEP)
    assert "default/digits: rollout 3, v1 → v2: step 2 of 2, 25 %; v2 is ready" in run(state, "status")
    assert json.loads(run(state, "status", "-o", "json"))["deployments"][0]["rollout"]["weight"] == 25
