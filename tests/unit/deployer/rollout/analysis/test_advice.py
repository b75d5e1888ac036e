"""Where nothing fails, what it takes to show that a canary is good is said, with the way out."""

from __future__ import annotations

import pytest

from deployer.document.model import ModelDeployment
from deployer.rollout.analysis.advice import advice
from deployer.rollout.analysis.products import Evidence, Look, Objective, gathered
from deployer.rollout.analysis.verdict import Finding, Verdict, judge
from deployer.rollout.describe import drawn, explain
from deployer.rollout.state import Phase
from tests.fakes.rollout import ROLLOUT, RolloutHarness, declared


def finding(objective: Objective, *looks: Look) -> Finding:
    return judge((objective,), (gathered(objective, Evidence(), looks),)).findings[0]


@pytest.mark.parametrize("negligible", [0.001, 0.01, 0.1, 0.5])
def test_so_many_requests_are_enough_and_few_less_are_not(negligible: float) -> None:
    objective = Objective("errors", 2.0, negligible=negligible)
    text = advice(finding(objective, Look(0.5, 1, 0, 1, 0)))
    needed = int(text.partition("some ")[2].partition(" of")[0].replace(",", ""))
    assert finding(objective, Look(0.5, needed, 0, 10, 0)).verdict is Verdict.ADVANCE
    assert finding(objective, Look(0.5, int(0.8 * needed), 0, 10, 0)).verdict is Verdict.HOLD
    assert "; 1 were counted" in text


@pytest.mark.parametrize(
    ("objective", "look", "begins"),
    [
        (Objective("errors", 2.0), Look(0.5, 10_000, 0, 10_000, 0), ""),  # it is shown
        (Objective("errors", 2.0), Look(0.5, 1000, 10, 1000, 10), ""),  # what fails tells
        (
            Objective("errors", 2.0, negligible=0.0),
            Look(0.5, 1000, 0, 1000, 0),
            "with `negligible: 0` nothing",
        ),
    ],
)
def test_else_there_is_none_or_another(objective: Objective, look: Look, begins: str) -> None:
    text = advice(finding(objective, look))
    assert text.startswith(begins)
    assert bool(text) == bool(begins)


def few(document: ModelDeployment) -> RolloutHarness:
    world = RolloutHarness(document, traffic=0)
    world.until_weight(5)
    world.counts["v2", 1] = [3, 0]
    return world


def test_who_waits_for_ever_is_told_the_way_out() -> None:
    world = few(declared(rollout={**ROLLOUT, "deadline": "30s", "objectives": {"errors": {"negligible": 0.1}}}))
    world.until(lambda: world.rollout.overdue)
    assert world.rollout.phase is Phase.STEP
    assert world.last is not None
    assert world.last.status is not None
    for lines in (drawn(world.last.status, world.now), explain(world.last.status, (), world.now)):
        text = " ".join(" ".join(lines).split())
        assert "some 63 of the canary's requests, of which all with one sticky key count once" in text
        assert "A larger `negligible` takes fewer" in text
    assert "A larger `negligible`" in next(event.message for event in world.events if event.reason == "Overdue")
