"""Where a rollout stands, what is seen of it, and what people may ask. Pure; what follows is in `state_machine.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeGuard, TypeVar

from deployer.rollout.analysis.products import Evidence, Look
from deployer.rollout.analysis.verdict import Judgement
from deployer.rollout.strategy import Plan


class Phase(StrEnum):
    """What a rollout is about."""

    WARMING = "warming"
    STEP = "step"
    PROMOTING = "promoting"
    BAKING = "baking"
    FINISHING = "finishing"
    PROMOTED = "promoted"
    RESTORING = "restoring"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"


OVER = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK})
"""Where nothing happens any more by itself."""
COMPARED = frozenset({Phase.WARMING, Phase.STEP})
"""Where the versions' signatures are compared. In a step it is for a stable that did not answer before."""
AWAITING = "waits for approval"
BY_HAND = "paused by hand"


class _InPhase(Protocol):
    @property
    def phase(self) -> str: ...


_Rollout = TypeVar("_Rollout", bound=_InPhase)


def is_under_way(rollout: _Rollout | None) -> TypeGuard[_Rollout]:
    """Whether there is a rollout that will still do something by itself."""
    return rollout is not None and rollout.phase not in OVER


def is_timed(rollout: Rollout) -> bool:
    """Whether time alone may bring it on: where it is paused, it waits for else."""
    waits = rollout.paused is not None and rollout.until is None
    return rollout.phase in (Phase.WARMING, Phase.STEP, Phase.PROMOTING, Phase.BAKING) and not waits


class Action(StrEnum):
    """What a person may ask for."""

    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    RETRY = "retry"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class VersionPair:
    """Which version is tried against which. `identity` is a digest of both: with another one old evidence is void."""

    stable: str
    canary: str
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """The split: the canary has `weight` percent, stable the rest."""

    stable: str
    canary: str | None = None
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class StepInput:
    """What is observed at `now` (seconds of a clock that never goes back, and goes on over restarts: `clock.py`).

    `trial`: what the document asks to try, if anything. `settled`: every gateway that serves has `route`. `capacity`:
    for each declared version the percentage of all traffic that its ready and warmed replicas can take. `looks`: for
    each objective that can be read what is new since the last look, maybe nothing. `abort_reasons`: reasons to roll
    back at once, in any phase before finishing (a canary that crashes, another signature, a metric of the user's that
    is broken). `hold_reasons`: reasons not to advance yet (a metric that can't be read, a gateway that is silent).
    `action`: a token that tells it from the one before, and what a person asked for.
    """

    now: float
    trial: VersionPair | None
    route: Route
    settled: bool
    capacity: Mapping[str, float]
    looks: Mapping[str, tuple[Look, ...]] | None = None
    abort_reasons: tuple[str, ...] = ()
    hold_reasons: tuple[str, ...] = ()
    action: tuple[str, Action] | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is kept of a rollout between two looks.

    `plan`: by which the evidence was gathered. `entered`: when this phase or step began, or went on after a pause;
    `since`: when its weight came into force. `weight` is what is wanted, `before` what was in force until then.
    `requests`: of the canary, at this weight. `paused`: why, and `until` when, if it ends by itself; `passed`: the
    pause after this step is over. `stopped`: a person had paused it when the document named other versions, and whoever
    comes next stays paused. `forced`: a person wants it promoted without evidence. `handled`: the token of the
    last action. `number` tells attempts apart.
    """

    trial: VersionPair
    plan: Plan
    entered: float
    number: int = 1
    phase: Phase = Phase.WARMING
    step: int = 0
    weight: float = 0.0
    before: float = 0.0
    since: float | None = None
    evidence: tuple[Evidence, ...] = ()
    requests: int = 0
    judgement: Judgement | None = None
    paused: str | None = None
    until: float | None = None
    passed: bool = False
    stopped: bool = False
    forced: bool = False
    reason: str = ""
    overdue: bool = False
    handled: str = ""
