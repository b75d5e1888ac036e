"""How often a measure of the user's was out of its limits, and whether that is too often. Pure.

An e-value against "each look is out of the limits with probability `TOLERATED` at most, whatever the looks before
were": below that, it comes to its bar in one rollout of a hundred at most, however often one looks. It is a mixture
over alternatives, and over the look with which the trouble began: the i-th has 1 / (i * (i + 1)) of it, which add to 1.
So a long good time hides no bad one after it, and one good look clears nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployer.rollout.analysis.verdict import ALPHA

TOLERATED = 0.05
"""The part of looks that may be out of the limits by chance."""
ALTERNATIVES = (0.5, 0.9)
"""The parts that are looked for: one that flaps, and one that is broken."""
LEAST_BAD = 3
"""Looks out of the limits that end a rollout at the least: fewer may have seen one and the same incident."""


@dataclass(frozen=True)
class MetricLooks:
    """Looks at one metric since the rollout began, and those of them that were `bad`; when the `last` was. `started`:
    for each of `ALTERNATIVES` the part of the e-value that has started."""

    looks: int = 0
    bad: int = 0
    last: float = 0.0
    started: tuple[float, ...] = (0.0,) * len(ALTERNATIVES)

    def after(self, is_bad: bool, now: float) -> MetricLooks:
        """With one look more."""
        looks = self.looks + 1
        starts = 1 / (looks * (looks + 1))
        started = tuple(
            (before + starts) * (part / TOLERATED if is_bad else (1 - part) / (1 - TOLERATED))
            for before, part in zip(self.started, ALTERNATIVES, strict=True)
        )
        return MetricLooks(looks, self.bad + is_bad, now, started)

    @property
    def against(self) -> float:
        """The e-value. What has yet to start is 1 until then."""
        return sum(self.started) / len(self.started) + 1 / (self.looks + 1)

    def is_broken(self, metrics: int) -> bool:
        """Whether it is out of its limits too often, where so many `metrics` are asked."""
        return self.bad >= LEAST_BAD and self.against >= bar(metrics)

    @property
    def is_doubtful(self) -> bool:
        """Whether the looks speak rather against it than for it."""
        return self.against > 1


def bar(metrics: int) -> float:
    """What `against` has to reach, where any of so many metrics may end the rollout."""
    return metrics / ALPHA
