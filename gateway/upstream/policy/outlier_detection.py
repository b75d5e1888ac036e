"""Which endpoints are left out for a while. Pure: the clock is passed in.

After Envoy's outlier detection: five failures in a row eject, for longer each time. A refused connection ejects at once
and for a shorter time, since it says that nothing listens there, and asking again costs next to nothing.
"""

from __future__ import annotations

CONSECUTIVE_FAILURES = 5
BASE_SECONDS = 30.0
MAX_SECONDS = 300.0
REFUSED_SECONDS = 0.5
MAX_REFUSED_SECONDS = 10.0


class OutlierDetection:
    """One endpoint's health as this worker has seen it."""

    __slots__ = ("_failures", "_times", "troubled", "until")

    def __init__(self) -> None:
        self._failures = 0
        self._times = 0
        self.until = 0.0
        """The time (seconds, monotonic) up to which the endpoint is left out."""
        self.troubled = False
        """Whether a success would change anything."""

    def succeeded(self) -> None:
        self._failures = self._times = 0
        self.until = 0.0
        self.troubled = False

    def failed(self, now: float, *, refused: bool) -> bool:
        """Count a failure; `refused` where no connection could be had. True where this ejects the endpoint."""
        if now < self.until:
            return False  # an answer to what was sent before
        self.troubled = True
        self._failures += 1
        if not refused and self._failures < CONSECUTIVE_FAILURES:
            return False
        base, most = (REFUSED_SECONDS, MAX_REFUSED_SECONDS) if refused else (BASE_SECONDS, MAX_SECONDS)
        self.until = now + min(base * 2**self._times, most)
        self._times = min(self._times + 1, 20)
        self._failures = 0
        return True
