"""What the evidence says of a canary: roll back, advance, or hold. Pure.

Three tests on counts, each an e-value: below 1/alpha for ever with probability 1 - alpha, whenever it is
looked at, if what it tests against is true. They are products over looks, so they go on over steps and weights; each is
a mixture over alternatives, so none has to be guessed.
Source: Lindon et al., arXiv 2205.14762 and 2011.03567, one-sided.

- *worse*, against "the canary's risk is at most stable's". Given a bad event, the canary has it with probability
  theta(r) = r * share / (1 - share + r * share), where r is the ratio of the risks and share the canary's as it was
  assigned.
- *fine*, against "its risk is `margin` times stable's or more, and above what is negligible": the mean of the mirror
  image of *worse* and of a test of the canary's own rate. Without the latter two versions that never fail could
  never be told to be alike.
- *over*, against "its rate is at most the limit", which needs no stable.

Rolling back takes any of several tests, so alpha is shared out over them. Advancing takes all objectives at once, so
each has the whole alpha: a version that one objective should stop passes that one with probability alpha at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

ALPHA = 0.01
"""The chance that a version which is no worse is rolled back, and that one at the margin is promoted."""
WORSE = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
"""Ratios that *worse* and *over* look for; beyond the last a version is caught as fast."""
BETTER = (0.8, 0.6, 0.5, 0.35, 0.2, 0.1)
"""Parts of the margin, or of the negligible rate, that *fine* looks for."""
LEAST_REQUESTS = 20
"""Of the canary in a step, before it may advance: a fifth of them failing would show by then."""


class Verdict(StrEnum):
    """What to do with the weight. No data is `hold`."""

    ADVANCE = "advance"
    HOLD = "hold"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Objective:
    """What must not get worse: at most `margin` (> 1) times stable's rate, and never above `limit` (0 to 1).

    Below `negligible` (0 to 1) a rate is no matter, whatever stable's is. Latency depends on load: an objective `anew`
    has its evidence from the present step alone.
    """

    name: str
    margin: float
    limit: float | None = None
    negligible: float = 0.001
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What one epoch brought since the last look: requests that the split assigned, and those that were bad. Which may
    be more: a request counts when it is assigned, and is bad when it ends.

    `share` is the canary's in that epoch, 0 to 1. With sticky keys requests are not independent: then `fresh` has the
    buckets of keys that were bad for the first time, on canary and stable (`buckets.py`), and stands for the bad
    requests in the comparison. `saturated`: too many buckets are bad already, so nothing can be compared any more.
    """

    share: float
    canary_requests: int
    canary_bad: int
    stable_requests: int
    stable_bad: int
    fresh: tuple[int, int] | None = None
    saturated: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen for one objective: counts, and the logarithms of each alternative's product."""

    canary_requests: int = 0
    canary_bad: int = 0
    stable_requests: int = 0
    stable_bad: int = 0
    worse: tuple[float, ...] = (0.0,) * len(WORSE)
    fine: tuple[float, ...] = (0.0,) * len(BETTER)
    small: tuple[float, ...] = (0.0,) * len(BETTER)
    over: tuple[float, ...] = (0.0,) * len(WORSE)
    saturated: bool = False

    def after(self, objective: Objective, look: Look) -> Evidence:
        """The evidence with one look more.

        Raises:
            ValueError: a count or the share is out of its range.
        """
        bad, requests = look.canary_bad, look.canary_requests
        if min(bad, requests, look.stable_bad, look.stable_requests) < 0 or not 0 <= look.share <= 1:
            raise ValueError(f"counts that contradict themselves: {look}")
        worse, fine, small, over = self.worse, self.fine, self.small, self.over
        if 0 < look.share < 1 and not look.saturated:
            canary, stable = look.fresh or (bad, look.stable_bad)
            if canary or stable:
                steps = _against(look.share, 1.0, WORSE)
                worse = tuple([e + canary * c + stable * s for e, (c, s) in zip(worse, steps, strict=True)])
                steps = _against(look.share, objective.margin, _below(objective.margin))
                fine = tuple([e + canary * c + stable * s for e, (c, s) in zip(fine, steps, strict=True)])
        good = requests - bad  # of a request of an earlier look that is bad only now, what was good is taken back
        if (requests or bad) and objective.negligible and look.fresh is None:
            steps = _rate(objective.negligible, BETTER)
            small = tuple([e + bad * b + good * g for e, (b, g) in zip(small, steps, strict=True)])
        if (requests or bad) and objective.limit is not None:
            steps = _rate(objective.limit, WORSE)
            over = tuple([e + bad * b + good * g for e, (b, g) in zip(over, steps, strict=True)])
        return Evidence(
            self.canary_requests + requests,
            self.canary_bad + bad,
            self.stable_requests + look.stable_requests,
            self.stable_bad + look.stable_bad,
            worse,
            fine,
            small,
            over,
            self.saturated or look.saturated,
        )


@dataclass(frozen=True, slots=True)
class Finding:
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
        if max(self.worse, self.over) >= self.bar_against:
            return Verdict.ROLLBACK
        is_over = self.objective.limit is not None and rate(self.evidence)[0] > self.objective.limit
        shown = self.fine >= self.bar_for and not is_over and not self.evidence.saturated
        return Verdict.ADVANCE if shown else Verdict.HOLD

    def __str__(self) -> str:
        canary, stable = rate(self.evidence)
        seen = (
            f"{self.objective.name}: {canary:.2%} of {self.evidence.canary_requests} on the canary, "
            f"{stable:.2%} of {self.evidence.stable_requests} on stable"
        )
        if self.over >= self.bar_against:
            return f"{seen}; above the limit of {self.objective.limit:.2%} (e-value {self.over:.3g})"
        if self.worse >= self.bar_against:
            return f"{seen}; the canary is worse (e-value {self.worse:.3g}, needed {self.bar_against:.3g})"
        if self.evidence.saturated:
            return f"{seen}; so many keys have failed that no more can be told"
        said = "shown" if self.verdict is Verdict.ADVANCE else "not shown yet"
        return (
            f"{seen}; below {self.objective.margin:g} times stable's {said} "
            f"(e-value {self.fine:.3g}, needed {self.bar_for:.3g})"
        )


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
    tests = sum((restarts if objective.anew else 1) + (objective.limit is not None) for objective in objectives)
    findings = tuple(
        Finding(
            objective,
            seen,
            worse=_mean(seen.worse),
            over=_mean(seen.over),
            fine=(_mean(seen.fine) + _mean(seen.small)) / 2 if objective.negligible else _mean(seen.fine),
            bar_against=tests / ALPHA,
            bar_for=1 / ALPHA,
        )
        for objective, seen in zip(objectives, evidence, strict=True)
    )
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
    return replace(Evidence(), over=evidence.over) if objective.anew else evidence


def rate(evidence: Evidence) -> tuple[float, float]:
    """The rates of bad requests on canary and stable; 0 where there was none."""
    return (
        evidence.canary_bad / max(1, evidence.canary_requests),
        evidence.stable_bad / max(1, evidence.stable_requests),
    )


@lru_cache(4096)
def _against(share: float, ratio: float, alternatives: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """For each alternative: what a bad event on the canary adds to the logarithm, and what one on stable adds."""
    null = ratio * share / (1 - share + ratio * share)
    steps = []
    for other in alternatives:
        theta = other * share / (1 - share + other * share)
        steps.append((math.log(theta / null), math.log((1 - theta) / (1 - null))))
    return tuple(steps)


@lru_cache(256)
def _rate(null: float, factors: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """The same of one version's own rate: what a bad request adds, and what a good one adds."""
    others = [min(null * factor, (1 + null) / 2) for factor in factors]
    return tuple((math.log(other / null), math.log((1 - other) / (1 - null))) for other in others)


@lru_cache(64)
def _below(margin: float) -> tuple[float, ...]:
    return tuple(margin * part for part in BETTER)


def _mean(logarithms: tuple[float, ...]) -> float:
    """The mixture's e-value; what is beyond a float's range is its largest."""
    most = max(logarithms)
    if most > 690:
        return math.exp(690)
    return math.fsum([math.exp(part) for part in logarithms]) / len(logarithms)
