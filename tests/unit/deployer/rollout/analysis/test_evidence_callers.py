"""Which callers evidence came from, as gateways say it."""

from __future__ import annotations

from pydantic import TypeAdapter

from deployer.rollout.analysis.buckets import Buckets, Fresh
from deployer.rollout.analysis.evidence import Comparison, EvidenceLedger, taken
from deployer.rollout.analysis.products import Counts, GroupLook, Look
from deployer.rollout.analysis.reading import Count, Reading
from gateway.contract.evidence import CALLER_GROUPS

ARMS = Comparison("v1", "v2", "vision/digits v1 v2 1", steady=2)
BEGUN = EvidenceLedger(after=1).knowing(2, 0.05)


def look(before: EvidenceLedger, reading: Reading) -> tuple[EvidenceLedger, list[Look]]:
    after, looks = taken(before, ARMS, [reading], 1000.0)
    return after, looks["errors"]


def test_what_came_from_which_callers_goes_along() -> None:
    """New of each group is what it has more of; a source that can't tell is believed in all."""
    none = ((0, 0, 0, 0),) * (CALLER_GROUPS - 2)
    before = Count("v2", 2, False, 10, 1, 0, 0, ((4, 1, 0, 0), (6, 0, 0, 0), *none))
    after = Count("v2", 2, False, 15, 3, 0, 0, ((4, 1, 0, 0), (11, 2, 0, 0), *none))
    first, looks = look(BEGUN, Reading("a", 2, (before, Count("v1", 2, False, 7, 1, 0, 0))))
    assert looks == [
        Look(
            *(0.05, 10, 1, 7, 1, None, None),
            (GroupLook(0, 4, Counts(1, 0, 4, 1, 4, 1)), GroupLook(1, 6, Counts(0, 0, 6, 0, 6, 0))),
        )
    ]
    _, looks = look(first, Reading("a", 2, (after, Count("v1", 2, False, 7, 1, 0, 0))))
    assert looks == [Look(0.05, 5, 2, 0, 0, None, None, (GroupLook(1, 5, Counts(2, 0, 5, 2, 5, 2)),))]


def test_one_users_bucket_counts_once_in_each_group_of_callers() -> None:
    """So that whoever else burns that bucket hides nothing."""

    def bitmaps(first: int, second: int) -> tuple[int, ...]:
        return (first, second, *[0] * (CALLER_GROUPS - 2))

    keys = Reading(
        *("a", 2, (), ARMS.salt),
        callers={"v2": {"requests": bitmaps(0b11, 0b110), "errors": bitmaps(0b1, 0b111)}, "v1": {"errors": ()}},
    )
    before, looks = look(BEGUN, keys)
    assert [(one.fresh, [(group.group, group.counts[:4]) for group in one.groups]) for one in looks] == [
        (Fresh(4, 0, 4, 4), [(0, (1, 0, 2, 1)), (1, (3, 0, 2, 3))])
    ]
    _, looks = look(before, keys)
    assert looks == []


def test_what_a_build_kept_that_told_no_callers_apart_is_of_each_group() -> None:
    """Or what it has taken would count again."""
    earlier = TypeAdapter(EvidenceLedger).validate_python(
        {"after": 1, "epochs": {2: 0.05}, "buckets": {"errors": {"canary": 3, "stable": 4}}, "met": 7}
    )
    assert earlier.buckets["errors"] == (Buckets(3, 4),) * (CALLER_GROUPS + 1)
    assert earlier.met == (7,) * (CALLER_GROUPS + 1)
