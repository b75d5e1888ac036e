"""What is kept of a deployment's rollouts between two looks, as JSON text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployer.rollout.state import Rollout


@dataclass(frozen=True)
class Record:
    """One rollout that is over, as told to people."""

    number: int
    stable: str
    canary: str
    outcome: str
    reason: str
    began: float
    ended: float


@dataclass(frozen=True)
class Kept:
    """`epochs`: the canary's share (0 to 1) in each epoch that counts may still come from."""

    rollout: Rollout | None = None
    epochs: Mapping[int, float] = field(default_factory=dict)
    history: tuple[Record, ...] = ()


def write(kept: Kept) -> str:
    raise NotImplementedError


def read(text: str) -> Kept:
    raise NotImplementedError
