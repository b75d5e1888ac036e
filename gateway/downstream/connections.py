"""The clients' connections of one worker: what looks after all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from gateway.stats.counters import WorkerSlot

DRAIN_IDLE_SECONDS = 1.0
"""How long a connection without a request stays open once draining: a client may be sending one, which is answered."""


class Swept(Protocol):
    def sweep(self, now: float) -> None:
        """Called each second: end what has waited too long."""
        ...

    def drain(self) -> None:
        """Take no further request; close once the last answer is out."""
        ...


class Clients:
    """`on_empty` is called when the last connection has gone while draining."""

    def __init__(self, slot: WorkerSlot, on_empty: Callable[[], None]) -> None:
        self._slot = slot
        self._on_empty = on_empty
        self._open: set[Swept] = set()
        self.draining = False

    def __iter__(self) -> Iterator[Swept]:
        return iter(self._open)

    def add(self, connection: Swept) -> None:
        self._open.add(connection)
        self._slot.accepted()

    def replace(self, old: Swept, new: Swept) -> None:
        """`old` found out what `new` has to speak."""
        self._open.discard(old)
        self._open.add(new)

    def remove(self, connection: Swept) -> None:
        self._open.discard(connection)
        self._slot.closed()
        if self.draining and not self._open:
            self._on_empty()

    def sweep(self, now: float) -> None:
        for connection in list(self._open):
            connection.sweep(now)

    def drain(self) -> None:
        self.draining = True
        for connection in list(self._open):
            connection.drain()
        if not self._open:
            self._on_empty()
