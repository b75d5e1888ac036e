"""Traffic as it is drawn: as much of it as was asked for, and bad where it was asked for."""

from __future__ import annotations

from itertools import pairwise
from math import exp
from random import Random

import pytest
from scipy import stats

from deployer.rollout.analysis.products import Look, Objective
from deployer.rollout.simulation.arrivals import Requests, Traffic, Users
from deployer.rollout.simulation.poisson import poisson
from deployer.rollout.strategy import Plan

PLAN = Plan((5,), 60, 3600, 60, (Objective("errors", 2.0), Objective("slow", 2.0)))


@pytest.mark.parametrize("mean", [0.05, 1.3, 9.9, 10.1, 40, 3000])
def test_poisson(mean: float) -> None:
    random = Random(1)
    numbers = [poisson(mean, random.random) for _ in range(20_000)]
    law = stats.poisson(mean)
    bounds = sorted({int(law.ppf(part / 12)) for part in range(1, 12)})
    observed = [sum(low < number <= high for number in numbers) for low, high in _between(bounds)]
    chances = [law.cdf(high) - law.cdf(low) for low, high in _between(bounds)]
    expected = [chance / sum(chances) * sum(observed) for chance in chances]
    assert sum(observed) == len(numbers)
    assert stats.chisquare(observed, expected).pvalue > 0.001


def _between(bounds: list[int]) -> list[tuple[float, float]]:
    ends = [-1.0, *bounds, float("inf")]
    return list(pairwise(ends))


def test_nothing_is_expected_of_nothing() -> None:
    assert poisson(0, Random(1).random) == 0


def looks(source: Requests, share: float, parts: int) -> dict[str, Look]:
    return {name: look for name, [look] in source.looks([source.part(share, 5) for _ in range(parts)]).items()}


def test_requests_come_at_their_rates() -> None:
    traffic = Traffic(100, {"errors": 0.01, "slow": 0.1}, {"errors": 5, "slow": 2})
    look = looks(Requests(PLAN, traffic, Random(1).random), 0.05, 2000)
    for name, canary, stable in (("errors", 0.05, 0.01), ("slow", 0.2, 0.1)):
        assert look[name].canary_requests == pytest.approx(50_000, rel=0.02)
        assert look[name].stable_requests == pytest.approx(950_000, rel=0.02)
        assert look[name].canary_bad == pytest.approx(50_000 * canary, rel=0.1)
        assert look[name].stable_bad == pytest.approx(950_000 * stable, rel=0.1)
        assert look[name].fresh is None


@pytest.mark.parametrize("rate", [400, 40_000])
def test_bad_requests_are_of_all_groups_by_chance(rate: float) -> None:
    source = Requests(PLAN, Traffic(rate, {"errors": 0.1, "slow": 0.1}), Random(1).random)
    pvalues = []
    for _ in range(1000):
        [look] = source.looks([source.part(0.5, 5)])["errors"]
        bad = [group.counts.bad for group in look.groups]
        assert sum(bad) == look.canary_bad
        pvalues.append(stats.chisquare(bad).pvalue)
    assert stats.kstest(pvalues, "uniform").pvalue > 0.001


def test_looks_keep_shares_apart() -> None:
    source = Requests(PLAN, Traffic(100, {"errors": 0.01, "slow": 0.01}), Random(1).random)
    found = source.looks([source.part(0.05, 5), source.part(0.25, 5), source.part(0.05, 5)])
    assert [look.share for look in found["errors"]] == [0.05, 0.25]
    assert source.looks([]) == {"errors": (), "slow": ()}


def test_no_more_can_be_bad_than_all() -> None:
    assert Traffic(1, {"errors": 0.3}, {"errors": 20}).risk("errors") == 1


def test_users_fail_each_in_one_bucket_and_only_once() -> None:
    traffic = Traffic(1000, {"errors": 0.02, "slow": 0.02}, {"errors": 3}, users=20_000)
    source = Users(PLAN, traffic, Random(1).random)
    first = looks(source, 0.25, 2000)
    errors, slow = first["errors"].fresh, first["slow"].fresh
    assert errors is not None
    assert slow is not None
    # Nearly all have come by now: 400 of whom a quarter is on the canary, and three times as many there as should be.
    assert errors.canary == pytest.approx(300, rel=0.2)
    assert errors.stable == pytest.approx(300, rel=0.2)
    assert slow.canary == pytest.approx(100, rel=0.3)
    # 5,000 users on the canary, in 10,000 buckets of each of 8 groups of callers.
    assert errors.met == slow.met == pytest.approx(80_000 * (1 - exp(-1 / 16)), rel=0.05)
    assert first["errors"].canary_bad > 10 * errors.canary
    again = looks(source, 0.25, 200)["errors"].fresh
    assert again is not None
    assert again.canary + again.stable < 10
    # Those who move to the canary and are bad there alone are new.
    moved = looks(source, 0.5, 2000)["errors"].fresh
    assert moved is not None
    assert moved.canary == pytest.approx(200, rel=0.3)
    assert moved.stable < 10
