"""What the evidence says of a canary: roll back, advance, or hold. Pure.

Rolling back takes one test of several (`products`), so alpha is shared out over them. Advancing takes all objectives at
once, so each has the whole alpha: a version that one objective should stop passes that one with probability alpha at
most. And either has to be shown without the callers of any one group too (`callers`), so that nobody who sends from one
address decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from deployer.rollout.analysis import callers
from deployer.rollout.analysis.products import Evidence, Objective

ALPHA = 0.01
"""The chance that a version which is no worse is rolled back, and that one at the margin is promoted."""
LEAST_REQUESTS = 20
"""Of the canary in a step, before it may advance: a fifth of them failing would show by then."""


class Verdict(StrEnum):
    """What to do with the weight. No data is `hold`."""

    ADVANCE = "advance"
    HOLD = "hold"
    ROLLBACK = "rollback"


class Finding(NamedTuple):
    """One objective's figures. The e-values are compared with `bar_against` (worse, over) and `bar_for` (fine).
    `above`: its rate is above the limit by now. `left_out`: requests of callers that the verdict does without."""

    objective: Objective
    evidence: Evidence
    worse: float
    over: float
    fine: float
    bar_against: float
    bar_for: float
    above: bool = False
    left_out: int = 0

    @property
    def verdict(self) -> Verdict:
        if self.worse >= self.bar_against or self.over >= self.bar_against:
            return Verdict.ROLLBACK
        return Verdict.HOLD if self.above or self.fine < self.bar_for or self.evidence.saturated else Verdict.ADVANCE

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
        elif self.above:
            what = f"above the limit of {objective.limit:.2%} by now"
        else:
            small = f", or below {objective.negligible:.2%}," if objective.negligible else ""
            shown = "not shown yet" if self.fine < self.bar_for else "shown"
            what = f"less than {objective.margin:g} times stable's{small} is {shown} "
            what += f"(e-value {self.fine:.3g}, needed {self.bar_for:.3g})"
        if self.left_out:
            what += f"; left out are {self.left_out} requests, of groups of callers far apart from all others"
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


def _finding(objective: Objective, evidence: Evidence, bar: float) -> Finding:
    limit = objective.limit
    apart, others = callers.doubt(evidence, limited=limit is not None)
    base = evidence.without(objective, apart).without_against(apart) if apart else evidence
    worse, over, fine, bar_for = base.e_worse, base.e_over(objective), base.e_fine(objective), 1 / ALPHA
    keyed = {part.group for part in evidence.parts if part.keyed}
    if keyed and worse >= bar:
        worse = min([worse, *[base.without_against({group}, keyed=True).e_worse for group in others & keyed]])
    elif apart and not keyed:
        # Whose version is chosen by chance is on either by its share, whatever he sends: so much is true with him too.
        worse = (worse + evidence.e_worse) / 2
    rest: list[Evidence] = []
    if over >= bar or fine >= bar_for:
        rest = [base.without(objective, {group}) for group in others]
        over = min([over, *[seen.e_over(objective) for seen in rest]])
        fine = min([fine, *[seen.e_fine(objective) for seen in rest]])
    above = limit is not None and any(seen.rates[0] > limit for seen in (base, *rest))
    left_out = sum([part.sent for part in evidence.parts if part.group in apart])
    return Finding(objective, evidence, worse, over, fine, bar, bar_for, above, left_out)
