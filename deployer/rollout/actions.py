"""What a person may ask of a rollout, and when. Pure.

The state machine takes no action amiss: one that has no sense where the rollout stands changes nothing. A person should
hear of it.
"""

from __future__ import annotations

from deployer.rollout.state import AWAITING, Action, Phase
from deployer.rollout.status import RolloutStatus

_UNDER_WAY = frozenset({Phase.WARMING, Phase.STEP, Phase.PROMOTING, Phase.BAKING})
_ON_THE_WAY_UP = frozenset({Phase.WARMING, Phase.STEP})
_TAKEN_IN: dict[Action, frozenset[Phase]] = {
    Action.PAUSE: _UNDER_WAY,
    Action.RESUME: _UNDER_WAY,
    Action.APPROVE: frozenset({Phase.STEP}),
    Action.PROMOTE: _ON_THE_WAY_UP,
    Action.ROLLBACK: _UNDER_WAY | {Phase.FINISHING, Phase.PROMOTED},
    Action.RETRY: frozenset({Phase.ROLLED_BACK}),
    Action.UNDO: frozenset({Phase.BAKING, Phase.FINISHING, Phase.PROMOTED}),
}


def refusal(rollout: RolloutStatus, action: Action) -> str:
    """Why the action has no sense for a rollout that stands so, and what has; empty where it has."""
    stands = f"the rollout of {rollout.canary} {_STANDS[rollout.phase]}"
    if rollout.phase not in _TAKEN_IN[action]:
        others = [str(other) for other, phases in _TAKEN_IN.items() if rollout.phase in phases]
        hint = f"what can be asked of it now: {', '.join(others)}" if others else "wait until it is over"
        return f"{stands}, so there is nothing to {action}; {hint}"
    if action is Action.RESUME and not rollout.paused:
        return f"{stands} and is not paused"
    if action is Action.RESUME and rollout.paused == AWAITING:
        return f"{stands} and {AWAITING}: that takes `approve`"
    if action is Action.APPROVE and rollout.paused not in ("", AWAITING):
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
