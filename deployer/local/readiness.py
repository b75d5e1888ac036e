"""Asks a started replica whether it may take traffic."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.runtimes.process import Process


@dataclass(frozen=True)
class Ready:
    """The model is available on both ports and has answered a warm-up. `note` says how warm, if not by a prediction."""

    note: str = ""


@dataclass(frozen=True)
class NotYet:
    """Ask again later."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """It will not become ready without a change to the model or the document."""

    reason: str


def check(process: Process, timeout: float) -> Ready | NotYet | Failed:
    """Whether the replica is ready now. Blocks for at most about `timeout` seconds; never raises for what it meets.

    Each call that finds the model available sends the warm-up; once Ready was returned, use `alive`.
    """
    raise NotImplementedError


def alive(process: Process, timeout: float) -> bool:
    """Whether both ports accept connections: no more, since a busy server is not a dead one (decision 17)."""
    raise NotImplementedError
