"""Asks replicas whether they are ready, and later whether they live, aside of the loop."""

from __future__ import annotations

from functools import partial
from typing import Final

from deployer.local import probes
from deployer.local.background import Background
from deployer.local.policy.plan import Phase
from deployer.local.probes import Failed, Life, NotYet, Ready
from deployer.local.replicas import Replica
from deployer.runtimes.base import Process

START_EVERY = 0.25
"""Seconds between questions to a replica that is starting: people wait for it."""
START_TIMEOUT = 30.0
"""Seconds for an answer: a first prediction may compile the model."""
START_LIMIT = 900.0
"""Seconds to become ready. Large models load for minutes; one that hangs should be tried again."""
ALIVE_EVERY = 5.0
ALIVE_TIMEOUT = 5.0
"""Seconds, both, as in a pod's readiness probe. The process itself is watched all the time: this is for the rare one
that lives, and has stopped listening or hangs."""
MISSES = 3
"""Looks in a row at which a replica that was ready is not well. Where its ports accept no connections, it counts as
dead then; where it does not answer, as not ready."""


_ALIVE: Final = "alive"

Key = tuple[str, int]
"""A replica's name and its process."""


class Prober:
    """The questions under way to all replicas. One round is `collect`, then a `look` at each, then `ask`."""

    def __init__(self) -> None:
        self._starting: Background[Ready | NotYet | Failed] = Background()
        self._alive: Background[dict[Key, Life]] = Background()
        self._answers: dict[Key, Life] = {}
        self._due: dict[Key, Process] = {}
        self._asked = False

    def collect(self) -> None:
        """What those that are ready answered since the last round."""
        self._answers.clear()
        try:
            answers = self._alive.answer(_ALIVE)
        except OSError:  # for want of descriptors, which says nothing of them
            answers = {}
        if answers is not None:
            self._answers.update(answers)
            self._asked = False

    def ask(self) -> None:
        """Ask all that are due whether they live: at once, since a thread for each costs more than the question."""
        if self._due and not self._asked:
            self._alive.ask(_ALIVE, partial(_alive, self._due))
            self._due = {}
            self._asked = True

    def look(self, replica: Replica, now: float) -> Ready | NotYet | Failed | None:
        """What is new about a replica that is starting or ready: Ready once, NotYet once it is ready no more, Failed,
        or None for nothing."""
        process, key = replica.process, (replica.name, replica.record.identity.pid)
        starting = replica.phase is Phase.STARTING
        if process is None:
            return None
        if not starting:
            life = self._answers.pop(key, None)
            if life is not None:
                replica.missed = 0 if life is Life.ANSWERING else replica.missed + 1
            if now >= replica.ask_at:
                replica.ask_at = now + ALIVE_EVERY
                self._due[key] = process
            if replica.missed < MISSES:
                return None
            if life is Life.GONE:
                return Failed("its ports accept no connections")
            replica.missed, replica.ask_at = 0, now
            return NotYet(f"it accepts connections and does not answer {process.ready.path}")
        if now >= replica.ask_at:
            replica.ask_at = now + START_EVERY
            self._starting.ask(key, partial(probes.check, process, START_TIMEOUT))
        match self._starting.answer(key):
            case NotYet(reason):
                replica.reason = reason
            case Ready() | Failed() as verdict:
                return verdict
        limit = replica.timeout if replica.record.ready else START_LIMIT
        if now - replica.since > limit:
            return Failed(f"not ready after {limit:.0f} s: {replica.reason or 'no answer'}")
        return None


def _alive(processes: dict[Key, Process]) -> dict[Key, Life]:
    return dict(zip(processes, probes.alive(list(processes.values()), ALIVE_TIMEOUT), strict=True))
