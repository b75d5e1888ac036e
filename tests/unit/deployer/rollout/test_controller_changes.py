"""What becomes of a rollout when its document changes."""

from __future__ import annotations

import pytest

from deployer.document.model import ModelDeployment
from deployer.rollout.state import BY_HAND, Action, Phase
from tests.fakes.rollout import RolloutHarness, begun, changed, declared, promoted

SCALED = {"minReplicas": 2, "maxReplicas": 8}


def test_a_new_canary_is_refused_until_the_document_agrees_on_who_is_stable() -> None:
    world = promoted()
    world.document = declared("v1", "v2", "v3", canary="v3")
    made = world.look()
    assert made.outdated == ("v2 is stable, and spec.traffic.stable still says v1: v3 is not tried before it says v2")
    world.looks(10)
    assert world.split == ("v2", None, 0)
    assert world.reasons.count("StableOutdated") == 1
    world.document = changed(world.document, stable="v2")
    assert world.look().outdated == ""
    world.until_weight(5)
    assert world.split == ("v2", "v3", 5)
    assert (world.rollout.trial.stable, world.rollout.number) == ("v2", 2)


def test_a_third_version_that_the_document_makes_stable_is_followed() -> None:
    world = promoted()
    world.document = declared("v1", "v2", "v3", stable="v3", canary=None)
    world.looks(2)
    assert world.split == ("v3", None, 0)
    world.ask(Action.UNDO)  # of a promotion that is no longer what there is
    world.looks(5)
    assert world.split == ("v3", None, 0)


@pytest.mark.parametrize("followed_by", [declared(stable="v2", canary=None), declared("v2", stable="v2", canary=None)])
def test_a_promotion_that_is_reverted_is_not_tried_again_by_itself(followed_by: ModelDeployment) -> None:
    world = promoted()
    old = world.document
    world.document = followed_by
    world.looks(3)
    assert world.split == ("v2", None, 0)
    world.document = old
    world.looks(200)
    assert world.split == ("v1", "v2", 0)
    assert (world.rollout.phase, world.rollout.number) == (Phase.ROLLED_BACK, 1)
    assert "`retry` tries the other one once more" in world.rollout.reason
    assert world.reasons.count("Reverted") == 1
    world.ask(Action.RETRY)
    world.until_weight(5)
    assert world.rollout.number == 2


def test_a_reverted_version_that_is_declared_otherwise_is_another() -> None:
    world = promoted()
    old = world.document
    world.document = changed(old, stable="v2", canary=None)
    world.looks(3)
    first, second = old.spec.versions
    other = second.model_copy(update={"image": "team/v2:2"})
    world.document = old.model_copy(update={"spec": old.spec.model_copy(update={"versions": (first, other)})})
    world.until_weight(5)
    assert world.rollout.number == 2


def test_a_pause_by_hand_goes_on_for_the_versions_that_come_next() -> None:
    world = begun()
    world.ask(Action.PAUSE)
    world.look()
    world.document = declared("v1", "v3", canary="v3")
    world.looks(100)
    assert (world.rollout.number, world.rollout.phase, world.rollout.paused) == (2, Phase.WARMING, BY_HAND)
    assert world.split[2] == 0
    world.ask(Action.RESUME)
    world.until_weight(5)


def test_a_pause_goes_with_the_canary_that_it_was_for_where_none_follows() -> None:
    world = begun()
    world.ask(Action.PAUSE)
    world.look()
    world.document = declared("v1", canary=None)
    world.until_phase(Phase.ROLLED_BACK)
    world.document = declared("v1", "v3", canary="v3")
    world.until_weight(5)


def test_an_undo_stays_until_the_document_changes() -> None:
    world = promoted()
    world.document = changed(world.document, stable="v2", canary=None)
    world.looks(3)
    world.ask(Action.UNDO)
    world.until_phase(Phase.ROLLED_BACK)
    world.looks(10)
    assert world.split == ("v1", None, 0)
    world.document = changed(world.document, stable="v1")
    world.looks(3)
    assert world.split == ("v1", None, 0)


def test_a_stable_that_is_no_longer_declared_is_the_documents_again() -> None:
    world = promoted()
    world.document = declared("v1", canary=None)
    world.looks(2)
    assert world.split == ("v1", None, 0)


def test_a_newer_version_half_way_takes_the_canarys_place() -> None:
    world = begun()
    world.document = declared("v1", "v3", canary="v3")
    world.look()
    assert world.split == ("v1", None, 0)
    world.until(lambda: world.split == ("v1", "v3", 5))
    assert world.rollout.number == 2
    assert world.known.history[0].reason == "the document's versions have changed"


def test_a_change_of_either_version_half_way_begins_again() -> None:
    world = begun()
    first, second = world.document.spec.versions
    spec = world.document.spec.model_copy(
        update={"versions": (first, second.model_copy(update={"image": "team/v2:2"}))}
    )
    world.document = world.document.model_copy(update={"spec": spec})
    world.until_phase(Phase.ROLLED_BACK)
    world.until_weight(5)
    assert world.rollout.number == 2


def test_other_replicas_half_way_change_nothing() -> None:
    world = begun()
    world.document = declared(replicas=SCALED)
    world.looks(3)
    assert (world.rollout.number, world.rollout.phase) == (1, Phase.STEP)


def test_a_rollout_that_is_taken_out_is_rolled_back_and_then_the_document_says() -> None:
    world = begun()
    world.document = declared(rollout=None, traffic={"weight": 40.0})
    world.look()
    assert world.split == ("v1", "v2", 0)
    world.until_phase(Phase.ROLLED_BACK)
    world.look()
    assert world.split == ("v1", "v2", 40)


def test_a_document_that_agrees_while_a_promotion_bakes_lets_it_bake() -> None:
    world = RolloutHarness(declared())
    world.until_phase(Phase.BAKING)
    world.document = changed(world.document, stable="v2", canary=None)
    world.looks(5)
    assert world.rollout.phase is Phase.BAKING
    world.until_phase(Phase.PROMOTED)
    world.looks(3)
    assert world.split == ("v2", None, 0)
    assert "RollingBack" not in world.reasons


@pytest.mark.parametrize("phase", [Phase.STEP, Phase.BAKING])
def test_a_canary_that_the_document_makes_stable_is(phase: Phase) -> None:
    """By hand, against the rollout or before its end: then nothing is left to try, and nothing to go back to."""
    world = RolloutHarness(declared())
    world.until_phase(phase)
    world.document = declared("v2", stable="v2", canary=None)
    world.looks(3)
    assert world.split == ("v2", None, 0)
    assert world.rollout.phase is Phase.PROMOTED
    assert world.known.history[-1].reason == "the document made v2 stable"


def test_a_stable_that_is_replaced_half_way_is_held_until_its_successor_answers() -> None:
    world = begun()
    world.document = declared("v2", "v3", stable="v3", canary=None)
    world.ready = {"v1": 1, "v2": 1}
    world.looks(10)
    assert world.split == ("v1", None, 0)
    world.ready = {"v3": 1}
    world.looks(2)
    assert world.split == ("v3", None, 0)


@pytest.mark.parametrize("lost", [True, False])
def test_a_stable_that_is_gone_from_the_document_and_the_table_is_no_way_back(lost: bool) -> None:
    world = begun()
    world.document = declared("v2", "v3", stable="v3", canary="v2")
    if lost:
        world.route = None
    else:
        assert world.route is not None
        versions = tuple(version for version in world.route.versions if version.name != "v1")
        world.route = world.route.model_copy(update={"stable": "v2", "canary": None, "weight": 0, "versions": versions})
    world.looks(3)
    assert world.split[0] in ("v2", "v3")
    world.until(lambda: world.split == ("v3", "v2", 5))


def test_a_weight_that_is_moved_by_hand_pauses() -> None:
    world = begun()
    assert world.route is not None
    world.route = world.route.model_copy(update={"weight": 40.0, "epoch": world.route.epoch + 1})
    world.looks(100)
    assert world.split == ("v1", "v2", 40)
    assert world.rollout.paused == "the weight was moved by hand from 5 to 40"
