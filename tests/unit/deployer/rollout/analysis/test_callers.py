"""That no verdict hangs on the callers of one group."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.rollout.analysis.buckets import SATURATED, Fresh, total
from deployer.rollout.analysis.callers import FEW, doubt
from deployer.rollout.analysis.products import Counts, Evidence, GroupLook, Look, gathered, renewed
from deployer.rollout.analysis.verdict import Verdict
from gateway.contract.evidence import CALLER_GROUPS
from tests.fakes.verdict import ERRORS, LIMITED, RATIO_ALONE, SLOW, found

Numbers = tuple[int, int, int, int]
"""Of one group: the canary's requests and bad ones, stable's requests and bad ones."""
HONEST: Numbers = (100, 1, 1900, 19)
BAD: Numbers = (100, 8, 1900, 19)


def look(*groups: Numbers, share: float = 0.05) -> Look:
    canary, bad, stable, stable_bad = (sum(column) for column in zip(*groups, strict=True))
    parts = [
        GroupLook(group, sent + others, Counts(failed, others_bad, sent, failed, sent, failed))
        for group, (sent, failed, others, others_bad) in enumerate(groups)
    ]
    return Look(share, canary, bad, stable, stable_bad, None, None, tuple(parts))


def keyed(*groups: tuple[Fresh, int], share: float = 0.05) -> Look:
    """Of each group its buckets, and the requests that it sent."""
    parts = [GroupLook(group, sent, Counts(*one.compared[:-1], 0, 0)) for group, (one, sent) in enumerate(groups)]
    sent = sum(sent for _, sent in groups)
    return Look(share, 0, 0, sent, 0, total([one for one, _ in groups]), None, tuple(parts))


def even(numbers: Numbers, *first: Numbers) -> Look:
    """Those groups, and the others each with `numbers`."""
    return look(*first, *[numbers] * (CALLER_GROUPS - len(first)))


def test_what_is_even_is_found_as_it_was() -> None:
    assert found(ERRORS, even(BAD)).verdict is Verdict.ROLLBACK
    assert found(ERRORS, even(HONEST)).verdict is Verdict.HOLD
    assert found(ERRORS, *[even(HONEST)] * 4).verdict is Verdict.ADVANCE
    assert found(ERRORS, even(BAD)).left_out == 0


@pytest.mark.parametrize(
    "his",
    [
        (1_400, 1_400, 26_600, 26_600),  # all he sends fails, by chance on either
        (1_400, 0, 26_600, 0),  # all of it is good
        (100, 3, 1900, 42),  # just as many bad ones as don't stand out
    ],
)
def test_no_caller_hides_a_bad_version(his: Numbers) -> None:
    assert found(ERRORS, even((200, 16, 3800, 38), his)).verdict is Verdict.ROLLBACK
    assert found(ERRORS, *[even((200, 8, 3800, 72), his)] * 40).verdict is not Verdict.ADVANCE


def test_good_requests_of_one_caller_do_not_show_that_little_fails() -> None:
    """2 in 1,000 are more than is negligible, whatever he adds."""
    nothing, his = (5_000, 10, 95_000, 10), (100_000, 0, 900_000, 0)
    assert found(ERRORS, even(nothing)).verdict is not Verdict.ADVANCE
    assert found(ERRORS, even(nothing, his)).verdict is not Verdict.ADVANCE


@pytest.mark.parametrize("bad", [3, 30, 3_000])
def test_no_callers_keys_roll_a_good_version_back(bad: int) -> None:
    """He knows which keys the canary has, and fails with those alone."""
    his, honest = (Fresh(bad, 0, bad, bad), bad), (Fresh(1, 19, 100, 1), 2_000)
    assert found(ERRORS, keyed(his, *[honest] * (CALLER_GROUPS - 1))).verdict is Verdict.HOLD
    quiet = (Fresh(0, 1, 10, 0), 200)
    assert found(ERRORS, keyed(his, *[quiet] * (CALLER_GROUPS - 1))).verdict is Verdict.HOLD


def test_no_callers_keys_make_stable_look_as_bad() -> None:
    his, honest = (Fresh(0, 5_000, 0, 0), 5_000), (Fresh(8, 19, 100, 8), 2_000)
    assert found(ERRORS, keyed(his, *[honest] * (CALLER_GROUPS - 1))).verdict is Verdict.ROLLBACK


def test_no_caller_uses_up_the_buckets_of_others() -> None:
    used = Fresh(0, 0, 0, 0, spent=SATURATED + 0.1)
    honest = Fresh(8, 19, 100, 8, spent=0.1)
    whole = total([used, *[honest] * (CALLER_GROUPS - 1)])
    assert whole == Fresh(56, 133, 700, 56, spent=0.1)
    finding = found(ERRORS, keyed((used, 1_000), *[(honest, 2_000)] * (CALLER_GROUPS - 1)))
    assert (finding.verdict, finding.evidence.saturated) == (Verdict.ROLLBACK, False)
    assert total([used]).spent == total([used, used, honest]).spent == used.spent


def test_a_limit_is_passed_by_nobody_alone() -> None:
    """Neither over it nor below."""
    below, over = (100, 2, 100, 2), (100, 12, 100, 12)
    assert found(LIMITED, look(*[(100, 100, 100, 100)], *[below] * 7, share=0.5)).verdict is not Verdict.ROLLBACK
    hidden = look((700, 0, 700, 0), *[over] * 7, share=0.5)
    assert found(LIMITED, hidden).verdict is Verdict.ROLLBACK


def test_one_address_with_by_far_the_most_is_a_proxy() -> None:
    proxy, others = (200, 16, 3_800, 38), (1, 0, 19, 0)
    assert found(ERRORS, even(others, proxy)).verdict is Verdict.ROLLBACK
    assert doubt(Evidence().after(ERRORS, look(proxy)), limited=False) == doubt(Evidence(), limited=False)


def test_a_few_requests_are_no_proxys() -> None:
    evidence = Evidence().after(ERRORS, look((2, 2, 20, 0), (0, 0, 10, 0)))
    assert doubt(evidence, limited=False).others == {0, 1}


def test_who_is_far_apart_is_left_out_and_said() -> None:
    finding = found(ERRORS, even(BAD, (100, 90, 1900, 1_700)))
    assert finding.left_out == 2_000
    assert "left out are 2000 requests, of groups of callers far apart from all others" in str(finding)
    assert "left out" not in str(found(ERRORS, even(BAD)))


def test_few_events_are_never_far_apart() -> None:
    evidence = Evidence().after(ERRORS, even((10, 0, 190, 0), (10, FEW, 190, 0)))
    assert doubt(evidence, limited=False).apart == frozenset()
    evidence = Evidence().after(ERRORS, even((10, 0, 190, 0), (10, FEW, 190, 1)))
    assert doubt(evidence, limited=False).apart == {0}


def test_what_fails_for_one_caller_alone_rolls_back_where_chance_chose_the_version() -> None:
    """He can't aim at it; with keys he could, and there it takes others."""
    finding = found(ERRORS, even(HONEST, (100, 90, 1900, 19)))
    assert (finding.verdict, finding.left_out) == (Verdict.ROLLBACK, 2_000)
    his, honest = (Fresh(90, 19, 100, 90), 2_000), (Fresh(1, 19, 100, 1), 2_000)
    assert found(ERRORS, keyed(his, *[honest] * (CALLER_GROUPS - 1))).verdict is Verdict.HOLD


def test_where_nobody_tells_callers_apart_all_counts() -> None:
    """As a gateway of the release before, or Prometheus."""
    whole = even(BAD)._replace(groups=())
    assert found(ERRORS, whole).verdict is Verdict.ROLLBACK
    assert found(ERRORS, whole, whole).worse == found(ERRORS, even(BAD), even(BAD)).worse


def test_a_step_that_begins_anew_keeps_whose_the_limits_evidence_is() -> None:
    objective = SLOW.__class__("slow", 2.0, limit=0.05, anew=True)
    evidence = renewed(objective, Evidence().after(objective, even(BAD)))
    assert evidence.without(objective, range(CALLER_GROUPS)).over == pytest.approx(Evidence().over, abs=1e-9)
    assert evidence.worse == Evidence().worse
    again = evidence.after(objective, even((10, 0, 190, 0)))
    assert doubt(again, limited=False).others == set(range(CALLER_GROUPS)), "what was before makes nobody a proxy"


numbers = st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(0, 300)] * 2).map(
    lambda four: (four[0] + four[1], four[1], four[2] + four[3], four[2])
)


@given(st.lists(st.lists(numbers, min_size=CALLER_GROUPS, max_size=CALLER_GROUPS), max_size=6), st.integers(0, 7))
def test_without_a_group_is_as_if_it_had_never_come(looks: Sequence[Sequence[Numbers]], group: int) -> None:
    shares = (0.05, 0.25, 0.5)
    whole = [look(*groups, share=shares[index % 3]) for index, groups in enumerate(looks)]
    nothing = (0, 0, 0, 0)
    rest = [
        look(*[numbers if place != group else nothing for place, numbers in enumerate(groups)], share=shares[index % 3])
        for index, groups in enumerate(looks)
    ]
    for objective in (ERRORS, LIMITED, RATIO_ALONE):
        without = gathered(objective, Evidence(), whole).without(objective, {group}).without_against({group})
        never = gathered(objective, Evidence(), rest)
        assert without.worse == pytest.approx(never.worse)
        assert without.over == pytest.approx(never.over)
        assert (without.fine, without.small) == pytest.approx((never.fine, never.small))
        assert (without.canary_requests, without.canary_bad) == (never.canary_requests, never.canary_bad)
