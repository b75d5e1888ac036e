"""A rollout as the operator conducts it, against a cluster that is played."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.kubernetes.objects.kinds import Id, Object
from deployer.kubernetes.reconcile.actions import Delete, Say
from deployer.rollout.events import Event
from deployer.rollout.state import OVER, Phase
from tests.fakes.cluster import resource
from tests.fakes.rolling_cluster import ROLLOUT, RollingCluster
from tests.unit.deployer.kubernetes.reconcile.test_plan import SCALED, condition


def rolling(rollout: Object = ROLLOUT, **more: Any) -> RollingCluster:
    """v1 serves, and v2 has just been declared."""
    world = RollingCluster(resource(["v1"], canary=None, rollout=rollout, **more))
    world.ready = {"v1"}
    world.settle()
    world.declare(resource(rollout=rollout, **more))
    world.ready = {"v1", "v2"}
    return world


def test_a_good_version_is_promoted_by_itself() -> None:
    world = rolling()
    world.until_phase(Phase.PROMOTED)
    assert world.split == ("v2", None, 0)
    assert (world.status.stable, world.status.canary, world.status.phase) == ("v2", None, "Ready")
    assert world.reasons == [
        *("VersionReady", "RolloutBegun", "VersionReady"),
        *("StepBegun", "StepBegun", "Promoting", "Promoted", "Baked"),
    ]
    (record,) = world.status.rollouts
    assert (record.number, record.stable, record.canary, record.outcome) == (1, "v1", "v2", "promoted")


def test_the_phase_says_that_a_rollout_is_under_way() -> None:
    world = rolling()
    world.until_weight(5)
    assert world.status.phase == "RollingOut"
    assert condition(world, "Ready")[0] == "True"
    assert condition(world, "Progressing") == (
        "True",
        "RolloutUnderWay",
        "rollout 1, of v2 in place of v1: step",
    )


def test_a_bad_version_is_rolled_back_and_the_deployment_says_so() -> None:
    world = rolling()
    world.rates["v2"] = 0.2
    world.until_phase(Phase.ROLLED_BACK)
    assert world.split == ("v1", "v2", 0)
    status, reason, message = condition(world, "RolledBack")
    assert (status, reason) == ("True", "RolledBack")
    assert message.startswith("v2 was rolled back: errors: ")
    assert world.status.phase == "Degraded"
    assert [(one.warning, one.reason) for one in world.events[-2:]] == [(True, "RollingBack"), (True, "RolledBack")]
    # Nobody is told again, and nothing is done.
    before = len(world.events)
    world.look()
    assert (len(world.events), world.plan()) == (before, [])
    # Without the canary all is well again.
    world.declare(resource(["v1"], canary=None, rollout=ROLLOUT))
    world.settle()
    assert (world.status.phase, condition(world, "RolledBack")) == ("Ready", ("", "", ""))


def test_silence_holds_and_is_told() -> None:
    world = rolling()
    world.until_weight(5)
    world.silent = True
    for _ in range(400):
        world.look()
    assert world.split == ("v1", "v2", 5)
    assert condition(world, "RolloutOverdue")[0] == "True"
    assert world.rollout.hold_reasons == ("the gateways can't be asked for evidence",)
    assert world.reasons[-1] == "Overdue"
    world.silent = False
    world.until_phase(Phase.PROMOTED)
    assert condition(world, "RolloutOverdue") == ("", "", "")


def test_a_weight_counts_from_the_moment_that_all_gateways_have_it() -> None:
    world = rolling()
    world.until(lambda: world.split[2] == 5)
    world.lag = 1
    for _ in range(20):
        world.look()
    assert (world.rollout.since, world.split[2]) == (None, 5)
    world.lag = 0
    world.until_phase(Phase.PROMOTED)


def test_a_gateway_that_starts_again_changes_nothing() -> None:
    world = rolling()
    world.until_weight(5)
    for _ in range(3):
        world.look()
    requests = world.rollout.evidence[0].canary_requests
    world.restart()
    world.look(seconds=6)
    assert world.rollout.evidence[0].canary_requests > requests
    world.until_phase(Phase.PROMOTED)


def test_evidence_alone_is_written_now_and_then() -> None:
    world = rolling()
    world.until_weight(5)
    world.look(seconds=6)
    writes, weight = world.status_writes, world.split[2]
    for _ in range(2):
        world.look(seconds=1)
    assert world.status_writes == writes
    world.look(seconds=4)
    assert (world.status_writes, world.split[2]) == (writes + 1, weight)
    assert world.rollout.evidence_time is not None


def test_weight_waits_until_the_signatures_were_asked_for() -> None:
    world = rolling()
    world.asked = frozenset()
    for _ in range(20):
        world.look()
    assert (world.rollout.phase, world.split[2]) == (Phase.WARMING, 0)
    world.asked = frozenset({"v1", "v2"})
    world.until_phase(Phase.STEP)


def test_a_version_that_crashes_is_rolled_back_with_the_last_reason() -> None:
    world = rolling()
    world.ready = {"v1"}
    world.look()
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "no model"}}
    container = {"name": "server", "image": "x:1", "ready": False, "restartCount": 3, "lastState": ended}
    labels = {"turnout.dev/version": "v2"}
    world.look()
    world.pods = [{"metadata": {"labels": labels}, "status": {"containerStatuses": [container]}}]
    world.until_phase(Phase.ROLLED_BACK)
    assert "with exit code 1 (Error): no model" in world.rollout.reason
    assert world.split[2] == 0


def test_stable_keeps_its_replicas_and_the_canary_has_its_own_with_the_weight() -> None:
    world = rolling({**ROLLOUT, "steps": [5, 60]}, v1=SCALED, v2=SCALED)
    world.live[Id("Deployment", "digits-v1")]["spec"]["replicas"] = 5
    world.replicas = 5
    seen: list[tuple[float, ...]] = []

    def floors() -> tuple[float, ...]:
        return world.split[2], *(world.replicas_of(v, "HorizontalPodAutoscaler") for v in ("v1", "v2"))

    world.look()
    while world.rollout.phase is not Phase.PROMOTED:
        if floors() not in seen:
            seen.append(floors())
        world.look()
    assert seen == [(0, 5, 2), (5, 5, 2), (5, 5, 3), (60, 5, 3), (60, 5, 5), (100, 5, 5), (0, 5, 5)]
    world.settle()
    assert floors() == (0, 2, 2)
    # To take away what the canary has now, with all the load, is its autoscaler's.
    assert world.replicas_of("v2") == 5


def test_weight_waits_for_the_replicas_that_it_needs() -> None:
    world = rolling({**ROLLOUT, "steps": [5, 60]}, v1=SCALED, v2=SCALED)
    world.live[Id("Deployment", "digits-v1")]["spec"]["replicas"] = 5
    world.look()
    world.until(lambda: world.replicas_of("v2", "HorizontalPodAutoscaler") == 3)
    for _ in range(10):
        world.look()
    assert world.split[2] == 5
    world.replicas = 3
    world.until_weight(60)


def test_the_old_stable_is_there_until_the_bake_is_over() -> None:
    world = rolling()
    world.until_phase(Phase.BAKING)
    world.declare(resource(["v2"], stable="v2", canary=None, rollout=ROLLOUT))
    deleted: dict[str, Phase] = {}
    for _ in range(40):
        world.now += 2
        world.serve(2)
        for action in world.plan():
            if isinstance(action, Delete):
                deleted.setdefault(str(action.version), world.rollout.phase)
                assert world.status.route is not None
                assert action.version not in world.status.route.by_name
            world.do(action)
    assert deleted == {"v1": Phase.PROMOTED}


def test_orders_are_taken_once_and_refused_where_the_spec_has_changed() -> None:
    world = rolling()
    world.until_weight(5)
    world.annotate("pause:1:a")
    world.look()
    assert world.status.action is not None
    assert world.status.action.refused.startswith("pause was meant for generation 1 of the spec, which is at 2 now")
    assert (world.events[-1].warning, world.events[-1].reason) == (True, "ActionRefused")
    assert world.rollout.paused == ""
    world.annotate("pause:2:b")
    world.look()
    assert world.rollout.paused == "paused by hand"
    assert condition(world, "RolloutPaused")[0] == "True"
    world.annotate("resume:2:c")
    world.look()
    assert world.rollout.paused == ""
    before = len(world.events)
    for _ in range(3):
        world.look()
    assert "ActionRefused" not in world.reasons[before:]
    assert world.rollout.paused == ""
    world.annotate("rollback:2")
    world.until_phase(Phase.ROLLED_BACK)
    world.annotate("retry:2")
    world.until(lambda: world.rollout.number == 2)
    world.until_phase(Phase.PROMOTED)


@pytest.mark.parametrize("text", ["dance:2", "pause", "pause:two", "pause:", ":2"])
def test_what_is_no_order_is_refused_with_what_is(text: str) -> None:
    world = rolling()
    world.until_weight(5)
    world.annotate(text)
    world.look()
    assert world.events[-1].reason == "ActionRefused"
    assert "pause, resume, approve, promote, rollback, retry, undo" in world.events[-1].message


def test_an_order_without_a_rollout_is_refused() -> None:
    world = RollingCluster(resource(["v1"], canary=None))
    world.ready = {"v1"}
    world.settle()
    world.annotate("promote:1")
    world.settle()
    assert world.events[-1] == Event("ActionRefused", "there is no rollout to promote", True)


def test_after_a_promotion_the_document_has_to_agree_before_a_new_canary() -> None:
    world = rolling()
    world.until_phase(Phase.PROMOTED)
    world.ready.add("v3")
    world.declare(resource(["v1", "v2", "v3"], canary="v3", rollout=ROLLOUT))
    for _ in range(5):
        world.look()
    assert world.split == ("v2", None, 0)
    assert condition(world, "StableOutdated")[:2] == ("True", "StableOutdated")
    world.declare(resource(["v1", "v2", "v3"], stable="v2", canary="v3", rollout=ROLLOUT))
    world.until(lambda: world.rollout.canary == "v3")
    assert condition(world, "StableOutdated") == ("", "", "")
    world.until_phase(Phase.PROMOTED)
    assert world.split == ("v3", None, 0)


def test_what_happens_is_sent_to_whom_the_document_names() -> None:
    world = rolling()
    found = resource(rollout={**ROLLOUT, "notify": "http://hooks.example/turnout"})
    world.declare(found)
    world.until_phase(Phase.PROMOTED)
    assert {notice.url for notice in world.notices} == {"http://hooks.example/turnout"}
    assert [notice.event["data"]["reason"] for notice in world.notices] == [
        reason for reason in world.reasons if reason != "VersionReady"
    ]


def test_an_invalid_spec_holds_the_rollout_as_it_is() -> None:
    world = rolling()
    world.until_weight(5)
    before = world.status
    world.declare(resource(rollout=ROLLOUT, v2={"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}))
    world.settle()
    assert world.status.phase == "Invalid"
    assert (world.status.route, world.status.rollout_checkpoint) == (before.route, before.rollout_checkpoint)
    world.declare(resource(rollout=ROLLOUT))
    world.until_phase(Phase.PROMOTED)


def test_what_another_release_has_kept_begins_the_rollout_again() -> None:
    world = rolling()
    world.until_weight(25)
    world.resource = {**world.resource, "status": {**world.resource["status"], "rolloutCheckpoint": "?"}}
    world.look()
    assert world.reasons[-2:] == ["RolloutLost", "RolloutBegun"]
    assert world.split[0] == "v1"
    world.until_phase(Phase.PROMOTED)


def test_a_status_of_another_release_costs_neither_route_nor_rollout() -> None:
    world = rolling()
    world.until_weight(25)
    before = world.status
    status = world.resource["status"]
    newer = {"type": "Unheard", "status": "True", "reason": "Of", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    world.resource = {
        **world.resource,
        "status": {
            **status,
            "phase": "Sleeping",
            "conditions": [newer, *status["conditions"]],
            "route": {**status["route"], "mirror": {"to": "v3"}},
        },
    }
    world.look(seconds=1)
    assert world.status.route == before.route
    assert world.rollout.number == 1
    assert world.rollout.phase is Phase.STEP
    assert "Unheard" not in {one.type for one in world.status.conditions}


events = st.sampled_from(["traffic", "traffic", "silence", "restart"])


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(0, 12), events), max_size=40), bad=st.booleans())
def test_killed_between_any_two_writes_a_rollout_comes_to_the_same_end(cuts: list[tuple[int, str]], bad: bool) -> None:
    """Each look may end after any of its writes; the next one has nothing but what the API server has."""
    world = rolling()
    world.rates["v2"] = 0.3 if bad else 0.0
    for cut, event in cuts:
        world.silent = event == "silence"
        if event == "restart":
            world.restart()
        world.look(cut)
    world.silent = False
    world.until(lambda: world.status.rollout is not None and world.rollout.phase in OVER)
    world.settle()
    assert world.split == (("v1", "v2", 0) if bad else ("v2", None, 0))
    (record,) = world.status.rollouts
    assert record.outcome == ("rolled back" if bad else "promoted")
    assert world.names("Deployment") == {"digits-v1", "digits-v2"}


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_an_epoch_never_stands_for_two_splits(data: st.DataObject) -> None:
    world = rolling()
    splits: dict[int, tuple[str, str | None, float]] = {}
    for number in range(40):
        world.rates["v2"] = data.draw(st.sampled_from([0.0, 0.0, 0.3]))
        if data.draw(st.integers(0, 9)) == 0:
            order = data.draw(st.sampled_from(["pause", "resume", "promote", "rollback", "retry", "undo"]))
            world.annotate(f"{order}:{world.resource['metadata']['generation']}:{number}")
        world.look(data.draw(st.integers(0, 12)))
        route = world.status.route
        assert route is not None
        assert splits.setdefault(route.epoch, world.split) == world.split


def test_the_status_is_the_last_but_for_what_is_deleted() -> None:
    world = rolling()
    world.until_weight(5)
    world.now += 60
    world.serve(60)
    kinds = [type(action) for action in world.plan()]
    assert kinds[-1] is Say
