"""Buckets of sticky keys: what of a reading is new, and on which version a bucket was bad first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.rollout.analysis.buckets import Buckets, Fresh
from gateway.contract.evidence import BUCKETS


@pytest.mark.parametrize(
    ("before", "canary", "stable", "after", "fresh"),
    [
        (Buckets(), 0, 0, Buckets(), Fresh(0, 0)),
        (Buckets(), 0b1, 0b110, Buckets(0b1, 0b110), Fresh(1, 2, failed=1)),
        # Read again, or by another gateway: nothing is new.
        (Buckets(0b1, 0b110), 0b1, 0b110, Buckets(0b1, 0b110), Fresh(0, 0, spent=3 / BUCKETS)),
        # A gateway that began anew knows less, and nothing is forgotten.
        (Buckets(0b1, 0b110), 0, 0b1000, Buckets(0b1, 0b1110), Fresh(0, 1, spent=3 / BUCKETS)),
        # Bad on stable before: the canary failed it, but it counts once, for stable.
        (Buckets(0, 0b1), 0b1, 0b1, Buckets(0b1, 0b1), Fresh(0, 0, failed=1, spent=1 / BUCKETS)),
        # Bad on the canary before: that is what counts.
        (Buckets(0b1, 0), 0b1, 0b1, Buckets(0b1, 0), Fresh(0, 0, spent=1 / BUCKETS)),
        # On both between two readings: keys move to the canary alone, so stable was first.
        (Buckets(), 0b1, 0b1, Buckets(0b1, 0b1), Fresh(0, 1, failed=1)),
    ],
)
def test_a_bucket_counts_once_where_it_was_bad_first(
    before: Buckets, canary: int, stable: int, after: Buckets, fresh: Fresh
) -> None:
    assert before.merged(canary, stable) == (after, fresh)


@pytest.mark.parametrize("bits", [-1, 1 << BUCKETS])
def test_a_bit_that_stands_for_no_bucket_is_refused(bits: int) -> None:
    for reading in ((bits, 0), (0, bits)):
        with pytest.raises(ValueError, match="10000 buckets"):
            Buckets().merged(*reading)
    Buckets().merged((1 << BUCKETS) - 1, 0)


bitmaps = st.integers(0, 255)


@settings(deadline=None)
@given(st.lists(st.tuples(bitmaps, bitmaps), max_size=6))
def test_each_bucket_is_counted_once_whatever_is_read(readings: list[tuple[int, int]]) -> None:
    buckets, canary, stable, failed = Buckets(), 0, 0, 0
    for reading in readings:
        buckets, fresh = buckets.merged(*reading)
        canary, stable, failed = canary + fresh.canary, stable + fresh.stable, failed + fresh.failed
        assert buckets.merged(*reading)[1][:4] == (0, 0, 0, 0)
    on_canary = on_stable = 0
    for reading in readings:
        on_canary, on_stable = on_canary | reading[0], on_stable | reading[1]
    assert canary + stable == (on_canary | on_stable).bit_count()
    assert failed == on_canary.bit_count()
    assert buckets.canary == on_canary
    assert stable == buckets.stable.bit_count()
