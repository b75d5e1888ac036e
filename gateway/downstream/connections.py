"""The clients' connections of one worker: what looks after all of them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Protocol

from gateway.downstream.turns import Turns
from gateway.refusal import Code, Refusal
from gateway.stats.counters import WorkerSlot

DRAIN_IDLE_SECONDS = 1.0
"""How long a connection without a request stays open once draining: a client may be sending one, which is answered."""

SEARCHED = 1000
"""Connections that are looked at for one to close."""


class Swept(Protocol):
    def sweep(self, now: float) -> None:
        """Called each second: end what has waited too long."""
        ...

    def drain(self) -> None:
        """Take no further request; close once the last answer is out."""
        ...

    def expel(self, refusal: Refusal) -> None:
        """End the calls that are under way."""
        ...

    @property
    def idle_since(self) -> float | None:
        """When it was last heard; None where a request is under way, or an answer."""
        ...

    def close(self) -> None:
        """End it, with nothing under way."""
        ...


class Clients:
    """`on_empty` is called when the last connection has gone while draining. `most` connections may be open."""

    def __init__(self, slot: WorkerSlot, on_empty: Callable[[], None], most: int = sys.maxsize) -> None:
        self._slot = slot
        self._on_empty = on_empty
        self._most = most
        self._open: dict[Swept, None] = {}  # in the order in which they came, or were last found busy
        self.draining = False
        self.turns = Turns()

    def __iter__(self) -> Iterator[Swept]:
        return iter(self._open)

    def add(self, connection: Swept) -> None:
        self._open[connection] = None
        self._slot.accepted()

    @property
    def too_many(self) -> bool:
        return len(self._open) > self._most

    def make_room(self) -> bool:
        """Close the connection that has been idle for longest of those that are looked at. False: none is; then others
        are looked at next."""
        looked_at = list(itertools.islice(self._open, SEARCHED))
        found = [
            (since, number, connection)
            for number, connection in enumerate(looked_at)
            if (since := connection.idle_since) is not None
        ]
        if not found:
            for connection in looked_at:
                self._open[connection] = self._open.pop(connection)
            return False
        chosen = min(found)[2]
        del self._open[chosen]  # at once: many may come in one turn
        chosen.close()
        return True

    def replace(self, old: Swept, new: Swept) -> None:
        """`old` found out what `new` has to speak."""
        self._open.pop(old, None)
        self._open[new] = None

    def remove(self, connection: Swept) -> None:
        self._open.pop(connection, None)
        self._slot.closed()
        if self.draining and not self._open:
            self._on_empty()

    def sweep(self, now: float) -> None:
        for connection in list(self._open):
            connection.sweep(now)

    def expel(self) -> None:
        """End all calls that are under way: the time to drain is over."""
        refusal = Refusal(Code.UNAVAILABLE, "gateway_ended", "this gateway ends; try again")
        for connection in list(self._open):
            connection.expel(refusal)

    def drain(self) -> None:
        self.draining = True
        for connection in list(self._open):
            connection.drain()
        if not self._open:
            self._on_empty()
