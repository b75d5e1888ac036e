"""The turns of one worker's loop, and whose they are."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

TURN_SECONDS = 0.001
"""After so long a connection that has more to be read waits for its next turn: an honest client's request needs some
three turns of the loop, and a model server that is fast a few milliseconds."""

DEAR_SECONDS = 1.0
"""So long after it has waited, a connection joins those that wait even with the first that it sends."""


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
