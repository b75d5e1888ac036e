"""When a version that failed is started again. Pure: the clock and the random number are passed in."""

from __future__ import annotations

from dataclasses import dataclass

FIRST = 0.5
"""Seconds before the first restart: a crash that happens once should cost little."""
FACTOR = 2.0
LONGEST = 60.0
"""Seconds. A model that can't load is tried once a minute: loading can take all cores, which others need."""
HOPELESS = 5
"""As how many failures in a row one counts that only a change of the model or the document can mend."""
WELL_AFTER = 30.0
"""Seconds for which all replicas of a version have to be ready before its earlier failures count no more."""


@dataclass(frozen=True)
class Backoff:
    """What is remembered of a version's failures. Times are in seconds on any clock that only goes forward."""

    failures: int = 0
    """In a row: since the version last ran well."""
    not_before: float = 0.0

    def failed(self, now: float, u: float, *, hopeless: bool = False) -> Backoff:
        """After one more failure. `u` is uniform on [0, 1): it spreads restarts over [delay / 2, delay)."""
        failures = max(self.failures, HOPELESS - 1) if hopeless else self.failures
        delay = min(LONGEST, FIRST * FACTOR ** min(failures, 32))
        return Backoff(failures + 1, now + delay * (1 + u) / 2)

    def well_for(self, seconds: float) -> Backoff:
        """After all replicas have been ready for that long."""
        return Backoff() if self.failures and seconds >= WELL_AFTER else self


@dataclass
class Trouble:
    """What a supervisor remembers of the failures of a version, or of the gateway."""

    backoff: Backoff = Backoff()
    reason: str = ""
    """The last failure's; empty once it has been forgotten."""
    restarts: int = 0
    """Starts after a failure."""
    failures: int = 0
    """All there were, forgotten or not."""
    last: str = ""
    """The reason of the last of them."""
    well_since: float | None = None

    def failed(self, reason: str, now: float, u: float, *, hopeless: bool = False) -> None:
        self.backoff, self.reason, self.well_since = self.backoff.failed(now, u, hopeless=hopeless), reason, None
        self.failures, self.last = self.failures + 1, reason

    def watch(self, well: bool, now: float) -> None:
        """Note whether all replicas are ready now."""
        if not well:
            self.well_since = None
            return
        if self.well_since is None:
            self.well_since = now
        self.backoff = self.backoff.well_for(now - self.well_since)
        if not self.backoff.failures:
            self.reason = ""
