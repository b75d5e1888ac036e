from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import deployer.local.policy.routes as local
from deployer.document.model import ModelDeployment
from deployer.document.rollout import Rollout as RolloutSpec
from deployer.local.policy.backoff import Backoff, Trouble
from deployer.local.policy.plan import Phase
from deployer.local.policy.status import Condition, DeploymentStatus
from deployer.local.replicas import Replica
from deployer.local.reporter import Facts, ReplicaFacts, Reporter, VersionFacts, changes, describe
from deployer.local.state_folder import Record, StateFolder, digest
from deployer.rollout.checkpoint import Checkpoint
from deployer.rollout.controller import Decision, Split
from deployer.rollout.state import Phase as RolloutPhase
from deployer.rollout.state import Rollout, VersionPair
from deployer.rollout.strategy import of
from gateway.contract.route_table import Endpoint, RouteTable

KEY = "default/digits"
DOCUMENT = ModelDeployment.model_validate(
    {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits"},
        "spec": {
            "runtime": "tfserving",
            "versions": [{"name": f"v{number}", "model": f"/m/digits/{number}"} for number in (1, 2)],
            "traffic": {"stable": "v1", "canary": "v2", "weight": 10.0},
        },
    }
)
ENDPOINTS = {(KEY, version): [Endpoint(host="h", rest=1, grpc=2)] for version in ("v1", "v2")}
ROLES = {KEY: Split.of(DOCUMENT)}


def replica(version: str, phase: Phase, reason: str = "") -> ReplicaFacts:
    record = Record(deployment=KEY, version=version, index=0, ports={"rest": 1, "grpc": 2})
    return ReplicaFacts.of(Replica(record, phase, since=0.0, reason=reason))


def facts(*ready: str, **versions: VersionFacts) -> Facts:
    """With the versions in `ready` up and in the table in force; `versions` are others, or replace these."""
    endpoints = {(KEY, version): [Endpoint(host="h", rest=1, grpc=2)] for version in ready}
    table = local.routes(RouteTable(revision=1), [DOCUMENT], endpoints, ROLES)
    up = {version: VersionFacts((replica(version, Phase.READY),), desired=1) for version in ready}
    return Facts(table, table.revision, "127.0.0.1:1", "ok", {KEY: {**up, **versions}})


def status_of(known: Facts) -> DeploymentStatus:
    return describe(known.of(DOCUMENT, known.table.find("digits", "default"), known.table.revision))


def test_all_is_well() -> None:
    status = status_of(facts("v1", "v2"))
    assert (status.routed, status.settled, status.message, status.document) == (True, True, "", digest(DOCUMENT))
    assert [(v.name, v.role, v.share, v.condition) for v in status.versions] == [
        ("v1", "stable", 90, Condition.READY),
        ("v2", "canary", 10, Condition.READY),
    ]


def test_a_table_that_is_not_in_force_settles_nothing() -> None:
    status = status_of(replace(facts("v1", "v2"), revision=1))
    assert (status.in_force, status.routed, status.settled) == (False, False, False)


def test_a_table_leaves_the_status_of_what_it_does_not_change(tmp_path: Path) -> None:
    reporter = Reporter(StateFolder(tmp_path))
    known = facts("v1", "v2")
    reporter.write([DOCUMENT], known)
    before = (tmp_path / "status" / "default.digits.json").stat()
    deployments = known.table.deployments
    other = deployments[0].model_copy(update={"name": "other"})
    reporter.write([DOCUMENT], replace(known, table=RouteTable(revision=3, deployments=(*deployments, other))))
    assert (tmp_path / "status" / "default.digits.json").stat() == before
    changed = deployments[0].model_copy(update={"epoch": 4})
    reporter.write([DOCUMENT], replace(known, table=RouteTable(revision=4, deployments=(changed, other))))
    status = json.loads((tmp_path / "status" / "default.digits.json").read_text())
    assert (status["revision"], status["inForce"]) == (4, False)


def test_what_a_full_disk_kept_from_being_written_is_written_by_the_next_round(tmp_path: Path) -> None:
    reporter = Reporter(StateFolder(tmp_path))
    reporter.write([DOCUMENT], facts("v1"))
    folder, aside = tmp_path / "status", tmp_path / "aside"
    folder.rename(aside)
    with pytest.raises(OSError, match="status"):
        reporter.write([DOCUMENT], facts("v1", "v2"))
    aside.rename(folder)
    assert reporter.write([DOCUMENT], facts("v1", "v2"))
    assert json.loads((folder / "default.digits.json").read_text())["settled"]


def test_a_gateway_that_is_not_ready_is_told_first() -> None:
    status = status_of(replace(facts("v1", "v2"), address="", gateway="draining"))
    assert not status.settled
    assert status.message == "the gateway is not ready: draining"


FAILING = Trouble(Backoff(failures=2), "no memory")
STARTING = replica("v2", Phase.STARTING, "the model is loading")


@pytest.mark.parametrize(
    ("v2", "condition", "reason"),
    [
        (VersionFacts(desired=1), Condition.PROGRESSING, ""),
        (VersionFacts((STARTING,), 1), Condition.PROGRESSING, "the model is loading"),
        (VersionFacts((), 1, problem="no environment yet"), Condition.PROGRESSING, "no environment yet"),
        (VersionFacts((STARTING,), 1, Trouble(Backoff(1), "crashed")), Condition.PROGRESSING, "crashed"),
        (VersionFacts((STARTING,), 1, FAILING), Condition.FAILED, "no memory"),
        (VersionFacts((replica("v2", Phase.LEAVING),), 1), Condition.PROGRESSING, ""),
    ],
)
def test_a_canary_that_is_not_ready(v2: VersionFacts, condition: Condition, reason: str) -> None:
    status = status_of(facts("v1", v2=v2))
    assert (status.versions[1].condition, status.versions[1].reason) == (condition, reason)
    assert [version.share for version in status.versions] == [100, 0]
    assert (status.routed, status.settled) == (False, False)
    assert status.message == "v2 is not ready: its 10 % stay with v1"


def test_a_stable_that_is_not_ready() -> None:
    status = status_of(facts("v2", v1=VersionFacts(desired=1, trouble=FAILING)))
    assert status.message == "v1 is stable and not ready, so its requests are refused"
    assert not status.settled


def test_a_version_that_is_leaving_is_shown() -> None:
    status = status_of(facts("v1", "v2", v0=VersionFacts((replica("v0", Phase.LEAVING),))))
    assert [(v.name, v.role, v.condition) for v in status.versions][2] == ("v0", None, Condition.LEAVING)
    assert not status.settled


def test_only_traffic_that_moves_is_told() -> None:
    first = facts("v1").table
    both = local.routes(
        first, [DOCUMENT], {(KEY, v): [Endpoint(host="h", rest=1, grpc=2)] for v in ("v1", "v2")}, ROLES
    )
    more = local.routes(both, [DOCUMENT], {(KEY, v): [Endpoint(host="h", rest=3, grpc=4)] for v in ("v1", "v2")}, ROLES)
    assert list(changes(first, both)) == ["default/digits: traffic v1 90 %, v2 10 % (route table 3)"]
    assert more != both
    assert list(changes(both, more)) == []
    assert list(changes(both, both)) == []
    assert list(changes(both, RouteTable(revision=9))) == ["default/digits: out of the route table (9)"]


def in_rollout(phase: RolloutPhase, roles: Split, outdated: str = "") -> Facts:
    """The rollout stands so, and the route is as it wants."""
    known = facts("v1", "v2")
    rollout = Rollout(
        VersionPair("v1", "v2"), of(RolloutSpec()), entered=0.0, phase=phase, weight=roles.weight, handled="t"
    )
    decision = Decision(Checkpoint(rollout), roles, {}, hold_reasons=("a doubt",), outdated=outdated)
    table = local.routes(RouteTable(revision=1), [DOCUMENT], ENDPOINTS, {KEY: roles})
    return replace(known, table=table, revision=table.revision, decisions={KEY: decision})


def test_a_rollout_says_what_is_wanted() -> None:
    status = status_of(in_rollout(RolloutPhase.STEP, Split("v1", "v2", 5.0)))
    assert (status.routed, status.settled, status.action) == (True, True, "t")
    assert [(v.name, v.role, v.share) for v in status.versions] == [("v1", "stable", 95), ("v2", "canary", 5)]
    assert status.rollout is not None
    assert (status.rollout.phase, status.rollout.weight, status.rollout.hold_reasons) == ("step", 5, ("a doubt",))
    promoted = status_of(in_rollout(RolloutPhase.PROMOTED, Split("v2"), "v3 is not tried"))
    assert [(v.name, v.role, v.share) for v in promoted.versions] == [("v1", None, 0), ("v2", "stable", 100)]
    assert promoted.message == "v3 is not tried"


def test_all_is_as_declared_once_a_rollout_is_over(tmp_path: Path) -> None:
    reporter = Reporter(StateFolder(tmp_path))
    assert not reporter.write([DOCUMENT], in_rollout(RolloutPhase.STEP, Split("v1", "v2", 5.0)))
    assert not reporter.write([DOCUMENT], in_rollout(RolloutPhase.STEP, Split("v1", "v2", 25.0)))
    assert reporter.write([DOCUMENT], in_rollout(RolloutPhase.PROMOTED, Split("v2")))


def test_what_the_gateway_refuses_is_not_in_force() -> None:
    known = facts("v1", "v2")
    other = status_of(replace(known, refused={"default/letters": "why"}))
    assert (other.in_force, other.message) == (True, "")
    refused = status_of(replace(known, refused={KEY: "it requires what this release does not know: mirror"}))
    assert (refused.in_force, refused.routed, refused.settled) == (False, False, False)
    assert refused.message == (
        "the gateway goes on as before, since it refuses the new route: "
        "it requires what this release does not know: mirror"
    )
