"""The verdict: what each test says, by tables."""

from __future__ import annotations

import math

import pytest

from deployer.rollout.analysis.buckets import SATURATED, Fresh
from deployer.rollout.analysis.products import RECENT, Evidence, Look, Objective, gathered, renewed
from deployer.rollout.analysis.verdict import ALPHA, Verdict, judge
from gateway.contract.evidence import BUCKETS
from tests.fakes.verdict import ERRORS, LIMITED, RATIO_ALONE, SLOW, found, keyed, look, theta

# What each test says.


@pytest.mark.parametrize(
    ("canary", "stable", "verdict"),
    [
        (0, 0, Verdict.HOLD),  # no event says nothing
        (5, 95, Verdict.HOLD),  # as many as its share: not worse, and not shown to be less than twice as bad
        (30, 70, Verdict.ROLLBACK),
        (30, 570, Verdict.ADVANCE),
        (0, 200, Verdict.ADVANCE),
        (100, 1_000, Verdict.ROLLBACK),  # twice as bad
        (5_000, 95_000, Verdict.ADVANCE),
        (1, 0, Verdict.HOLD),
        (3, 0, Verdict.ROLLBACK),
    ],
)
def test_events_on_a_canary_of_5_percent(canary: int, stable: int, verdict: Verdict) -> None:
    assert found(RATIO_ALONE, look(0.05, canary, stable)).verdict is verdict


def test_no_look_holds() -> None:
    assert judge((ERRORS,), (Evidence(),)).verdict is Verdict.HOLD
    assert judge((), ()).verdict is Verdict.HOLD


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nothing_is_compared_without_both_versions(share: float) -> None:
    finding = found(RATIO_ALONE, look(share, 500 if share else 0, 0 if share else 500))
    assert (finding.worse, finding.fine) == (1, 1)
    assert finding.evidence.canary_bad + finding.evidence.stable_bad == 500


@pytest.mark.parametrize(
    ("ratio", "share", "seconds"),
    # Stable's rate is 1 %, of 100 requests a second; the medians of algorithms.md.
    [(3, 0.05, 105), (5, 0.05, 35), (20, 0.05, 10), (5, 0.01, 185)],
)
def test_how_soon_a_regression_is_seen_in_mean_counts(ratio: float, share: float, seconds: int) -> None:
    canary, stable = round(100 * share * seconds * ratio / 100), round(100 * (1 - share) * seconds / 100)
    assert found(ERRORS, look(share, canary, stable)).verdict is Verdict.ROLLBACK


@pytest.mark.parametrize(("share", "minutes"), [(0.01, 30), (0.05, 7), (0.25, 2)])
def test_how_soon_an_equal_version_advances_in_mean_counts(share: float, minutes: float) -> None:
    # At 1 % and 100 requests a second.
    bad = 60 * minutes
    assert found(ERRORS, look(share, round(bad * share), round(bad * (1 - share)))).verdict is Verdict.ADVANCE


def test_a_better_canary_is_no_evidence_against_it() -> None:
    assert found(ERRORS, look(0.25, 0, 1_000)).worse < 1
    assert found(ERRORS, look(0.25, 100, 900)).worse < 1


def test_each_look_has_its_own_share() -> None:
    """As many as each share says; under the mean share the same sums would be 3 times stable's."""
    finding = found(RATIO_ALONE, look(0.05, 10, 190), look(0.5, 300, 300))
    assert finding.verdict is Verdict.ADVANCE
    assert found(RATIO_ALONE, look(0.2, 310, 490)).verdict is Verdict.ROLLBACK


@pytest.mark.parametrize(
    ("requests", "bad", "verdict"),
    [
        (6_500, 0, Verdict.HOLD),
        (6_700, 0, Verdict.ADVANCE),
        (7_000, 1, Verdict.HOLD),
        (10_000, 1, Verdict.ADVANCE),
        (20_000, 20, Verdict.HOLD),  # that is what is negligible
        (1_000_000, 300, Verdict.ADVANCE),
        (1_000_000, 1_000, Verdict.HOLD),
    ],
)
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_where_hardly_anything_fails_the_canarys_own_rate_is_tested(
    requests: int, bad: int, verdict: Verdict, share: float
) -> None:
    assert found(Objective("errors", 100.0), Look(share, requests, bad, requests, bad)).evidence.small != 0
    finding = found(ERRORS, Look(1.0, requests, bad, 0, 0))
    assert finding.verdict is verdict


def test_nothing_is_negligible_where_the_document_says_so() -> None:
    assert found(RATIO_ALONE, Look(0.5, 10**9, 0, 10**9, 0)).verdict is Verdict.HOLD


@pytest.mark.parametrize(
    ("requests", "bad", "verdict"),
    [
        (100, 5, Verdict.HOLD),
        (10_000, 500, Verdict.HOLD),
        (100, 20, Verdict.ROLLBACK),
        (10_000, 800, Verdict.ROLLBACK),
        (10, 10, Verdict.ROLLBACK),
    ],
)
def test_the_limit_needs_no_stable(requests: int, bad: int, verdict: Verdict) -> None:
    finding = found(LIMITED, Look(1.0, requests, bad, 0, 0))
    assert finding.verdict is verdict
    assert finding.over >= finding.bar_against or verdict is Verdict.HOLD


def test_a_canary_above_the_limit_does_not_advance_though_stable_is_as_bad() -> None:
    same = look(0.5, 300, 300)
    assert found(LIMITED, same).verdict is Verdict.HOLD
    assert found(ERRORS, same).verdict is Verdict.ADVANCE


def test_a_bad_request_may_come_in_a_later_look_than_the_request() -> None:
    at_once = found(LIMITED, Look(0.5, 100, 7, 100, 3))
    later = found(LIMITED, Look(0.5, 100, 0, 100, 1), Look(0.5, 0, 7, 0, 2))
    assert (later.worse, later.fine, later.over) == pytest.approx((at_once.worse, at_once.fine, at_once.over))
    assert later.evidence[:4] == at_once.evidence[:4]


@pytest.mark.parametrize(("ratio", "bad"), [(3, 300), (5, 150), (20, 80)])
def test_a_night_of_good_evidence_does_not_hide_that_the_canary_begins_to_fail(ratio: float, bad: int) -> None:
    """288,000 bad requests are eight hours of 1,000 a second."""
    night = gathered(ERRORS, Evidence(), [look(0.25, 25, 75)] * 2_880)
    canary = round(bad * theta(ratio, 0.25))
    new_start = gathered(ERRORS, night, [look(0.25, 25, 75)] * 5)
    assert judge((ERRORS,), (new_start,)).verdict is Verdict.ADVANCE
    assert judge((ERRORS,), (new_start.after(ERRORS, look(0.25, canary, bad - canary)),)).verdict is Verdict.ROLLBACK
    assert sum(RECENT / (start * (start + 1)) for start in range(1, 100_000)) <= RECENT


# Alpha is shared out.


@pytest.mark.parametrize(
    ("objectives", "restarts", "bar"),
    [
        ((ERRORS,), 1, 100),
        ((ERRORS, ERRORS), 3, 200),
        ((ERRORS, LIMITED), 3, 300),
        ((ERRORS, ERRORS, SLOW), 3, 500),
        ((LIMITED, LIMITED, Objective("slow", 2.0, limit=0.5, anew=True)), 3, 800),
    ],
)
def test_rolling_back_has_one_alpha_and_advancing_one_for_each_objective(
    objectives: tuple[Objective, ...], restarts: int, bar: float
) -> None:
    judgement = judge(objectives, (Evidence(),) * len(objectives), restarts)
    assert {finding.bar_against for finding in judgement.findings} == {bar}
    assert {finding.bar_for for finding in judgement.findings} == {100}


BAD, GOOD, NONE = look(0.25, 100, 20), look(0.25, 100, 300), look(0.25, 0, 0, 100)


@pytest.mark.parametrize(
    ("looks", "verdict"),
    [
        ((GOOD, GOOD), Verdict.ADVANCE),
        ((GOOD, NONE), Verdict.HOLD),
        ((GOOD, BAD), Verdict.ROLLBACK),
        ((NONE, BAD), Verdict.ROLLBACK),
        ((NONE, NONE), Verdict.HOLD),
    ],
)
def test_all_objectives_have_to_be_good_and_one_is_enough_to_be_bad(looks: tuple[Look, Look], verdict: Verdict) -> None:
    judgement = judge((ERRORS, ERRORS), tuple(Evidence().after(ERRORS, one) for one in looks))
    assert judgement.verdict is verdict


def test_latencies_start_anew_except_for_their_limit() -> None:
    slow = Objective("slow", 2.0, limit=0.05, anew=True)
    evidence = Evidence().after(slow, look(0.25, 20, 30))
    assert renewed(slow, evidence) == Evidence(over=evidence.over)
    assert evidence.over != Evidence().over
    assert renewed(ERRORS, evidence) == evidence


# Where keys stick.


def test_of_sticky_keys_buckets_are_compared_and_not_requests() -> None:
    """One user failed a thousand times."""
    requests = Look(0.05, 5_000, 1_000, 95_000, 0, fresh=Fresh(0, 0))
    finding = found(ERRORS, requests, keyed(0.05, Fresh(1, 0, met=50, failed=1)))
    assert finding.verdict is Verdict.HOLD
    assert (finding.evidence.canary_bad, finding.evidence.canary_buckets) == (1_000, 1)
    assert found(ERRORS, keyed(0.05, Fresh(30, 70))).worse == found(ERRORS, look(0.05, 30, 70)).worse


def test_keyed_and_unkeyed_requests_are_strata_that_add_to_one_evidence() -> None:
    both = found(RATIO_ALONE, look(0.05, 10, 20), keyed(0.05, Fresh(20, 50)))
    assert both.worse == pytest.approx(found(RATIO_ALONE, look(0.05, 30, 70)).worse)


def test_of_sticky_keys_that_never_fail_the_buckets_met_are_counted() -> None:
    assert found(ERRORS, Look(0.5, 10**6, 0, 10**6, 0, fresh=Fresh(0, 0))).verdict is Verdict.HOLD
    assert found(ERRORS, keyed(0.5, Fresh(0, 0, met=6_700))).verdict is Verdict.ADVANCE
    assert found(ERRORS, keyed(0.5, Fresh(0, 0, met=6_700, failed=7))).verdict is Verdict.HOLD


def test_saturated_buckets_hold_for_good() -> None:
    good, late = keyed(0.25, Fresh(100, 300)), keyed(0.25, Fresh(500, 0, spent=SATURATED + 0.0001))
    assert found(ERRORS, good).verdict is Verdict.ADVANCE
    finding = found(ERRORS, good, late, good)
    assert finding.verdict is Verdict.HOLD
    assert finding.worse < finding.bar_against
    assert "no more can be told" in str(finding)


def test_a_canary_that_uses_up_its_buckets_sooner_does_not_look_better_for_it() -> None:
    """Each bucket is one key's, and the canary twice as bad: at the end as many are bad on either."""
    left, bad = [5_000.0, 5_000.0], [0, 0]
    evidence = endless = Evidence()
    for _ in range(1_000):
        spent = sum(bad) / BUCKETS
        left = [left[0] * 0.98, left[1] * 0.99]
        now = [5_000 - round(part) for part in left]
        fresh = Fresh(now[0] - bad[0], now[1] - bad[1], spent=spent)
        evidence = evidence.after(RATIO_ALONE, keyed(0.5, fresh))
        endless = endless.after(RATIO_ALONE, keyed(0.5, fresh._replace(spent=0.0)))
        bad = now
        assert judge((RATIO_ALONE,), (evidence,)).findings[0].fine < 1
    assert bad == [5_000, 5_000]
    assert judge((RATIO_ALONE,), (endless,)).findings[0].fine > 1 / ALPHA


def test_while_the_share_changes_each_test_reckons_with_what_speaks_against_it() -> None:
    changing = found(RATIO_ALONE, keyed(0.25, Fresh(40, 160), least=0.05))
    assert changing.worse == found(RATIO_ALONE, keyed(0.25, Fresh(40, 160))).worse
    assert changing.fine == found(RATIO_ALONE, keyed(0.05, Fresh(40, 160))).fine
    begins = found(RATIO_ALONE, keyed(0.05, Fresh(40, 160), least=0.0))
    assert begins.fine == 1
    assert begins.verdict is Verdict.ROLLBACK


# What is said of it.


@pytest.mark.parametrize(
    ("looks", "text"),
    [
        (
            (look(0.05, 30, 70),),
            "errors: 6.00% of 500 on the canary, 0.74% of 9500 on stable; the canary is worse (e-value ",
        ),
        (
            (look(0.05, 1, 19),),
            "errors: 0.20% of 500 on the canary, 0.20% of 9500 on stable; less than 2 times stable's, or below 0.10%, "
            "is not shown yet (e-value ",
        ),
        ((look(0.5, 100, 100),), "or below 0.10%, is shown (e-value "),
        ((look(0.5, 2_000, 2_000),), "above the limit of 5.00% (e-value "),
        ((look(0.5, 251, 251),), "above the limit of 5.00% by now"),
        ((keyed(0.05, Fresh(2, 3)),), "(of sticky keys, buckets 2 and 3)"),
    ],
)
def test_findings_say_their_figures(looks: tuple[Look, ...], text: str) -> None:
    assert text in str(found(LIMITED, *looks))


def test_the_reason_is_that_of_the_verdict() -> None:
    slow = Evidence().after(ERRORS, BAD)
    fine = Evidence().after(ERRORS, GOOD)
    assert judge((SLOW, ERRORS), (slow, fine)).reason.startswith("slow: ")
    assert "errors" not in judge((SLOW, ERRORS), (slow, fine)).reason
    assert judge((SLOW, ERRORS), (fine, fine)).reason.count("is shown") == 2


@pytest.mark.parametrize(
    "bad",
    [
        Look(-0.1, 1, 0, 1, 0),
        Look(1.1, 1, 0, 1, 0),
        Look(math.nan, 1, 0, 1, 0),
        Look(0.5, -1, 0, 1, 0),
        Look(0.5, 1, 0, 1, -1),
        Look(0.05, 1, 0, 1, 0, least=0.25),
    ],
)
def test_impossible_looks_are_refused(bad: Look) -> None:
    with pytest.raises(ValueError, match="out of its range"):
        Evidence().after(ERRORS, bad)
