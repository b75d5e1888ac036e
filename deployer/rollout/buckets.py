"""Evidence where keys stick to versions: which buckets of keys have met a bad event. Pure.

One user's failures all fall on one version, so requests say less than their number. A key's bucket (of 10,000, hashed
with a salt of the rollout) counts once in a rollout, at its first bad event. Bitmaps are merged by OR, so that a
gateway that starts again, or is read twice, does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

BUCKETS = 10_000
SATURATED = BUCKETS // 2
"""Bad buckets, beyond which nothing can be compared. Those left of a *better* canary are more, and would look worse
once 1 - 1/e of all (63 %) are bad; buckets differ, so we stop before."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets that were bad by now, as bits of an integer, on canary and stable."""

    canary: int = 0
    stable: int = 0

    def merged(self, canary: int, stable: int) -> tuple[Buckets, tuple[int, int]]:
        """These and what a reading says; and how many became bad for the first time, on canary and on stable.

        A bucket that became bad on both between two readings was stable's first: keys move to the canary alone.

        Raises:
            ValueError: a bit that stands for no bucket.
        """
        if not (0 <= canary < 1 << BUCKETS and 0 <= stable < 1 << BUCKETS):
            raise ValueError(f"bits beyond the {BUCKETS} buckets")
        seen = self.canary | self.stable
        on_stable = stable & ~seen
        on_canary = canary & ~seen & ~on_stable
        return (
            Buckets(self.canary | on_canary, self.stable | on_stable),
            (on_canary.bit_count(), on_stable.bit_count()),
        )

    @property
    def saturated(self) -> bool:
        return (self.canary | self.stable).bit_count() > SATURATED
