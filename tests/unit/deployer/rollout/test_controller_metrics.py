"""The user's own metrics in a rollout: what ends it, what holds it, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deployer.document.model import ModelDeployment
from deployer.rollout.describe import drawn, explain
from deployer.rollout.state import Phase
from tests.fakes.rollout import ROLLOUT, RolloutHarness, declared

GOOD, BAD = 12.0, 9.5


def document(least: float = 10.0) -> ModelDeployment:
    metrics = [{"name": "revenue", "query": "r", "min": least}]
    return declared(rollout={**ROLLOUT, "objectives": {"metrics": metrics}})


def at_first_weight() -> RolloutHarness:
    world = RolloutHarness(document())
    world.more["metrics"] = {"revenue": GOOD}
    world.until_weight(5)
    return world


def seen(world: RolloutHarness, values: Sequence[float]) -> None:
    """One look at each value that counts, ten seconds apart."""
    for value in values:
        world.more["metrics"] = {"revenue": value}
        world.looks(10)


def test_one_that_is_broken_rolls_back_and_says_how_often_it_was() -> None:
    world = at_first_weight()
    seen(world, [BAD] * 2)
    assert world.split[2] == 5
    seen(world, [BAD] * 2)
    assert world.rollout.phase is Phase.ROLLED_BACK
    reason = "the metric revenue was out of its limits in 3 of 3 looks; is 9.5, and good from 10 to any"
    assert world.rollout.reason == reason
    assert "revenue: was out of its limits in 3 of 3 looks" in world.known.history[-1].figures


@pytest.mark.parametrize("pattern", [(BAD, BAD, GOOD), (BAD, GOOD), (GOOD, GOOD, BAD), (BAD, BAD, BAD, BAD, GOOD)])
def test_one_that_flaps_is_rolled_back_and_never_promoted(pattern: tuple[float, ...]) -> None:
    world = at_first_weight()
    for _ in range(40):
        seen(world, pattern)
        if world.rollout.phase is Phase.ROLLED_BACK:
            return
        assert world.split[2] == 5
    pytest.fail(f"neither: {world.rollout}")


def test_one_bad_look_holds_until_the_looks_speak_for_it_again() -> None:
    world = at_first_weight()
    seen(world, [BAD])
    seen(world, [GOOD])
    assert world.last is not None
    assert world.last.hold_reasons == ("the metric revenue was out of its limits in 1 of 2 looks",)
    world.until_weight(25)


def test_one_that_is_unread_holds_and_its_cause_is_told() -> None:
    world = at_first_weight()
    world.more["metrics"] = {"revenue": "what answers for Prometheus says 401 Unauthorized"}
    world.looks(20)
    assert world.split == ("v1", "v2", 5)
    assert world.last is not None
    assert world.last.status is not None
    cause = "the metric revenue can't be read: what answers for Prometheus says 401 Unauthorized"
    assert world.last.hold_reasons == (cause,)
    assert any("401 Unauthorized" in line for line in explain(world.last.status, (), world.now))
    world.more["metrics"] = {}
    world.look()
    assert world.last.hold_reasons == ("the metric revenue can't be read: nobody has answered yet",)
    world.more["metrics"] = {"revenue": GOOD}
    world.until_weight(25)


def test_its_value_is_shown_good_or_bad() -> None:
    world = at_first_weight()
    for value, bad in ((GOOD, 0), (BAD, 1)):
        seen(world, [value])
        assert world.last is not None
        assert world.last.status is not None
        (metric,) = world.last.status.metrics
        assert (metric.value, metric.bad) == (value, bad)
        for lines in (drawn(world.last.status, world.now), explain(world.last.status, (), world.now)):
            shown = f"{value:g}; good from 10 to any; out of that in {bad} of {metric.looks} looks"
            assert any(shown in line for line in lines), lines


def test_with_other_limits_earlier_looks_say_nothing() -> None:
    world = at_first_weight()
    seen(world, [BAD] * 2)
    world.document = document(9.0)
    seen(world, [BAD] * 3)
    assert world.rollout.phase is Phase.STEP
    assert [looks.bad for looks in world.known.metrics.values()] == [0]


def test_before_it_has_traffic_it_says_nothing_of_the_canary() -> None:
    world = RolloutHarness(document())
    world.ready = {"v1": 1, "v2": 0}
    seen(world, [BAD] * 10)
    assert world.rollout.phase is Phase.WARMING
