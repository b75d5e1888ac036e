"""Whole rollouts, look by look: who has the traffic, what is kept, and what is told."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from deployer.rollout.analysis.signature import Signature, Tensor
from deployer.rollout.controller import Split
from deployer.rollout.state import Action, Phase
from tests.fakes.rollout import ROLLOUT, RolloutHarness, begun, changed, declared, promoted

SCALED = {"minReplicas": 2, "maxReplicas": 8}

# Without a rollout


def test_without_a_rollout_the_roles_are_the_documents() -> None:
    world = RolloutHarness(declared(rollout=None, traffic={"weight": 30.0, "sticky": {"header": "x-user"}}))
    made = world.look()
    assert made.roles == Split("v1", "v2", 30, "default/digits v1 v2 0")
    assert (made.floors, made.events, made.outdated) == ({}, (), "")
    assert world.split == ("v1", "v2", 30)
    assert world.route is not None
    assert world.route.salt == "default/digits v1 v2 0"


def test_with_a_rollout_and_no_canary_nothing_happens() -> None:
    world = RolloutHarness(declared(canary=None))
    world.looks(3)
    assert world.split == ("v1", None, 0)
    assert world.events == []


# A good version


def test_a_good_version_takes_all_traffic_step_by_step() -> None:
    world = RolloutHarness(declared())
    weights = []
    for _ in range(300):
        world.look()
        weights.append(world.split)
    assert world.rollout.phase is Phase.PROMOTED
    assert [split for split, _ in itertools.groupby(weights)] == [
        ("v1", "v2", 0),
        ("v1", "v2", 5),
        ("v1", "v2", 25),
        ("v1", "v2", 100),
        ("v2", None, 0),
    ]
    assert world.reasons == ["RolloutBegun", "StepBegun", "StepBegun", "Promoting", "Promoted", "Baked"]
    assert "errors: 0.00% of" in world.events[2].message
    (record,) = world.known.history
    assert (record.number, record.stable, record.canary, record.outcome) == (1, "v1", "v2", "promoted")
    assert 0 < record.ended - record.began < 600
    assert [figure.split(":")[0] for figure in record.figures] == ["errors", "rejections"]


def test_after_a_promotion_the_new_one_is_stable_though_the_document_has_the_old_pair() -> None:
    world = promoted()
    world.looks(30)
    assert world.split == ("v2", None, 0)
    assert world.rollout.number == 1
    assert world.last is not None
    assert world.last.outdated == ""


def test_silence_holds_and_is_told_once() -> None:
    world = RolloutHarness(declared(), traffic=0)
    world.looks(1500)
    assert world.split == ("v1", "v2", 5)
    assert world.reasons == ["RolloutBegun", "StepBegun", "Overdue"]
    world.traffic = 20
    world.looks(5)
    assert world.reasons == ["RolloutBegun", "StepBegun", "Overdue"]


# A bad version


def test_a_version_that_errs_is_rolled_back_with_the_figures() -> None:
    world = begun()
    world.rates["v2"] = 0.2
    world.until_phase(Phase.ROLLED_BACK)
    assert world.split == ("v1", "v2", 0)
    assert world.reasons == ["RolloutBegun", "StepBegun", "RollingBack", "RolledBack"]
    assert all("the canary is worse (e-value" in event.message and event.warning for event in world.events[2:])
    (record,) = world.known.history
    assert record.outcome == "rolled back"
    assert record.reason == world.rollout.reason
    world.looks(30)
    assert world.split == ("v1", "v2", 0)
    assert len(world.events) == 4


def test_a_failure_that_comes_late_still_counts() -> None:
    """Of a version that hangs, requests end long after they were assigned, and may be all it got."""
    world = begun()
    assert world.route is not None
    world.looks(5)
    world.traffic = 0
    world.counts["v2", world.route.epoch][1] += 40
    world.until_phase(Phase.ROLLED_BACK)


@pytest.mark.parametrize("phase", [Phase.WARMING, Phase.STEP, Phase.BAKING])
def test_a_canary_that_crashes_again_and_again_is_rolled_back_with_its_reason(phase: Phase) -> None:
    world = RolloutHarness(declared())
    if phase is Phase.WARMING:
        world.ready = {"v1": 1}
    world.more["failures"] = {"v2": (4, "of another time"), "v1": (9, "stable's own")}
    world.until_phase(phase)
    for failures in (5, 6):
        world.more["failures"] = {"v2": (failures, "its server ended with exit code 1"), "v1": (20, "")}
        world.looks(3)
        assert world.rollout.phase is phase
    world.more["failures"] = {"v2": (7, "its server ended with exit code 1")}
    world.until_phase(Phase.ROLLED_BACK)
    assert world.rollout.reason == "v2 failed 3 times since the rollout began, last: its server ended with exit code 1"


def test_failures_are_counted_on_over_a_restart_of_the_target() -> None:
    world = begun()
    for failures in (0, 1, 2, 0, 1):
        world.more["failures"] = {"v2": (failures, "killed")}
        world.looks(2)
    assert "v2 failed 3 times since the rollout began" in world.rollout.reason


OLD = Signature({"x": Tensor("DT_FLOAT", (-1, 4))}, {"y": Tensor("DT_FLOAT", (-1, 1))})
NEW = Signature({"x": Tensor("DT_FLOAT", (-1, 5))}, {"y": Tensor("DT_FLOAT", (-1, 1))})


def test_another_signature_is_refused_before_the_first_weight() -> None:
    world = RolloutHarness(declared())
    world.more["signatures"] = {"v1": OLD, "v2": NEW}
    world.until_phase(Phase.ROLLED_BACK)
    assert "another signature than v1: " in world.rollout.reason
    assert ("v2", 1) not in world.counts or world.counts["v2", 1][0] == 0
    assert world.reasons == ["RolloutBegun", "RollingBack", "RolledBack"]


DEAD = {"v1": (1, "its server ended with exit code 1")}


@pytest.mark.parametrize(
    ("failures", "looks"),
    [
        (DEAD, 5),  # it is not waited for
        ({}, 305),  # it may still be starting: for half of the deadline
    ],
)
def test_a_canary_that_mends_a_stable_that_is_down_gets_its_traffic(
    failures: dict[str, tuple[int, str]], looks: int
) -> None:
    world = RolloutHarness(declared())
    world.ready = {"v1": 0, "v2": 1}
    world.more = {"asked": frozenset({"v2"}), "signatures": {"v2": NEW}, "failures": failures}
    world.until_phase(Phase.WARMING)
    world.looks(looks - 5)
    assert world.split[2] == 0
    world.looks(10)
    assert world.rollout.phase is Phase.STEP
    assert world.split == ("v1", "v2", 5)


def test_once_stable_answers_again_its_signature_is_compared() -> None:
    world = RolloutHarness(declared())
    world.ready = {"v1": 0, "v2": 1}
    world.more = {"asked": frozenset({"v2"}), "signatures": {"v2": NEW}, "failures": DEAD}
    world.until_weight(5)
    world.ready = None
    world.more = {"signatures": {"v1": OLD, "v2": NEW}, "failures": DEAD}
    world.until_phase(Phase.ROLLED_BACK)
    assert "another signature than v1: " in world.rollout.reason


@pytest.mark.parametrize("asked", [{"v1"}, {"v2"}, set()])
def test_a_canary_waits_while_a_server_that_is_there_was_not_asked(asked: set[str]) -> None:
    world = RolloutHarness(declared())
    world.more["asked"] = frozenset(asked)
    world.until_phase(Phase.WARMING)
    world.looks(100)
    assert world.rollout.phase is Phase.WARMING


@pytest.mark.parametrize(
    ("rollout", "signatures"),
    [
        ({**ROLLOUT, "allowSignatureChange": True}, {"v1": OLD, "v2": NEW}),
        (ROLLOUT, {"v1": OLD, "v2": OLD}),
        (ROLLOUT, {"v1": OLD}),
        (ROLLOUT, {}),
    ],
)
def test_a_signature_that_may_be_other_or_is_not_known_passes(
    rollout: dict[str, Any], signatures: dict[str, Signature]
) -> None:
    world = RolloutHarness(declared(rollout=rollout))
    world.more["signatures"] = signatures
    world.until_weight(5)


def test_a_gateway_that_cannot_be_read_holds_until_it_can_but_others_may_roll_back() -> None:
    world = begun()
    world.more["unread"] = ("gateway 2",)
    world.looks(300)
    assert world.split == ("v1", "v2", 5)
    del world.more["unread"]
    world.until_weight(25)
    world.more["unread"] = ("gateway 2",)
    world.rates["v2"] = 0.2
    world.until_phase(Phase.ROLLED_BACK)


def test_evidence_that_none_can_tell_holds_and_is_caught_up_with() -> None:
    world = begun()
    world.more["readings"] = ()
    world.looks(300)
    assert world.split == ("v1", "v2", 5)
    del world.more["readings"]
    world.looks(2)
    assert world.split == ("v1", "v2", 25)


# Replicas


def test_a_weight_waits_for_the_replicas_that_it_needs() -> None:
    world = RolloutHarness(declared(replicas=SCALED))
    world.base = {"v1": 8}
    world.ready = {"v1": 8, "v2": 1}
    world.looks(5)
    assert world.split == ("v1", "v2", 0)  # below its own minimum
    world.ready = {"v1": 8, "v2": 2}
    world.until_weight(5)
    assert world.floors == {"v1": 8}
    world.until(lambda: world.floors.get("v2") == 8)  # of 25 % needs 2, of all needs 8
    world.looks(20)
    assert world.split == ("v1", "v2", 25)
    world.ready = {"v1": 8, "v2": 7}
    world.looks(20)
    assert world.split == ("v1", "v2", 25)
    world.ready = {"v1": 8, "v2": 8}
    world.until_phase(Phase.BAKING)
    assert world.floors == {"v1": 8, "v2": 8}
    world.until_phase(Phase.PROMOTED)
    assert world.floors == {}


def test_stable_keeps_its_replicas_until_the_canary_has_lost_its_traffic() -> None:
    world = RolloutHarness(declared(replicas=SCALED))
    world.base = {"v1": 6}
    world.until_weight(25)
    world.base = {}  # the autoscaler would take some away, as stable has less to do
    world.rates["v2"] = 0.5
    world.until_phase(Phase.ROLLING_BACK)
    world.more["settled"] = False
    world.looks(5)
    assert world.floors == {"v1": 6}
    assert world.split == ("v1", "v2", 0)
    del world.more["settled"]
    world.look()
    assert world.floors == {}


def test_a_canary_at_its_most_replicas_is_large_enough() -> None:
    world = RolloutHarness(declared(replicas={"minReplicas": 1, "maxReplicas": 2}))
    world.base = {"v1": 2}
    small = world.document.spec.versions[1].autoscaling
    assert small is not None
    fixed = world.document.spec.versions[1].model_copy(update={"autoscaling": None})
    versions = (world.document.spec.versions[0], fixed)
    world.document = world.document.model_copy(
        update={"spec": world.document.spec.model_copy(update={"versions": versions})}
    )
    world.until_phase(Phase.PROMOTED)


# Orders


def test_orders_are_taken_once() -> None:
    world = begun()
    world.ask(Action.PAUSE)
    world.looks(200)
    assert world.split == ("v1", "v2", 5)
    assert world.rollout.paused == "paused by hand"
    world.ask(Action.RESUME)
    world.until_weight(25)
    assert world.reasons[2:4] == ["Paused", "Resumed"]
    world.ask(Action.ROLLBACK)
    world.until_phase(Phase.ROLLED_BACK)
    world.looks(5)
    world.ask(Action.RETRY)
    world.until_weight(5)
    assert world.rollout.number == 2
    assert world.route is not None
    world.ask(Action.PROMOTE)
    world.until_phase(Phase.PROMOTED)
    world.ask(Action.UNDO)
    world.until_phase(Phase.ROLLED_BACK)
    assert world.split[0] == "v1"
    assert world.reasons[-2:] == ["Undoing", "Undone"]
    assert [record.outcome for record in world.known.history] == ["rolled back", "promoted", "undone"]
    world.looks(50)
    assert world.split == ("v1", "v2", 0)


def test_an_order_from_before_is_not_taken_by_a_rollout_that_begins() -> None:
    world = RolloutHarness(declared())
    world.ask(Action.PAUSE)
    world.until_weight(5)
    assert world.rollout.paused is None


def test_an_order_that_came_without_a_rollout_is_not_taken_by_the_next() -> None:
    world = promoted()
    with_rollout, world.document = world.document, declared(rollout=None, stable="v2", canary=None)
    world.look()
    world.ask(Action.UNDO)
    world.look()
    world.document = changed(with_rollout, stable="v2", canary=None)
    world.looks(5)
    assert world.split == ("v2", None, 0)


def test_each_attempt_has_cohorts_and_evidence_of_its_own() -> None:
    world = begun(declared(traffic={"sticky": {"header": "x-user"}}))
    assert world.route is not None
    first = world.route.salt
    world.until_weight(25)
    assert world.route.salt == first == "default/digits v1 v2 1"
    world.ask(Action.ROLLBACK)
    world.until_phase(Phase.ROLLED_BACK)
    world.ask(Action.RETRY)
    world.until_weight(5)
    assert world.route.salt == "default/digits v1 v2 2"
    assert world.rollout.evidence[0].canary_requests < 1000
    assert set(world.known.taken.epochs.values()) == {0.05}
