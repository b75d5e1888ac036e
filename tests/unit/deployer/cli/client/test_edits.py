from __future__ import annotations

from collections.abc import Callable

import pytest

from deployer.cli.client.edits import differences, promoted, rolled_back, shared
from deployer.document.model import ModelDeployment, Traffic
from deployer.document.rollout import Rollout
from deployer.errors import TurnoutError
from deployer.local.policy.status import DeploymentStatus


def document(canary: str | None = "v2", weight: float = 10, versions: str = "123") -> ModelDeployment:
    return ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "digits", "namespace": "vision"},
            "spec": {
                "runtime": "tfserving",
                "versions": [{"name": f"v{number}", "model": f"/models/digits/{number}"} for number in versions],
                "traffic": {"stable": "v1", "canary": canary, "weight": float(weight)},
            },
        }
    )


@pytest.mark.parametrize(
    ("canary", "shares", "expected"),
    [
        ("v2", {"v1": 70.0, "v2": 30.0}, Traffic(stable="v1", canary="v2", weight=30.0)),
        ("v2", {"v1": 33.33, "v2": 66.67}, Traffic(stable="v1", canary="v2", weight=66.67)),
        ("v2", {"v2": 100.0}, Traffic(stable="v1", canary="v2", weight=100.0)),
        ("v2", {"v1": 100.0}, Traffic(stable="v1", canary="v2", weight=0.0)),
        (None, {"v1": 100.0}, Traffic(stable="v1")),
        (None, {"v1": 60.0, "v3": 40.0}, Traffic(stable="v1", canary="v3", weight=40.0)),
    ],
)
def test_shares(canary: str | None, shares: dict[str, float], expected: Traffic) -> None:
    assert shared(document(canary, 0), shares).spec.traffic == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: shared(d, {"v1": 90, "v2": 5}), r"sum to 100, not 95; for example v1=90 v2=10"),
        (lambda d: shared(d, {"v1": 90, "v2": -10}), r"v2 can't have -10 %.*; write 0 to 100, for example v1=90 v2=10"),
        (lambda d: shared(d, {"v1": 110, "v2": -10}), r"v1 can't have 110 %"),
        (lambda d: shared(d, {"v1": float("nan"), "v2": 1}), r"v1 can't have nan %"),
        (lambda d: shared(d, {"v1": 90, "v22": 10}), r"no version v22; did you mean v2\?"),
        (lambda d: shared(d, {"v1": 90, "x": 10}), r"no version x; its versions are v1, v2, v3"),
        (lambda d: shared(d, {"v1": 90, "v3": 10}), r"v3 of vision/digits takes no traffic now: .*canary is v2"),
        (lambda d: shared(d, {"v1": 90.001, "v2": 9.999}), r"^9\.999 has more than two decimals"),
        (lambda d: promoted(promoted(d)), r"no canary to promote: v2 is stable .*traffic digits v1=100"),
        (lambda d: rolled_back(promoted(d)), r"no canary to roll back"),
    ],
)
def test_what_is_refused(change: Callable[[ModelDeployment], ModelDeployment], message: str) -> None:
    with pytest.raises(TurnoutError, match=message):
        change(document())


def test_a_promotion_moves_all_traffic_and_keeps_the_versions() -> None:
    after = promoted(document(weight=50))
    assert after.spec.traffic == Traffic(stable="v2")
    assert after.spec.versions == document().spec.versions


def test_a_roll_back_keeps_the_canary() -> None:
    assert rolled_back(document(weight=50)).spec.traffic == Traffic(stable="v1", canary="v2", weight=0.0)


def with_rollout() -> ModelDeployment:
    spec = document().spec.model_copy(update={"rollout": Rollout()})
    return document().model_copy(update={"spec": spec})


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (document(), document(), []),
        (None, document(), ["new, with v1, v2, v3", "traffic v1 90 %, v2 10 % (canary)"]),
        (document(), document(weight=20), ["traffic v1 90 %, v2 10 % (canary) → v1 80 %, v2 20 % (canary)"]),
        (document(versions="12"), document(versions="123"), ["version v3 is new"]),
        (document(versions="123"), document(versions="12"), ["version v3 goes"]),
        (
            document(),
            document().model_copy(
                update={
                    "spec": document().spec.model_copy(
                        update={
                            "versions": (
                                document().spec.versions[0].model_copy(update={"env": {"A": "1"}}),
                                *document().spec.versions[1:],
                            )
                        }
                    )
                }
            ),
            ["version v1 has another env"],
        ),
        (document(), with_rollout(), ["the plan of its rollout is new"]),
        (with_rollout(), document(), ["its rollout goes: the weight is yours to move"]),
    ],
)
def test_differences(before: ModelDeployment | None, after: ModelDeployment, lines: list[str]) -> None:
    assert list(differences(before, after)) == lines


def standing(*shares: tuple[str, str | None, float]) -> DeploymentStatus:
    versions = [
        {"name": name, "role": role, "share": share, "condition": "Ready", "runtime": "tfserving", "ready": 1}
        | {"desired": 1}
        for name, role, share in shares
    ]
    flags = {"in_force": True, "routed": True, "settled": True, "revision": 1, "document": "1"}
    return DeploymentStatus.model_validate({"namespace": "a", "name": "b", "versions": versions, **flags})


PROMOTED = standing(("v1", None, 0), ("v2", "stable", 100))


@pytest.mark.parametrize(
    ("before", "after", "stands", "lines"),
    [
        # A promotion that the document does not say yet, and whose rollout is taken out.
        (
            with_rollout(),
            document(weight=0),
            PROMOTED,
            ["its rollout goes: the weight is yours to move", "traffic v2 100 % → v1 100 %, v2 0 % (canary)"],
        ),
        (document(), document(), PROMOTED, ["traffic v2 100 % → v1 90 %, v2 10 % (canary)"]),
        (with_rollout(), with_rollout(), PROMOTED, []),
        (document(), document(), standing(("v2", "canary", 10), ("v1", "stable", 90)), []),
        (document(), document(), None, []),
    ],
)
def test_the_split_that_there_is_is_compared(
    before: ModelDeployment, after: ModelDeployment, stands: DeploymentStatus | None, lines: list[str]
) -> None:
    assert list(differences(before, after, stands)) == lines


def test_another_runtime_is_a_difference() -> None:
    before = document()
    after = before.model_copy(update={"spec": before.spec.model_copy(update={"runtime": "triton"})})
    assert list(differences(before, after)) == ["runtime tfserving → triton"]
