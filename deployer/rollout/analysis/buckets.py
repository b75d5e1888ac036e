"""Evidence where keys stick to versions: which buckets of keys have met a bad event. Pure.

One user's requests fail together, and all of them fall on one version: they say less than their number. So the unit is
the key's bucket (of 10,000, hashed with a salt of the rollout), which counts once in a rollout, at its first bad event.
Bitmaps are merged by OR, so that a gateway that starts again, or is read twice, does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.contract.evidence import BUCKETS

SATURATED = 0.5
"""The part of all buckets that are bad, beyond which nothing is compared. A canary that is worse uses its buckets up
sooner than stable does, so that in the end as many are bad on either, however much worse it is."""


class Fresh(NamedTuple):
    """What one reading brought that was not known before, in buckets.

    `canary`, `stable`: those whose first bad event was on that version. `met`: those that the canary had its first
    request of; `failed`: those that had their first bad one on the canary, whatever they had met on stable. `spent`:
    the part (0 to 1) of all buckets that were bad before.
    """

    canary: int
    stable: int
    met: int = 0
    failed: int = 0
    spent: float = 0.0

    @property
    def compared(self) -> Fresh:
        """Without what is not compared, where too many are used up."""
        return self if self.spent <= SATURATED else self._replace(canary=0, stable=0)


def total(fresh: Sequence[Fresh]) -> Fresh:
    """Of all groups of callers, each of which has all the buckets. As spent counts what the second of them has, where
    there is one: callers at one address use up no others' buckets."""
    compared = [one.compared for one in fresh]
    spent = sorted([one.spent for one in fresh if one.spent], reverse=True)[:2]
    return Fresh(
        sum([one.canary for one in compared]),
        sum([one.stable for one in compared]),
        sum([one.met for one in fresh]),
        sum([one.failed for one in fresh]),
        spent[-1] if spent else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Buckets:
    """As bits of an integer: those that were bad on the canary by now, and those that were bad on stable before they
    were on the canary."""

    canary: int = 0
    stable: int = 0

    def merged(self, canary: int, stable: int) -> tuple[Buckets, Fresh]:
        """These with a reading: the buckets that are bad on each version. Of those met nothing is known here.

        A bucket that became bad on both between two readings was stable's first: keys move to the canary alone.

        Raises:
            ValueError: a bit that stands for no bucket.
        """
        if not (0 <= canary < 1 << BUCKETS and 0 <= stable < 1 << BUCKETS):
            raise ValueError(f"bits beyond the {BUCKETS} buckets")
        bad = self.canary | self.stable
        on_stable = stable & ~bad
        on_canary = canary & ~self.canary
        first = on_canary & ~self.stable & ~on_stable
        fresh = Fresh(
            first.bit_count(), on_stable.bit_count(), failed=on_canary.bit_count(), spent=bad.bit_count() / BUCKETS
        )
        return Buckets(self.canary | on_canary, self.stable | on_stable), fresh
