"""The turns of one worker's loop, and whose they are."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from time import monotonic

DEAR_SECONDS = 1.0
"""So long after it has waited, a connection joins those that wait whatever it sends."""

PORTION_BYTES = 4096
"""With more than that it does so anyway. And no more is read at once of requests in HTTP/1.1, but for bodies, which are
cheap: heads that are new take some 25 microseconds each."""


class Turns:
    """Connections that had more to be read than one turn has time for: each turn of the loop has one of them.

    Between two of their turns all else is done that is there. So a client that asks for little waits for one of them
    at most, however many they are; and where no other asks for anything, they have all the time.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self.taken = False
        """The next turn is given away."""

    def wait(self, take: Callable[[], None]) -> None:
        """`take` is called in a turn of its own."""
        self._waiting.append(take)
        if not self.taken:
            self.taken = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        take = self._waiting.popleft()
        self.taken = bool(self._waiting)
        if self.taken:
            asyncio.get_running_loop().call_soon(self._next)
        take()


class TurnTaker(ABC):
    """A client's connection as one that takes turns. While it waits for one it is not read."""

    transport: asyncio.Transport
    turns: Turns

    late = b""
    """What has come and waits to be taken."""
    waits = False
    _dear_until = 0.0

    @abstractmethod
    def take_turn(self) -> None:
        """Take some of `late` and of what else there is."""

    def joins(self, data: bytes) -> bool:
        """Whether what has come waits with the others: where there are some, and it is much or this one has been among
        them."""
        if not self.turns.taken or (len(data) <= PORTION_BYTES and monotonic() >= self._dear_until):
            return False
        self.late += data
        self.wait()
        return True

    def wait(self) -> None:
        if not self.waits and not self.transport.is_closing():
            self.waits = True
            self._dear_until = monotonic() + DEAR_SECONDS
            self.transport.pause_reading()
            self.turns.wait(self._next_turn)

    def _next_turn(self) -> None:
        self.waits = False
        if not self.transport.is_closing():
            self.take_turn()
