"""What to do next on this machine, from what should run and what is seen to run. Pure.

It is asked again and again, each time from scratch, so that nothing is lost when the supervisor dies between two
actions. A replica's way is starting → ready → leaving (out of the route table, its last requests under way) → ending.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"
    ENDING = "ending"


@dataclass(frozen=True)
class Need:
    """What should run of one version."""

    deployment: str
    version: str
    replicas: int
    not_before: float = 0.0
    """When the next replica may be started; infinite while none can be."""
    in_place: bool = False
    """A changed replica has to end before its successor is started: they share ports (the gateway's)."""


@dataclass(frozen=True)
class ObservedReplica:
    """One replica, as observed."""

    name: str
    deployment: str
    version: str
    index: int
    phase: Phase
    current: bool = True
    """It would be started the same way now."""
    drained: bool = False
    """Leaving: no request can be under way to it any more, or it was given all the time there is for that."""
    overdue: bool = False
    """Ending: it was asked to end and given its time."""
    asked: bool = False
    """Ending: it was asked to end."""


@dataclass(frozen=True)
class Start:
    deployment: str
    version: str
    index: int


@dataclass(frozen=True)
class Leave:
    """Take the replica out of the route table; it ends once it is drained."""

    name: str
    why: str


@dataclass(frozen=True)
class End:
    name: str
    number: signal.Signals


Action = Start | Leave | End


def plan(
    needs: Sequence[Need], held: Collection[tuple[str, str]], seen: Sequence[ObservedReplica], now: float
) -> list[Action]:
    """The actions that bring what is seen nearer to what is needed; none once they agree.

    `held` are versions that are needed no more, but whose ready replicas carry stable's traffic until their successor
    is ready.
    """
    by_version: dict[tuple[str, str], list[ObservedReplica]] = {(need.deployment, need.version): [] for need in needs}
    for replica in sorted(seen, key=lambda replica: replica.index):
        by_version.setdefault((replica.deployment, replica.version), []).append(replica)
    needed = {(need.deployment, need.version): need for need in needs}
    actions: list[Action] = []
    for version, replicas in by_version.items():
        need = needed.get(version)
        if need is not None:
            actions += _follow(need, replicas, now)
        else:
            for replica in _running(replicas):
                if version not in held or replica.phase is not Phase.READY:
                    actions.append(Leave(replica.name, "no longer wanted"))
        actions += _endings(replicas)
    return actions


def _follow(need: Need, replicas: Sequence[ObservedReplica], now: float) -> Iterator[Action]:
    running = _running(replicas)
    current = [replica for replica in running if replica.current]
    # Not the ready ones first, and the newest before the oldest.
    for replica in sorted(current, key=lambda r: (r.phase is Phase.READY, -r.index))[
        : max(0, len(current) - need.replicas)
    ]:
        yield Leave(replica.name, "one replica less is wanted")
    outdated = [replica for replica in running if not replica.current]
    ready = sum(replica.phase is Phase.READY for replica in current)
    serving = 0 if need.in_place else max(0, need.replicas - ready)
    for replica in sorted(outdated, key=lambda replica: replica.phase is not Phase.READY):
        if serving and replica.phase is Phase.READY:
            serving -= 1  # it serves until its successor is ready
        else:
            yield Leave(replica.name, "its description has changed")
    if need.in_place and len(current) < len(replicas):
        return
    if now >= need.not_before:
        taken = {replica.index for replica in replicas}
        free = [index for index in range(need.replicas + len(taken)) if index not in taken]
        for index in free[: max(0, need.replicas - len(current))]:
            yield Start(need.deployment, need.version, index)


def _endings(replicas: Sequence[ObservedReplica]) -> Iterator[Action]:
    for replica in replicas:
        drained = replica.phase is Phase.LEAVING and replica.drained
        if drained or (replica.phase is Phase.ENDING and not replica.asked):
            yield End(replica.name, signal.SIGTERM)
        elif replica.phase is Phase.ENDING and replica.overdue:
            yield End(replica.name, signal.SIGKILL)


def _running(replicas: Sequence[ObservedReplica]) -> list[ObservedReplica]:
    return [replica for replica in replicas if replica.phase in (Phase.STARTING, Phase.READY)]
