"""The verdict is what it claims for any counts, by Hypothesis."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.rollout.analysis.buckets import Fresh
from deployer.rollout.analysis.products import WINDOW, WORSE, Evidence, Look, Objective, gathered
from deployer.rollout.analysis.verdict import Finding, Verdict, judge
from tests.fakes.verdict import ERRORS, LIMITED, RATIO_ALONE, found, keyed, look, theta

shares = st.floats(0.0001, 0.9999)
margins = st.floats(1.1, 100)
counts = st.integers(0, 1_000)
few = st.integers(0, WINDOW // 5)
"""So few that nothing starts anew, which it does between looks."""
looks = st.builds(look, st.sampled_from([0.01, 0.05, 0.25, 0.5]), st.integers(0, 50), st.integers(0, 50))


def means(objective: Objective, share: float, ratio: float, before: Evidence) -> Finding:
    """What is expected of the next bad event, where the canary's risk is `ratio` times stable's."""
    chance = theta(ratio, share)
    one, other = (
        judge((objective,), (before.after(objective, keyed(share, Fresh(*event))),)).findings[0]
        for event in ((1, 0), (0, 1))
    )
    worse, fine = (chance * a + (1 - chance) * b for a, b in ((one.worse, other.worse), (one.fine, other.fine)))
    return one._replace(worse=worse, fine=fine)


@settings(deadline=None)
@given(shares, st.floats(0, 1), st.integers(0, 3), st.lists(looks, max_size=3))
def test_against_a_canary_that_is_no_worse_evidence_is_not_expected_to_grow(
    share: float, ratio: float, windows: int, before: list[Look]
) -> None:
    """What makes it an e-value, whatever went before, and where a part of it starts anew."""
    evidence = gathered(RATIO_ALONE, Evidence(), [*before, *[look(0.25, WINDOW // 4, WINDOW * 3 // 4)] * windows])
    now = judge((RATIO_ALONE,), (evidence,)).findings[0].worse
    assert means(RATIO_ALONE, share, ratio, evidence).worse <= now * (1 + 1e-9)


@settings(deadline=None)
@given(shares, margins, st.floats(1, 10), st.lists(looks, max_size=3))
def test_for_a_canary_at_the_margin_or_beyond_evidence_is_not_expected_to_grow(
    share: float, margin: float, beyond: float, before: list[Look]
) -> None:
    objective = Objective("errors", margin, negligible=0.0)
    evidence = gathered(objective, Evidence(), before)
    now = judge((objective,), (evidence,)).findings[0].fine
    assert means(objective, share, margin * beyond, evidence).fine <= now * (1 + 1e-9)


@settings(deadline=None)
@given(st.floats(0.0001, 0.5), st.floats(1, 2), st.integers(0, 5_000), st.integers(0, 5))
def test_for_a_rate_that_is_not_negligible_evidence_is_not_expected_to_grow(
    negligible: float, times: float, requests: int, bad: int
) -> None:
    objective = Objective("errors", 2.0, negligible=negligible)
    before, rate = Evidence().after(objective, Look(1.0, requests, bad, 0, 0)), negligible * times
    now, failed, went_well = (
        judge((objective,), (evidence,)).findings[0].fine
        for evidence in (before, *(before.after(objective, Look(1.0, 1, how, 0, 0)) for how in (1, 0)))
    )
    assert rate * failed + (1 - rate) * went_well <= now * (1 + 1e-9)


@settings(deadline=None)
@given(st.floats(0.0001, 0.99), st.floats(0, 1), st.integers(0, 500), st.integers(0, 50))
def test_against_a_rate_within_the_limit_evidence_is_not_expected_to_grow(
    limit: float, part: float, requests: int, bad: int
) -> None:
    objective = Objective("errors", 2.0, limit=limit)
    before, rate = Evidence().after(objective, Look(1.0, requests, bad, 0, 0)), limit * part
    now, failed, went_well = (
        judge((objective,), (evidence,)).findings[0].over
        for evidence in (before, *(before.after(objective, Look(1.0, 1, how, 0, 0)) for how in (1, 0)))
    )
    assert rate * failed + (1 - rate) * went_well <= now * (1 + 1e-9)


@settings(deadline=None)
@given(shares, counts, counts, st.integers(1, 100), margins)
def test_a_bad_event_on_the_canary_speaks_against_it_and_one_on_stable_for_it(
    share: float, canary: int, stable: int, more: int, margin: float
) -> None:
    objective = Objective("errors", margin, limit=0.05)

    def e_values(canary: int, stable: int) -> tuple[float, float]:
        finding = found(objective, Look(share, 10_000, canary, 10_000, stable))
        return finding.worse, finding.fine

    (worse, fine), (worse_more, fine_less) = e_values(canary, stable), e_values(canary + more, stable)
    assert worse_more >= worse * (1 - 1e-9)
    assert fine_less <= fine * (1 + 1e-9)
    (worse_less, fine_more) = e_values(canary, stable + more)
    assert worse_less <= worse * (1 + 1e-9)
    assert fine_more >= fine * (1 - 1e-9)


@settings(deadline=None)
@given(st.lists(looks, min_size=2, max_size=4))
def test_the_order_of_looks_is_no_matter(several: list[Look]) -> None:
    first, *others = [found(LIMITED, *order) for order in permutations(several)]
    for other in others:
        assert other[2:] == pytest.approx(first[2:], rel=1e-6)
        assert other.evidence[:4] == first.evidence[:4]


@settings(deadline=None)
@given(shares, few, few, few, few)
def test_it_is_no_matter_how_counts_are_cut_into_looks(
    share: float, canary: int, stable: int, canary_later: int, stable_later: int
) -> None:
    whole = found(LIMITED, Look(share, 4_000, canary + canary_later, 4_000, stable + stable_later))
    cut = found(
        LIMITED, Look(share, 3_000, canary, 1_000, stable), Look(share, 1_000, canary_later, 3_000, stable_later)
    )
    assert cut[2:] == pytest.approx(whole[2:], rel=1e-6)


@settings(deadline=None)
@given(st.lists(st.builds(look, shares, counts, counts), max_size=20))
def test_judging_changes_nothing(several: list[Look]) -> None:
    evidence = gathered(LIMITED, Evidence(), several)
    assert judge((LIMITED,), (evidence,)) == judge((LIMITED,), (evidence,))


@pytest.mark.parametrize("bad", [(10**9, 0), (0, 10**9), (10**9, 10**9)])
def test_figures_stay_finite(bad: tuple[int, int]) -> None:
    finding = found(LIMITED, Look(0.05, 10**10, bad[0], 10**10, bad[1]))
    assert all(0 <= value < math.inf for value in (finding.worse, finding.fine, finding.over))


def test_ratios_between_those_looked_for_are_caught_too() -> None:
    for ratio in (1.3, 2.5, 7.0, 40.0):
        assert ratio not in WORSE
        canary = round(5_000 * theta(ratio, 0.25))
        assert found(ERRORS, look(0.25, canary, 5_000 - canary, 10**6)).verdict is Verdict.ROLLBACK
