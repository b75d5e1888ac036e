from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.kubernetes.manifests import Options
from deployer.kubernetes.objects.kinds import Id, Key, Object, identity
from deployer.kubernetes.reconcile.actions import Apply, Delete, Say, Tell
from deployer.kubernetes.reconcile.observed import Refusal
from deployer.kubernetes.reconcile.plan import decide, diff, render
from deployer.rollout.controller import Split
from tests.fakes.cluster import FakeCluster, resource

SCALED = {
    "autoscaling": {"minReplicas": 2, "maxReplicas": 5, "target": {"cpu": 70}},
    "resources": {"requests": {"cpu": 1}},
}
VERSIONS = ("v1", "v2", "v3")


def running(found: Object, *ready: str) -> FakeCluster:
    world = FakeCluster(found)
    world.ready = set(ready)
    world.settle()
    return world


def condition(world: FakeCluster, kind: str) -> tuple[str, str, str]:
    return next(((c.status, c.reason, c.message) for c in world.status.conditions if c.type == kind), ("", "", ""))


def split(world: FakeCluster) -> tuple[str, str | None, float]:
    assert world.status.route is not None
    return world.status.route.stable, world.status.route.canary, world.status.route.weight


def events(world: FakeCluster) -> list[str]:
    return [f"{action.event.reason}: {action.event.message}" for action in world.plan() if isinstance(action, Tell)]


def test_all_is_made_before_it_is_said_and_told_before_that() -> None:
    world = FakeCluster(resource())
    kinds = [type(action) for action in world.plan()]
    assert kinds == [*[Apply] * 6, Say]
    world.settle()
    world.ready = {"v1", "v2"}
    assert [type(action) for action in world.plan()] == [Tell, Tell, Tell, Say]


def test_the_phase_goes_from_pending_to_ready() -> None:
    world = FakeCluster(resource())
    phases = []
    for _ in range(3):
        for action in world.plan():
            world.do(action)
        phases.append((world.status.phase, world.status.ready))
        if world.names("Deployment"):
            world.ready.add(f"v{len(phases)}")
    assert phases == [("Pending", "0/2"), ("Progressing", "1/2"), ("Ready", "2/2")]


def test_weight_is_in_force_once_the_canary_answers() -> None:
    world = running(resource(), "v1")
    assert split(world) == ("v1", "v2", 0)
    assert condition(world, "Ready") == ("False", "VersionsNotReady", "no replica answers of v2")
    world.ready.add("v2")
    assert events(world) == [
        "VersionReady: version v2 is ready",
        "WeightInForce: 10 % of the requests go to v2, the others to v1",
    ]
    world.settle()
    assert split(world) == ("v1", "v2", 10)
    assert condition(world, "Ready")[0] == "True"


def test_a_promotion_by_hand_is_told() -> None:
    world = running(resource(), "v1", "v2")
    world.declare(resource(stable="v2", canary=None))
    assert "Promoted: version v2 is stable now, instead of v1" in events(world)


def test_what_is_no_longer_declared_goes_after_its_route() -> None:
    world = running(resource(), "v1", "v2")
    world.declare(resource(["v1"], canary=None))
    first = world.plan()
    assert not [action for action in first if isinstance(action, Delete)]
    for action in first:
        world.do(action)
    assert {action.version for action in world.plan() if isinstance(action, Delete)} == {"v2"}
    world.settle()
    assert {key.name for key in world.live} == {"digits-v1"}
    assert world.status.phase == "Ready"


def test_stable_is_kept_until_its_successor_answers() -> None:
    world = running(resource(["v1"], canary=None), "v1")
    world.declare(resource(["v3"], stable="v3", canary=None))
    world.settle()
    assert split(world) == ("v1", None, 0)
    assert condition(world, "Progressing") == ("True", "RollingOut", "pods start or are replaced: v3")
    assert [(v.name, v.role, v.message) for v in world.status.versions] == [
        ("v3", None, "no replica answers yet"),
        ("v1", "stable", "no longer declared"),
    ]
    assert world.names("Deployment") == {"digits-v1", "digits-v3"}
    world.ready.add("v3")
    world.settle()
    assert world.names("Deployment") == {"digits-v3"}


def test_drift_is_applied_again_and_nothing_else() -> None:
    world = running(resource(), "v1", "v2")
    world.live[Id("Deployment", "digits-v1")]["spec"]["replicas"] = 3
    del world.live[Id("Service", "digits-v2")]
    applies = [(a.desired["kind"], a.desired["metadata"]["name"]) for a in world.plan() if isinstance(a, Apply)]
    assert applies == [("Deployment", "digits-v1"), ("Service", "digits-v2")]


def test_replicas_are_the_autoscalers_once_it_has_spoken() -> None:
    world = running(resource(v1=SCALED), "v1", "v2")
    key = Id("Deployment", "digits-v1")
    world.live[key]["metadata"]["annotations"]["turnout.dev/digest"] = "another"
    (apply,) = [action for action in world.plan() if isinstance(action, Apply)]
    assert apply.desired["spec"]["replicas"] == 2
    assert apply.if_unchanged
    world.live[key]["spec"]["replicas"] = 4
    scaled = {"manager": "kube-controller-manager", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    world.live[key]["metadata"]["managedFields"] = [scaled]
    (apply,) = [action for action in world.plan() if isinstance(action, Apply)]
    assert "replicas" not in apply.desired["spec"]
    assert not apply.if_unchanged
    # Once the autoscaler is gone the number is declared again, whoever set it.
    world.declare(resource())
    (apply,) = [a for a in world.plan() if isinstance(a, Apply) and a.desired["kind"] == "Deployment"]
    assert "replicas" not in apply.desired["spec"]
    world.settle()
    assert world.live[key]["spec"]["replicas"] == 1
    assert world.names("HorizontalPodAutoscaler") == set()


def test_an_invalid_spec_leaves_what_runs() -> None:
    world = running(resource(), "v1", "v2")
    before = world.status
    bad = resource(weight=90, v2={"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})
    world.declare(bad)
    assert {type(action) for action in world.plan()} == {Tell, Say}
    world.settle()
    status, reason, message = condition(world, "Accepted")
    assert (status, reason) == ("False", "InvalidSpec")
    assert message.startswith("spec.versions[1].resources.requests.cpu")
    assert world.status.phase == "Invalid"
    assert world.status.route == before.route
    assert world.status.observed_generation == 2
    assert world.status.ready == "2/2"


def test_a_spec_that_was_never_valid_has_no_route() -> None:
    world = running(resource(v2={"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}))
    assert world.status.route is None
    assert not world.live


@pytest.mark.parametrize("known", ["in the cache", "by the API server's word"])
def test_objects_of_others_are_left_and_told(known: str) -> None:
    world = FakeCluster(resource())
    key = Id("Service", "digits-v2")
    if known == "in the cache":
        labels = {"turnout.dev/deployment": "digits"}
        world.live[key] = {"kind": "Service", "metadata": {"name": "digits-v2", "uid": "x", "labels": labels}}
    else:
        world.refusals[key] = Refusal("Service digits-v2 is there already", foreign=True)
        world.do = lambda action, do=world.do: (  # type: ignore[method-assign, misc]
            None if isinstance(action, Apply) and action.desired["metadata"]["name"] == "digits-v2" else do(action)
        )
    world.ready = {"v1"}
    for _ in range(3):
        for action in world.plan():
            world.do(action)
    assert condition(world, "ForeignObject")[2].startswith("Service digits-v2 is there already")
    assert world.status.phase == "Degraded"
    assert world.status.route is not None
    assert [version.service for version in world.status.route.versions] == ["digits-v1", None]


def test_what_an_earlier_one_of_the_name_left_is_waited_for() -> None:
    world = FakeCluster(resource())
    owner = {"kind": "ModelDeployment", "name": "digits", "uid": "uid-0", "controller": True}
    metadata = {"name": "digits-v2", "uid": "x", "labels": {}, "ownerReferences": [owner]}
    world.live[Id("Service", "digits-v2")] = {"kind": "Service", "metadata": metadata}
    world.settle()
    assert condition(world, "ForeignObject") == ("", "", "")
    del world.live[Id("Service", "digits-v2")]
    world.settle()
    assert world.names("Service") == {"digits-v1", "digits-v2"}


def test_what_the_api_server_refuses_is_told_for_as_long_as_it_is_asked_for() -> None:
    world = running(resource(), "v1", "v2")
    key = Id("Deployment", "digits-v1")
    world.declare(resource(v1={"args": ["--more"]}))
    world.refusals[key] = Refusal("Deployment digits-v1 is refused: quota", foreign=False)
    for action in world.plan():
        if not (isinstance(action, Apply) and action.desired["kind"] == "Deployment"):
            world.do(action)
    assert condition(world, "Degraded") == ("True", "ObjectRefused", "Deployment digits-v1 is refused: quota")
    world.declare(resource())
    world.settle()
    assert condition(world, "Degraded")[0] == "False"


def test_weight_waits_for_the_least_replicas_and_goes_only_with_the_last() -> None:
    world = running(resource(v2=SCALED), "v1")
    world.replicas = 1
    world.ready = {"v1", "v2"}
    world.settle()
    assert split(world) == ("v1", "v2", 0)
    world.replicas = 2
    world.settle()
    assert split(world) == ("v1", "v2", 10)
    world.replicas = 1
    world.settle()
    assert split(world) == ("v1", "v2", 10)
    world.ready = {"v1"}
    world.settle()
    assert split(world) == ("v1", "v2", 0)


def test_nothing_is_sent_to_a_service_of_somebody_else() -> None:
    world = FakeCluster(resource())
    labels = {"turnout.dev/deployment": "digits"}
    found = {"kind": "Service", "metadata": {"name": "digits-v2", "uid": "x", "labels": labels}}
    world.live[Id("Service", "digits-v2")] = found
    world.ready = {"v1", "v2"}
    for _ in range(3):
        for action in world.plan():
            world.do(action)
    assert split(world) == ("v1", "v2", 0)


def test_the_younger_of_two_is_told_that_the_name_is_taken() -> None:
    world = FakeCluster(resource())
    world.elder = Key("vision", "digits")
    world.settle()
    assert condition(world, "NameTaken")[2].startswith("vision/digits is older and has the bare name digits")
    world.elder = None
    world.settle()
    assert condition(world, "NameTaken") == ("", "", "")


def test_without_keda_an_autoscaler_is_missing() -> None:
    scaled = {"autoscaling": {"minReplicas": 1, "maxReplicas": 5, "target": {"inFlight": 4}}}
    world = running(resource(v1=scaled), "v1", "v2")
    assert condition(world, "AutoscalerMissing")[0] == "True"
    world.options = Options(keda=True, prometheus="http://prometheus:9090")
    world.settle()
    assert condition(world, "AutoscalerMissing") == ("", "", "")
    assert world.names("ScaledObject") == {"digits-v1"}


def test_times_of_conditions_stay_while_they_don_t_change() -> None:
    world = running(resource(), "v1")
    world.now += 31 * 86400
    world.ready.add("v2")
    world.settle()
    times = {c.type: c.last_transition_time for c in world.status.conditions}
    assert times["Accepted"].startswith("2026-01")
    assert times["Ready"].startswith("2026-02")


def test_nothing_is_done_for_one_that_is_being_deleted() -> None:
    world = running(resource(), "v1", "v2")
    world.live.clear()
    world.resource["metadata"]["deletionTimestamp"] = world.now
    assert world.plan() == []


def test_a_workload_of_another_kind_goes_once_the_new_one_answers() -> None:
    found = resource(["v1"], canary=None)
    found["spec"] |= {"runtime": "seldon", "versions": [{"name": "v1", "image": "digits:1"}]}
    world = running(found, "v1")
    assert world.names("Deployment") == {"digits-v1"}
    world.options = Options(seldon_crd=True)
    for _ in range(3):
        for action in world.plan():
            world.do(action)
    assert world.names("Deployment") == {"digits-v1"}
    world.live[Id("SeldonDeployment", "digits-v1")]["status"] = {"state": "Available"}
    world.settle()
    assert world.names("Deployment") == set()
    assert world.status.phase == "Ready"


def test_what_is_decided_follows_from_the_document_and_not_from_the_objects() -> None:
    world = FakeCluster(resource())
    first = decide(world.observe())
    assert (first.roles, first.status, first.events) == (Split.of(world.observe().document), None, ())
    world.settle()
    assert decide(world.observe()) == first


def test_the_objects_follow_from_the_document_and_the_decision() -> None:
    observed = FakeCluster(resource(v2=SCALED)).observe()
    decision = decide(observed)
    desired = render(observed.document, decision, observed.options, observed.owner)
    floored = render(observed.document, replace(decision, floors={"v2": 4}), observed.options, observed.owner)
    assert {key for key, made in desired.items() if made != floored[key]} == {
        Id("Deployment", "digits-v2"),
        Id("HorizontalPodAutoscaler", "digits-v2"),
    }


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_is_missing_is_written_and_what_nobody_asks_for_goes_without_its_route(data: st.DataObject) -> None:
    world = running(resource(VERSIONS), *VERSIONS)
    observed = world.observe()
    desired = render(observed.document, decide(observed), observed.options, observed.owner)
    assert diff(desired, observed) == ([], [])
    gone = data.draw(st.sets(st.sampled_from(sorted(desired))))
    for key in gone:
        del world.live[key]
    asked = {key: made for key, made in desired.items() if not key.name.endswith("v3")}
    applies, deletes = diff(asked, world.observe())
    assert {identity(apply.desired) for apply in applies} == asked.keys() & gone
    assert deletes == []
    world.resource["status"]["route"]["versions"] = world.resource["status"]["route"]["versions"][:2]
    assert {identity(delete.live) for delete in diff(asked, world.observe()).deletes} == desired.keys() - asked - gone


specs = st.tuples(
    st.sets(st.sampled_from(VERSIONS), min_size=1).map(sorted), st.integers(0, 2), st.integers(0, 100), st.booleans()
)


@settings(max_examples=50, deadline=None)
@given(
    steps=st.lists(
        st.tuples(specs, st.sets(st.sampled_from(VERSIONS)), st.lists(st.integers(0, 8), max_size=6)),
        min_size=1,
        max_size=4,
    )
)
def test_whenever_it_is_killed_the_same_comes_about(
    steps: list[tuple[tuple[list[str], int, int, bool], set[str], list[int]]],
) -> None:
    """One world lives on, cut off after some actions again and again; another is made anew from the last spec."""
    world: FakeCluster | None = None
    for (versions, first, weight, scaled), ready, cuts in steps:
        stable = versions[first % len(versions)]
        canary = next((version for version in versions if version != stable), None)
        found = resource(versions, stable, canary, weight, **({stable: SCALED} if scaled else {}))
        if world is None:
            world = FakeCluster(found)
        else:
            world.declare(found)
        world.ready = ready
        for cut in cuts:
            for action in world.plan()[:cut]:
                if isinstance(action, Delete) and action.version is not None:
                    assert world.status.route is not None
                    assert action.version not in world.status.route.by_name
                world.do(action)
    assert world is not None
    world.ready = set(VERSIONS)
    world.settle()
    fresh = running(found, *VERSIONS)
    assert {key: made["spec"] for key, made in world.live.items() if "spec" in made} == {
        key: made["spec"] for key, made in fresh.live.items() if "spec" in made
    }
    assert world.live.keys() == fresh.live.keys()
    assert split(world) == split(fresh)
    assert world.status.phase == "Ready"
