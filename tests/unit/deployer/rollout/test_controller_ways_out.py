"""Whole rollouts at the points where something goes wrong late: there is always a way on, or back."""

from __future__ import annotations

import pytest

from deployer.document.model import ModelDeployment
from deployer.rollout import strategy
from deployer.rollout.state import Action, Phase
from tests.fakes.rollout import ROLLOUT, RolloutHarness, declared

SCALED = {"minReplicas": 1, "maxReplicas": 10, "target": {"inFlight": 4}}
DOWN = {"v1": 1, "v2": 0}


def finishing() -> RolloutHarness:
    """Decided, and killed before gateways knew it; meanwhile the canary is down."""
    world = RolloutHarness(declared())
    world.until_phase(Phase.BAKING)
    for _ in range(100):
        world.look(dies=True)
        if world.rollout.phase is Phase.FINISHING:
            break
    world.ready = DOWN
    world.looks(5)
    assert (world.rollout.phase, world.split) == (Phase.FINISHING, ("v1", "v2", 100.0))
    return world


def test_a_canary_that_is_down_when_the_bake_ends_is_not_made_stable() -> None:
    world = RolloutHarness(declared())
    world.until_phase(Phase.BAKING)
    world.ready = DOWN
    world.looks(100)
    assert world.rollout.phase is Phase.BAKING
    world.ready = None
    world.until_phase(Phase.PROMOTED)
    assert world.split[0] == "v2"


@pytest.mark.parametrize("order", [Action.ROLLBACK, Action.UNDO])
def test_of_what_gateways_don_t_know_as_stable_yet_there_is_a_way_back(order: Action) -> None:
    world = finishing()
    world.ask(order)
    world.until_phase(Phase.ROLLED_BACK)
    assert world.split == ("v1", "v2", 0.0)


def test_one_that_crashes_meanwhile_is_rolled_back() -> None:
    world = finishing()
    for failures in range(1, 4):
        world.more["failures"] = {"v2": (failures, "killed")}
        world.look()
    world.until_phase(Phase.ROLLED_BACK)


@pytest.mark.parametrize("document", [declared("v1", canary=None), declared("v1", "v3", canary="v3")])
def test_one_that_is_taken_out_of_the_document_meanwhile_loses_its_traffic(document: ModelDeployment) -> None:
    world = finishing()
    world.document = document
    world.until(lambda: world.split[0] == "v1" and world.split[1] != "v2")


def test_one_that_is_ready_again_is_finished() -> None:
    world = finishing()
    world.ready = None
    world.until_phase(Phase.PROMOTED)


def test_a_bad_version_that_someone_gives_traffic_while_it_warms_up_loses_it() -> None:
    world = RolloutHarness(declared())
    world.ready = DOWN
    world.until_phase(Phase.WARMING)
    assert world.route is not None
    world.route = world.route.model_copy(update={"weight": 50.0, "epoch": world.route.epoch + 1})
    world.rates["v2"] = 1.0
    world.until_phase(Phase.ROLLED_BACK)
    assert world.split == ("v1", "v2", 0.0)


def test_stable_keeps_what_the_traffic_takes_by_then() -> None:
    world = RolloutHarness(declared(replicas=SCALED))
    world.until_phase(Phase.BAKING)
    world.base = {"v2": 7}
    world.looks(3)
    assert world.floors["v1"] == 7
    world = RolloutHarness(declared(replicas=SCALED))
    world.until_weight(5)
    world.base = {"v1": 10}
    world.until_phase(Phase.BAKING)
    assert world.floors == {"v1": 10, "v2": 10}


def test_a_promotion_can_be_undone_though_a_version_is_declared_otherwise_since() -> None:
    world = RolloutHarness(declared())
    world.until_phase(Phase.PROMOTED)
    edited = world.document.model_dump(by_alias=True, exclude_unset=True)
    edited["spec"]["versions"][1]["image"] = "team/v2:2"
    world.document = ModelDeployment.model_validate(edited)
    world.looks(3)
    world.ask(Action.UNDO)
    world.until_phase(Phase.ROLLED_BACK)
    assert world.split[0] == "v1"


@pytest.mark.parametrize("order", [Action.ROLLBACK, None])
def test_a_document_that_agreed_too_early_is_no_order_to_take_what_was_rolled_back(order: Action | None) -> None:
    world = RolloutHarness(declared())
    world.until_phase(Phase.BAKING)
    world.document = declared(stable="v2", canary=None)
    world.looks(2)
    if order is not None:
        world.ask(order)
    for failures in range(1, 4):
        world.more["failures"] = {"v2": (0 if order else failures, "killed")}
        world.look()
    world.until_phase(Phase.ROLLED_BACK)
    world.looks(20)
    assert world.split == ("v1", None, 0.0)
    assert world.last is not None
    assert "v2 was rolled back, so v1 is stable" in world.last.outdated


def test_a_clock_that_goes_back_holds_nothing_up() -> None:
    world = RolloutHarness(declared())
    world.until_weight(5)
    world.now -= 86_400
    world.until(lambda: world.split[2] == 25, looks=200)


@pytest.mark.parametrize(
    "changed",
    [
        {"objectives": {"slow": {"over": "50ms"}}},
        {"evidence": "prometheus"},
        {"evidence": "prometheus", "queries": {"bad": "b"}},
    ],
)
def test_evidence_of_something_else_is_another_plan_s(changed: dict[str, object]) -> None:
    plans = [
        strategy.of(made.spec.rollout)
        for made in (
            declared(rollout={**ROLLOUT, "objectives": {"slow": {"over": "5s"}}}),
            declared(rollout={**ROLLOUT, "objectives": {"slow": {"over": "5s"}}, **changed}),
        )
        if made.spec.rollout is not None
    ]
    assert plans[0] != plans[1]
