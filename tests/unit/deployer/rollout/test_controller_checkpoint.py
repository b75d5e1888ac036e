"""Rollouts that are read back, begun again or bounded: what of a checkpoint and of gateways' counts still holds."""

from __future__ import annotations

from deployer.rollout.analysis.reading import Reading
from deployer.rollout.state import Action, Phase
from tests.fakes.rollout import RolloutHarness, begun, declared


def test_what_cannot_be_read_is_begun_again_from_the_route() -> None:
    world = RolloutHarness(declared())
    world.until_weight(25)
    world.stored = '{"rollout": {"of": "another release"}}'
    world.look()
    assert world.split == ("v1", "v2", 0)
    assert world.reasons[-2:] == ["RolloutLost", "RolloutBegun"]
    world.until_phase(Phase.PROMOTED)
    world.stored = "{"
    world.looks(5)
    assert world.split == ("v2", None, 0)
    assert world.reasons[-1] == "RolloutLost"


def test_the_history_and_the_epochs_are_bounded() -> None:
    world = RolloutHarness(declared())
    for _ in range(12):
        world.until_weight(5)
        world.ask(Action.ROLLBACK)
        world.until_phase(Phase.ROLLED_BACK)
        world.ask(Action.RETRY)
        world.look()
    assert [record.number for record in world.known.history] == list(range(3, 13))
    assert len(world.known.taken.epochs) <= 2


def test_counts_of_before_the_rollout_are_none_of_its_evidence() -> None:
    world = RolloutHarness(declared(rollout=None, traffic={"weight": 5.0}))
    world.rates["v2"] = 0.3
    world.looks(20)
    world.document = declared()
    world.rates = {}
    world.until_weight(25)
    assert world.rollout.evidence[0].canary_bad == 0


def test_an_unsettled_weight_does_not_count_as_in_force() -> None:
    world = RolloutHarness(declared())
    world.until(lambda: world.split[2] == 5)
    world.more["settled"] = False
    world.looks(60)
    assert world.rollout.since is None
    del world.more["settled"]
    world.look()
    assert world.rollout.since == world.now


def test_a_restarted_gateway_loses_no_rollout() -> None:
    world = begun()
    world.looks(30)
    world.counts.clear()
    world.more["readings"] = (Reading("gateway again", 1, ()),)
    world.looks(3)
    before = world.rollout.evidence[0].canary_requests
    assert before > 0
    del world.more["readings"]
    world.looks(10)
    assert world.rollout.evidence[0].canary_requests >= before
