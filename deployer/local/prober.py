"""Asks replicas whether they are ready, and later whether they live, aside of the loop."""

from __future__ import annotations

from functools import partial

from deployer.local import probes
from deployer.local.background import Background
from deployer.local.policy.plan import Phase
from deployer.local.probes import Failed, NotYet, Ready
from deployer.local.replicas import Replica

START_EVERY = 0.25
"""Seconds between questions to a replica that is starting: people wait for it."""
START_TIMEOUT = 30.0
"""Seconds for an answer: a first prediction may compile the model."""
START_LIMIT = 900.0
"""Seconds to become ready. Large models load for minutes; one that hangs should be tried again."""
ALIVE_EVERY = 5.0
ALIVE_TIMEOUT = 2.0
"""Seconds, both. The process itself is watched all the time: this is for the rare one that lives and has stopped
listening."""
MISSES = 3
"""Looks in a row at which a ready replica's ports accept no connection, before it counts as dead."""


class Prober:
    """The questions under way to all replicas."""

    def __init__(self) -> None:
        self._starting: Background[Ready | NotYet | Failed] = Background()
        self._alive: Background[bool] = Background()

    def look(self, replica: Replica, now: float) -> Ready | Failed | None:
        """What is new about a replica that is starting or ready: Ready once, Failed, or None for nothing."""
        process, key = replica.process, (replica.name, replica.record.identity.pid)
        starting = replica.phase is Phase.STARTING
        if process is None:
            return None
        if not starting:
            if (alive := self._alive.answer(key)) is not None:
                replica.missed = 0 if alive else replica.missed + 1
            if now >= replica.ask_at:
                replica.ask_at = now + ALIVE_EVERY
                self._alive.ask(key, partial(probes.alive, process, ALIVE_TIMEOUT))
            return Failed("its ports accept no connections") if replica.missed >= MISSES else None
        if now >= replica.ask_at:
            replica.ask_at = now + START_EVERY
            self._starting.ask(key, partial(probes.check, process, START_TIMEOUT))
        match self._starting.answer(key):
            case NotYet(reason):
                replica.reason = reason
            case Ready() | Failed() as verdict:
                return verdict
        if now - replica.since > START_LIMIT:
            return Failed(f"not ready after {START_LIMIT:.0f} s: {replica.reason or 'no answer'}")
        return None
