"""Which orders have a sense where."""

from __future__ import annotations

import pytest

from deployer.rollout.actions import refusal
from deployer.rollout.state import AWAITING, OVER, Action, Phase, is_under_way
from deployer.rollout.status import RolloutStatus


def status(phase: Phase, paused: str = "") -> RolloutStatus:
    return RolloutStatus(
        number=1, phase=phase, stable="v1", canary="v2", step=0, weight=5, began="2026-01-01T00:00:00Z", paused=paused
    )


@pytest.mark.parametrize(
    ("phase", "paused", "taken"),
    [
        (Phase.WARMING, "", {"pause", "promote", "rollback"}),
        (Phase.STEP, "", {"pause", "approve", "promote", "rollback"}),
        (Phase.STEP, "paused by hand", {"pause", "resume", "promote", "rollback"}),
        (Phase.STEP, AWAITING, {"pause", "approve", "promote", "rollback"}),
        (Phase.PROMOTING, "", {"pause", "rollback"}),
        (Phase.BAKING, "", {"pause", "rollback", "undo"}),
        (Phase.BAKING, "paused by hand", {"pause", "resume", "rollback", "undo"}),
        (Phase.FINISHING, "", {"rollback", "undo"}),
        (Phase.PROMOTED, "", {"rollback", "undo"}),
        (Phase.RESTORING, "", set()),
        (Phase.ROLLING_BACK, "", set()),
        (Phase.ROLLED_BACK, "", {"retry"}),
    ],
)
def test_orders_without_sense_are_refused(phase: Phase, paused: str, taken: set[str]) -> None:
    assert {str(order) for order in Action if not refusal(status(phase, paused), order)} == taken


def test_a_refusal_says_what_can_be_asked() -> None:
    message = refusal(status(Phase.ROLLED_BACK), Action.PAUSE)
    assert message.startswith("the rollout of v2 is over, it was rolled back, so there is nothing to pause; ")
    assert message.endswith("what can be asked of it now: retry")
    assert "that takes `approve`" in refusal(status(Phase.STEP, AWAITING), Action.RESUME)
    assert "that takes `resume`" in refusal(status(Phase.STEP, "paused by hand"), Action.APPROVE)
    assert "wait until it is over" in refusal(status(Phase.ROLLING_BACK), Action.PROMOTE)


@pytest.mark.parametrize("phase", Phase)
def test_a_rollout_is_under_way_until_it_is_over(phase: Phase) -> None:
    assert is_under_way(status(phase)) == (phase not in OVER)
    assert not is_under_way(None)
