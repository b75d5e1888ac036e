"""Which failed requests are logged: a token bucket. Pure: the time is passed in."""

from __future__ import annotations


class Sampler:
    """Lets `per_second` through on average, and as many at once after a quiet second."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._most = max(per_second, 1.0)
        self._tokens = self._most
        self._at = 0.0
        self._suppressed = 0

    def allow(self, now: float) -> tuple[bool, int]:
        """Whether to log what failed at `now` (seconds of any clock that does not go back), and if so, how many were
        not logged since the last one that was."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            self._suppressed += 1
            return False, 0
        self._tokens -= 1
        suppressed, self._suppressed = self._suppressed, 0
        return True, suppressed
