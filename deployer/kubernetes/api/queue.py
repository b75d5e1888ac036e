"""The ModelDeployments that something has changed about, each once."""

from __future__ import annotations

import heapq
import math
import threading
import time

from deployer.kubernetes.objects.kinds import Key


class Queue:
    """Urgent ones come first: a change of traffic doesn't wait for the thousand that are only looked at again."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._urgent: dict[Key, None] = {}
        self._usual: dict[Key, None] = {}
        self._later: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}

    def add(self, key: Key, *, urgent: bool) -> None:
        with self._condition:
            if urgent:
                self._usual.pop(key, None)
                self._urgent[key] = None
            elif key not in self._urgent:
                self._usual[key] = None
            self._condition.notify()

    def add_later(self, key: Key, delay: float) -> None:
        """Once `delay` seconds have passed, or when it is due anyway."""
        with self._condition:
            due = time.monotonic() + delay
            if due < self._due.get(key, math.inf):
                self._due[key] = due
                heapq.heappush(self._later, (due, key))
                self._condition.notify()

    def take(self, timeout: float) -> Key | None:
        """The next one, waiting for one for at most `timeout` seconds."""
        end = time.monotonic() + timeout
        with self._condition:
            while True:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    due, key = heapq.heappop(self._later)
                    if self._due.get(key) != due:
                        continue  # it was due earlier
                    del self._due[key]
                    if key not in self._urgent:
                        self._usual[key] = None
                for waiting in (self._urgent, self._usual):
                    for key in waiting:
                        del waiting[key]
                        return key
                if now >= end:
                    return None
                self._condition.wait(min(end, self._later[0][0] if self._later else end) - now)

    def __len__(self) -> int:
        with self._condition:
            return len(self._urgent) + len(self._usual)
