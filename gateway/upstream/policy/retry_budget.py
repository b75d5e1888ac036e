"""How many retries are affordable. Pure: the clock is passed in."""

from __future__ import annotations


class RetryBudget:
    """A token bucket that requests fill and retries empty, so that retries can't multiply an outage.

    Each request adds a fifth of a token (Envoy's and Finagle's 20 %), time adds `floor` tokens a second (Finagle's 10),
    a retry takes one. The bucket holds `depth`: what one dead replica of a busy version may lose at once.
    """

    __slots__ = ("_at", "_depth", "_floor", "_ratio", "_tokens")

    def __init__(self, now: float, *, ratio: float = 0.2, floor: float = 10, depth: float = 100) -> None:
        self._ratio = ratio
        self._floor = floor
        self._depth = depth
        self._tokens = depth
        self._at = now

    def request(self) -> None:
        self._tokens += self._ratio

    def take(self, now: float) -> bool:
        """Whether one retry may go out at `now` (seconds, monotonic)."""
        self._tokens = min(self._depth, self._tokens + (now - self._at) * self._floor)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
