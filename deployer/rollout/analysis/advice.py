"""What it would take to show that a canary is good, where nothing fails and so `negligible` decides. Pure."""

from __future__ import annotations

import math

from deployer.rollout.analysis import callers
from deployer.rollout.analysis.products import SMALL
from deployer.rollout.analysis.verdict import Finding, Verdict


def advice(finding: Finding) -> str:
    """The way out for an objective that lacks evidence; empty where it lacks none, or bad requests give it."""
    evidence, negligible = finding.evidence, finding.objective.negligible
    if finding.verdict is not Verdict.HOLD or evidence.canary_bad or evidence.saturated:
        return ""
    if not negligible:
        return "with `negligible: 0` nothing is shown while nothing fails: write a part that is no matter to you"
    each = math.log((1 - SMALL * negligible) / (1 - negligible))
    needed = math.ceil(math.log(2 * finding.bar_for) / each)
    _, others = callers.doubt(evidence, limited=False)  # it has to be shown without any one of them
    small = min([evidence.small, *[evidence.without(finding.objective, {group}).small for group in others]])
    counted = round(max(0.0, small) / each)
    if counted >= needed:
        return ""
    return (
        f"while nothing fails it takes some {needed:,} of the canary's requests, of which all with one sticky key "
        f"count once, to show that less than `negligible`, {negligible:.2%}, are bad; {counted:,} were counted. A "
        "larger `negligible` takes fewer, and `promote --now` none"
    )
