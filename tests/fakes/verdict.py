"""Objectives, looks and what the verdict finds of them."""

from __future__ import annotations

from deployer.rollout.analysis.buckets import Fresh
from deployer.rollout.analysis.products import Evidence, Look, Objective, gathered
from deployer.rollout.analysis.verdict import Finding, judge

ERRORS = Objective("errors", 2.0)
LIMITED = Objective("errors", 2.0, limit=0.05)
RATIO_ALONE = Objective("errors", 2.0, negligible=0.0)
SLOW = Objective("slow", 2.0, anew=True)


def found(objective: Objective, *looks: Look) -> Finding:
    return judge((objective,), (gathered(objective, Evidence(), looks),)).findings[0]


def look(share: float, canary: int, stable: int, requests: int = 10_000) -> Look:
    """Bad events, among requests that are many."""
    return Look(share, round(requests * share), canary, round(requests * (1 - share)), stable)


def keyed(share: float, fresh: Fresh, least: float | None = None) -> Look:
    return Look(share, 0, 0, 0, 0, fresh=fresh, least=least)


def theta(ratio: float, share: float) -> float:
    """The canary's part of the bad events where its risk is `ratio` times stable's."""
    return ratio * share / (1 - share + ratio * share)
