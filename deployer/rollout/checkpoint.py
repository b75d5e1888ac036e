"""What is kept of a deployment's rollouts between two looks, as JSON text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AliasChoices, Field, TypeAdapter, ValidationError

from deployer.rollout.analysis.evidence import EvidenceLedger
from deployer.rollout.analysis.metric_looks import MetricLooks
from deployer.rollout.clock import Clock
from deployer.rollout.state import Rollout

HISTORY = 10
"""Records that are kept, the newest last."""


@dataclass(frozen=True)
class Record:
    """One rollout that is over, as told to people. `figures`: of each objective, when it ended."""

    number: int
    stable: str
    canary: str
    outcome: str
    reason: str
    began: float
    ended: float
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failures:
    """Of the canary's replicas: how many were `seen` by the target at the last look, and how many there were since the
    rollout began. A target that starts anew counts anew."""

    seen: int = 0
    total: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """`stable`: who has the traffic, by what rollouts came to, and `declared_stable`: whom the document called stable
    then. It is asked again once it says something else. `outdated`: what was told of that.

    Of the rollout: its `clock`; when it `began`, when its phase was `entered`, and its weight was `in_force` (seconds
    since 1970 by the wall clock, for people; 0: not known); `base`: stable's replicas then, `taken`: the evidence that
    was taken into account, the canary's `failures`, and the looks at the user's `metrics`, by name. `lost`: there was
    something, and nobody can read it.
    """

    rollout: Rollout | None = None
    stable: str = ""
    # A build from before the name was changed has written it as `said`; without it, what was promoted would lose its
    # traffic to the version that the document names.
    declared_stable: Annotated[str, Field(validation_alias=AliasChoices("declared_stable", "said"))] = ""
    outdated: str = ""
    clock: Clock = field(default_factory=Clock)
    began: float = 0.0
    entered: float = 0.0
    in_force: float = 0.0
    base: int = 0
    taken: EvidenceLedger = field(default_factory=EvidenceLedger)
    failures: Failures = Failures()
    metrics: Mapping[str, MetricLooks] = field(default_factory=dict)
    history: tuple[Record, ...] = ()
    lost: bool = False

    def recorded(self, record: Record) -> tuple[Record, ...]:
        """The history with one more."""
        return (*self.history, record)[-HISTORY:]


_TEXT = TypeAdapter(Checkpoint)


def write(checkpoint: Checkpoint) -> str:
    return _TEXT.dump_json(checkpoint).decode()


def read(text: str) -> Checkpoint:
    """What `write` wrote. Of what another release wrote, or nobody, only that there was something: then `lost` is set,
    and the next look begins again from the route that it sees, without the evidence."""
    try:
        return _TEXT.validate_json(text)
    except ValidationError:
        return Checkpoint(lost=True)
