"""The time that a rollout goes by: what was observed, not what the wall clock says. Pure.

A machine sleeps, a clock is set, an operator is away for a night: nobody has seen how the canary did meanwhile, and
nothing may have run. So a gap between two looks counts for `MOST` seconds at most, and one back in time for none.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST = 10.0
"""Seconds that a gap between two looks counts for at most."""
KEPT_EVERY = 5.0
"""Seconds after which the time of a look is kept though nothing else has changed; well below `MOST`, so that what
isn't kept is no gap."""


@dataclass(frozen=True)
class Clock:
    """`at`: the wall clock's time of the last look that was kept, in seconds since 1970; 0 before the first.
    `unobserved`: the seconds of the wall clock until then that count for nothing; below 0 where it was set back."""

    at: float = 0.0
    unobserved: float = 0.0

    def advanced(self, wall: float) -> Clock:
        """At a look at that time of the wall clock."""
        gap = wall - self.at if self.at else 0.0
        return Clock(wall, self.unobserved + gap - min(max(gap, 0.0), MOST))

    @property
    def now(self) -> float:
        """The time by what was observed."""
        return self.at - self.unobserved

    def wall(self, time: float) -> float:
        """When the wall clock says, or will say, that time, if it goes on as it does."""
        return time + self.unobserved

    def is_due(self, before: Clock) -> bool:
        """Whether it is to be kept though nothing but the time has changed."""
        return self.unobserved != before.unobserved or self.at - before.at >= KEPT_EVERY
