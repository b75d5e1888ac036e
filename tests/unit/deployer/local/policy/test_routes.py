from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

import deployer.local.policy.routes as local
from deployer.document.model import ModelDeployment
from deployer.local.policy.routes import Ready
from deployer.rollout.controller import Split
from gateway.contract.route_table import Deployment, Endpoint, RouteTable

EMPTY = RouteTable(revision=7)


def document(
    versions: Sequence[str] = ("v1", "v2"),
    stable: str = "v1",
    canary: str | None = "v2",
    weight: float = 10,
    name: str = "digits",
    runtime: str = "tfserving",
) -> ModelDeployment:
    return ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name},
            "spec": {
                "runtime": runtime,
                "versions": [{"name": version, "model": f"/models/digits/{version[1:]}"} for version in versions],
                "traffic": {"stable": stable, "canary": canary, "weight": float(weight)},
            },
        }
    )


def ready(*versions: str, name: str = "digits") -> Ready:
    return {(f"default/{name}", version): [endpoint(int(version[1:]))] for version in versions}


def endpoint(number: int) -> Endpoint:
    return Endpoint(host="127.0.0.1", rest=20_000 + number, grpc=21_000 + number)


def routes(before: RouteTable, documents: Sequence[ModelDeployment], ready: Ready) -> RouteTable:
    """Without rollouts."""
    return local.routes(before, documents, ready, {document.key: Split.of(document) for document in documents})


def only(table: RouteTable) -> Deployment:
    (deployment,) = table.deployments
    return deployment


def split(table: RouteTable) -> tuple[str, str | None, float]:
    return only(table).stable, only(table).canary, only(table).weight


def test_ready_versions_take_the_declared_traffic() -> None:
    table = routes(EMPTY, [document()], ready("v1", "v2"))
    assert table.revision == 8
    assert split(table) == ("v1", "v2", 10)
    assert [(v.name, v.servable, v.endpoints) for v in only(table).versions] == [
        ("v1", 1, (endpoint(1),)),
        ("v2", 2, (endpoint(2),)),
    ]


def test_seldon_has_no_servable_numbers() -> None:
    table = routes(EMPTY, [document(runtime="seldon")], ready("v1", "v2"))
    assert [version.servable for version in only(table).versions] == [None, None]


def test_the_same_again_is_the_same_table() -> None:
    table = routes(EMPTY, [document()], ready("v1", "v2"))
    assert routes(table, [document()], ready("v1", "v2")) is table


@pytest.mark.parametrize("weight", [1, 50, 100])
def test_a_canary_that_is_not_ready_has_no_weight(weight: float) -> None:
    table = routes(EMPTY, [document(weight=weight)], ready("v1"))
    assert split(table) == ("v1", "v2", 0)
    assert split(routes(table, [document(weight=weight)], ready("v1", "v2"))) == ("v1", "v2", weight)


def test_a_canary_takes_no_more_than_its_weight_when_stable_is_down() -> None:
    assert split(routes(EMPTY, [document(weight=0)], ready("v2"))) == ("v1", "v2", 0)
    assert split(routes(EMPTY, [document(weight=10)], ready("v2"))) == ("v1", "v2", 10)


def test_what_was_stable_stays_so_until_its_successor_is_ready() -> None:
    before = routes(EMPTY, [document(["v1"], "v1", None, 0)], ready("v1"))
    after = document(["v3"], "v3", None, 0)
    waiting = routes(before, [after], ready("v1"))
    assert split(waiting) == ("v1", None, 0)
    assert only(waiting).by_name["v1"].endpoints == (endpoint(1),)
    assert only(waiting).by_name["v3"].endpoints == ()
    assert routes(waiting, [after], ready("v1")) is waiting
    moved = routes(waiting, [after], ready("v1", "v3"))
    assert split(moved) == ("v3", None, 0)
    assert [version.name for version in only(moved).versions] == ["v3"]


def test_a_held_version_leaves_its_number_to_a_declared_one() -> None:
    before = routes(EMPTY, [document(["v1"], "v1", None, 0)], ready("v1"))
    again = document(["v3"], "v3", None, 0)
    (version,) = again.spec.versions
    renamed = version.model_copy(update={"model": "/models/digits/1"})
    again = again.model_copy(update={"spec": again.spec.model_copy(update={"versions": (renamed,)})})
    waiting = routes(before, [again], ready("v1"))
    assert [(v.name, v.servable) for v in only(waiting).versions] == [("v3", 1), ("v1", None)]


def test_roles_that_swap_wait_too() -> None:
    before = routes(EMPTY, [document(["v1"], "v1", None, 0)], ready("v1"))
    swapped = document(["v1", "v2"], "v2", "v1", 30)
    assert split(routes(before, [swapped], ready("v1"))) == ("v1", None, 0)
    assert split(routes(before, [swapped], ready("v1", "v2"))) == ("v2", "v1", 30)


def test_a_stable_that_does_not_answer_for_a_moment_is_held_too() -> None:
    before = routes(EMPTY, [document(["v1"], "v1", None, 0)], ready("v1"))
    held = routes(before, [document(["v3"], "v3", None, 0)], ready())
    assert split(held) == ("v1", None, 0)
    assert split(routes(held, [document(["v3"], "v3", None, 0)], ready("v3"))) == ("v3", None, 0)


def test_the_older_deployment_stays_first() -> None:
    old = routes(EMPTY, [document(name="zebra")], ready("v1", name="zebra"))
    both = routes(old, [document(name="ant"), document(name="zebra")], ready("v1", name="zebra"))
    assert [deployment.name for deployment in both.deployments] == ["zebra", "ant"]
    assert [d.name for d in routes(both, [document(name="ant")], {}).deployments] == ["ant"]


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["v1", "v2", "v3"]),
            st.none() | st.sampled_from(["v1", "v2", "v3"]),
            st.integers(0, 100),
            st.sets(st.sampled_from(["v1", "v2", "v3"])),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_comes_tables_are_sound(steps: list[tuple[str, str | None, int, set[str]]]) -> None:
    """Revisions and epochs only rise, and an epoch stands for one split."""
    table = EMPTY
    epochs: dict[int, tuple[str, str | None, float]] = {}
    for stable, canary, weight, up in steps:
        canary = None if canary == stable else canary
        declared = document(["v1", "v2", "v3"], stable, canary, weight if canary else 0)
        after = routes(table, [declared], ready(*up))
        assert (after is table) or after.revision == table.revision + 1
        if table.deployments:
            assert only(after).epoch >= only(table).epoch
        table = after
        chosen = split(table)
        assert epochs.setdefault(only(table).epoch, chosen) == chosen
        if chosen[2] > 0:
            assert chosen[1] in up
        if stable in up:
            assert chosen[0] == stable
