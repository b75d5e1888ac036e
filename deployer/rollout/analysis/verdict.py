"""What the evidence says of a canary: roll back, advance, or hold. Pure.

The tests are e-values on counts: if what one tests against is true, it stays below 1/alpha for ever with probability
1 - alpha, however often it is looked at. Each is a product over bad events (or requests), so it goes on over looks,
steps and weights. Source: Lindon et al., arXiv 2205.14762 and 2011.03567, one-sided.

- *worse*, against "the canary's risk is at most stable's". A bad event falls on the canary with probability
  theta(r) = r * share / (1 - share + r * share), where r is the ratio of the risks and share the canary's as assigned.
  It is a mixture over ratios, so that none has to be guessed, and over starts: evidence that was good all night long
  must not hide that the canary has begun to fail.
- *fine*, against "its risk is `margin` times stable's or more, and not negligible": half of it the mirror image of
  *worse*, for a canary that is as good as stable, half a test of the canary's own rate. Without the latter nothing
  could be told of two versions that hardly ever fail. Each half alone is an e-value against that, so their mean is.
- *over*, against "its rate is at most the limit", which needs no stable; a mixture too.

Rolling back takes one test of several, so alpha is shared out over them. Advancing takes all objectives at once, so
each has the whole alpha: a version that one objective should stop passes that one with probability alpha at most.

Requests with a sticky key and those without are two strata of one objective, each with looks of its own, in which
buckets of keys or requests are what is counted. Whatever went before, under what is tested the next event falls on the
canary with at most (or at least) the probability of its own look, so that the factors of all looks multiply.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from deployer.rollout.analysis.buckets import SATURATED, Fresh

ALPHA = 0.01
"""The chance that a version which is no worse is rolled back, and that one at the margin is promoted."""
WORSE = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
"""Ratios that *worse* looks for, and times the limit that *over* does; beyond the last a version is caught as fast."""
RECENT = 0.1
"""The part of *worse* that starts anew, again and again: the i-th time with 1 / (i * (i + 1)) of it, which add to 1."""
WINDOW = 500
"""Bad events, keyed ones and others, after which it does."""
SMALL = 0.2
"""The part of the negligible rate that the test of the canary's own rate looks for."""
LEAST_REQUESTS = 20
"""Of the canary in a step, before it may advance: a fifth of them failing would show by then."""
_MOST = 1e300
_Steps = tuple[tuple[float, float], ...]
"""For each alternative what one kind of event adds to its logarithm, and what the other kind does."""


class Verdict(StrEnum):
    """What to do with the weight. No data is `hold`."""

    ADVANCE = "advance"
    HOLD = "hold"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Objective:
    """What must not get worse: less than `margin` (> 1) times stable's rate, and never above `limit` (0 to 1).

    Below `negligible` (0 to 1) a rate is no matter, whatever stable's is. Latency depends on load: an objective `anew`
    has its evidence from the present step alone. `over`: seconds after which an answer is bad, where that is what it is
    about: under another limit the evidence is another.
    """

    name: str
    margin: float
    limit: float | None = None
    negligible: float = 0.001
    anew: bool = False
    over: float | None = None


class Look(NamedTuple):
    """What one epoch brought since the last look: requests that the split assigned, and those that were bad, also of
    requests that were counted in earlier looks.

    `share` is the canary's in that epoch, 0 to 1. For requests with a sticky key `fresh` has the buckets, which stand
    for requests in all but the limit. Bitmaps tell no epoch: while some of the requests may have been assigned under
    another share, `share` is the greatest and `least` the smallest that it may be, so that either test reckons with
    what speaks against it.
    """

    share: float
    canary_requests: int
    canary_bad: int
    stable_requests: int
    stable_bad: int
    fresh: Fresh | None = None
    least: float | None = None


class Evidence(NamedTuple):
    """All that was seen for one objective: requests, buckets of keys by their first bad event, and the products'
    logarithms. `recent` is that of *worse* from its last start on, the `starts`-th, with the bad events `since` then.
    `fine` and `small` are the halves of *fine*."""

    canary_requests: int = 0
    canary_bad: int = 0
    stable_requests: int = 0
    stable_bad: int = 0
    canary_buckets: int = 0
    stable_buckets: int = 0
    worse: tuple[float, ...] = (0.0,) * len(WORSE)
    recent: tuple[float, ...] = (0.0,) * len(WORSE)
    since: int = 0
    starts: int = 1
    fine: float = 0.0
    small: float = 0.0
    over: tuple[float, ...] = (0.0,) * len(WORSE)
    saturated: bool = False

    def after(self, objective: Objective, look: Look) -> Evidence:
        """The evidence with one look more.

        Raises:
            ValueError: a count is negative, or a share out of its range.
        """
        share, requests, bad, fresh = look.share, look.canary_requests, look.canary_bad, look.fresh
        least = share if look.least is None else look.least
        if min(requests, bad, look.stable_requests, look.stable_bad) < 0 or not 0 <= least <= share <= 1:
            raise ValueError(f"a count below 0, or a share out of its range: {look}")
        if fresh is None:
            canary, stable, units, failed, spent = bad, look.stable_bad, requests, bad, 0.0
        else:
            canary, stable, units, failed, spent = fresh
        worse, recent, since, starts = self.worse, self.recent, self.since, self.starts
        fine, small, over = self.fine, self.small, self.over
        if (canary or stable) and share < 1 and spent <= SATURATED:
            if share:
                if since >= WINDOW:
                    recent, since, starts = Evidence().recent, 0, starts + 1
                steps = _against(share, 1.0, WORSE)
                worse, recent = _added(worse, steps, canary, stable), _added(recent, steps, canary, stable)
                since += canary + stable
            if least:
                ((on_canary, on_stable),) = _against(least, objective.margin, (1.0,))
                fine += canary * on_canary + stable * on_stable
        if objective.negligible and (units or failed):
            ((on_bad, on_good),) = _rate(objective.negligible, (SMALL,))
            small += failed * on_bad + (units - failed) * on_good
        if objective.limit is not None and (requests or bad):
            over = _added(over, _rate(objective.limit, WORSE), bad, requests - bad)
        return Evidence(
            self.canary_requests + requests,
            self.canary_bad + bad,
            self.stable_requests + look.stable_requests,
            self.stable_bad + look.stable_bad,
            self.canary_buckets + (0 if fresh is None else canary),
            self.stable_buckets + (0 if fresh is None else stable),
            worse,
            recent,
            since,
            starts,
            fine,
            small,
            over,
            self.saturated or spent > SATURATED,
        )

    @property
    def rates(self) -> tuple[float, float]:
        """Of bad requests on canary and stable, 0 where there was none. Of those bad now, some were counted before."""
        canary = min(1.0, self.canary_bad / max(1, self.canary_requests))
        return canary, min(1.0, self.stable_bad / max(1, self.stable_requests))


class Finding(NamedTuple):
    """One objective's figures. The e-values are compared with `bar_against` (worse, over) and `bar_for` (fine)."""

    objective: Objective
    evidence: Evidence
    worse: float
    over: float
    fine: float
    bar_against: float
    bar_for: float

    @property
    def verdict(self) -> Verdict:
        if self.worse >= self.bar_against or self.over >= self.bar_against:
            return Verdict.ROLLBACK
        limit = self.objective.limit
        over = limit is not None and self.evidence.rates[0] > limit
        return Verdict.HOLD if over or self.fine < self.bar_for or self.evidence.saturated else Verdict.ADVANCE

    def __str__(self) -> str:
        objective, evidence = self.objective, self.evidence
        canary, stable = evidence.rates
        seen = (
            f"{objective.name}: {canary:.2%} of {evidence.canary_requests} on the canary, "
            f"{stable:.2%} of {evidence.stable_requests} on stable"
        )
        if evidence.canary_buckets or evidence.stable_buckets:
            seen += f" (of sticky keys, buckets {evidence.canary_buckets} and {evidence.stable_buckets})"
        if self.over >= self.bar_against:
            what = f"above the limit of {objective.limit:.2%} (e-value {self.over:.3g}, needed {self.bar_against:.3g})"
        elif self.worse >= self.bar_against:
            what = f"the canary is worse (e-value {self.worse:.3g}, needed {self.bar_against:.3g})"
        elif evidence.saturated:
            what = "so many keys have met one that no more can be told"
        elif objective.limit is not None and canary > objective.limit:
            what = f"above the limit of {objective.limit:.2%} by now"
        else:
            small = f", or below {objective.negligible:.2%}," if objective.negligible else ""
            shown = "not shown yet" if self.fine < self.bar_for else "shown"
            what = f"less than {objective.margin:g} times stable's{small} is {shown} "
            what += f"(e-value {self.fine:.3g}, needed {self.bar_for:.3g})"
        return f"{seen}; {what}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, with every figure behind it."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def reason(self) -> str:
        """The findings that made the verdict, in words."""
        return "; ".join(str(finding) for finding in self.findings if finding.verdict is self.verdict)


def judge(objectives: tuple[Objective, ...], evidence: tuple[Evidence, ...], restarts: int = 1) -> Judgement:
    """The verdict of all objectives together, where one that starts `anew` does so `restarts` times in a rollout."""
    bar = sum([(restarts if one.anew else 1) + (one.limit is not None) for one in objectives]) / ALPHA
    findings = tuple([_finding(one, seen, bar) for one, seen in zip(objectives, evidence, strict=True)])
    verdicts = {finding.verdict for finding in findings}
    if Verdict.ROLLBACK in verdicts:
        return Judgement(Verdict.ROLLBACK, findings)
    return Judgement(Verdict.ADVANCE if verdicts == {Verdict.ADVANCE} else Verdict.HOLD, findings)


def gathered(objective: Objective, evidence: Evidence, looks: Iterable[Look]) -> Evidence:
    """The evidence with `looks` more."""
    for look in looks:
        evidence = evidence.after(objective, look)
    return evidence


def renewed(objective: Objective, evidence: Evidence) -> Evidence:
    """What of the evidence goes along into the next step: the limit's does always."""
    return Evidence(over=evidence.over) if objective.anew else evidence


def _finding(objective: Objective, evidence: Evidence, bar: float) -> Finding:
    halves = (evidence.fine, evidence.small) if objective.negligible else (evidence.fine,)
    over = 1.0 if objective.limit is None else _mean(evidence.over)
    # The last of those that started, and all that will yet: these are 1 until then.
    recent = RECENT / (evidence.starts + 1) * (_mean(evidence.recent) / evidence.starts + 1)
    worse = (1 - RECENT) * _mean(evidence.worse) + recent
    return Finding(objective, evidence, worse, over, _mean(halves), bar, 1 / ALPHA)


@lru_cache(4096)
def _against(share: float, ratio: float, alternatives: tuple[float, ...]) -> _Steps:
    """Of a bad event on the canary, and of one on stable."""
    null = ratio * share / (1 - share + ratio * share)
    thetas = [other * share / (1 - share + other * share) for other in alternatives]
    return tuple((math.log(theta / null), math.log((1 - theta) / (1 - null))) for theta in thetas)


@lru_cache(256)
def _rate(null: float, factors: tuple[float, ...]) -> _Steps:
    """Of a bad request, and of a good one, where the rate is tested by itself."""
    others = [min(null * factor, (1 + null) / 2) for factor in factors]
    return tuple((math.log(other / null), math.log((1 - other) / (1 - null))) for other in others)


def _added(logarithms: tuple[float, ...], steps: _Steps, first: int, second: int) -> tuple[float, ...]:
    return tuple([e + first * a + second * b for e, (a, b) in zip(logarithms, steps, strict=True)])


def _mean(logarithms: tuple[float, ...]) -> float:
    """The mixture's e-value; what is beyond a float's range is its end."""
    try:
        return min(sum(map(math.exp, logarithms)) / len(logarithms), _MOST)
    except OverflowError:
        return _MOST
