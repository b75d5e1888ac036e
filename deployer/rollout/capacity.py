"""How many replicas a part of the traffic takes, by those that stable had for all of it (`base`). Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from deployer.document.model import ModelDeployment


def percentages(document: ModelDeployment, base: int, ready: Mapping[str, int]) -> dict[str, float]:
    """For each version the percentage of all traffic that its `ready` replicas can take: below its least none, with its
    most any."""
    can = {}
    for version in document.spec.versions:
        least, most = version.replicas
        there = ready.get(version.name, 0)
        part = 100.0 if there >= most else min(100.0, 100 * there / max(1, base))
        can[version.name] = part if there >= least else 0.0
    return can


def floors(document: ModelDeployment, base: int, wanted: Mapping[str, float]) -> dict[str, int]:
    """For each version the replicas that the percentage `wanted` of it needs, where that is more than its least."""
    needs = {}
    for version in document.spec.versions:
        least, most = version.replicas
        need = min(most, math.ceil(round(base * wanted.get(version.name, 0.0) / 100, 6)))
        if need > least:
            needs[version.name] = need
    return needs
