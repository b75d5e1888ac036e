"""What a person may ask of a rollout, and when. Pure.

The state machine takes no order amiss: one that has no sense where the rollout stands changes nothing. A person should
hear of it.
"""

from __future__ import annotations

from deployer.rollout.state import AWAITING, Order, Phase
from deployer.rollout.status import RolloutStatus

_UNDER_WAY = frozenset({Phase.WARMING, Phase.STEP, Phase.PROMOTING, Phase.BAKING})
_ON_THE_WAY_UP = frozenset({Phase.WARMING, Phase.STEP})
_TAKEN_IN: dict[Order, frozenset[Phase]] = {
    Order.PAUSE: _UNDER_WAY,
    Order.RESUME: _UNDER_WAY,
    Order.APPROVE: frozenset({Phase.STEP}),
    Order.PROMOTE: _ON_THE_WAY_UP,
    Order.ROLLBACK: _UNDER_WAY | {Phase.FINISHING, Phase.PROMOTED},
    Order.RETRY: frozenset({Phase.ROLLED_BACK}),
    Order.UNDO: frozenset({Phase.BAKING, Phase.FINISHING, Phase.PROMOTED}),
}


def refusal(rollout: RolloutStatus, order: Order) -> str:
    """Why the order has no sense for a rollout that stands so, and what has; empty where it has."""
    stands = f"the rollout of {rollout.canary} {_STANDS[rollout.phase]}"
    if rollout.phase not in _TAKEN_IN[order]:
        others = [str(other) for other, phases in _TAKEN_IN.items() if rollout.phase in phases]
        hint = f"what can be asked of it now: {', '.join(others)}" if others else "wait until it is over"
        return f"{stands}, so there is nothing to {order}; {hint}"
    if order is Order.RESUME and not rollout.paused:
        return f"{stands} and is not paused"
    if order is Order.RESUME and rollout.paused == AWAITING:
        return f"{stands} and {AWAITING}: that takes `approve`"
    if order is Order.APPROVE and rollout.paused not in ("", AWAITING):
        return f"{stands} and does not wait for approval ({rollout.paused}): that takes `resume`"
    return ""


_STANDS = {
    Phase.WARMING: "is warming up",
    Phase.STEP: "is under way",
    Phase.PROMOTING: "is being promoted",
    Phase.BAKING: "has all traffic and bakes",
    Phase.FINISHING: "is being finished",
    Phase.PROMOTED: "is over, it was promoted",
    Phase.RESTORING: "is being undone",
    Phase.ROLLING_BACK: "is being rolled back",
    Phase.ROLLED_BACK: "is over, it was rolled back",
}
