"""Whether what came back is what had to come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scipy.stats import binomtest

from examples.demo.clients import APIS
from examples.demo.figures import Figures
from examples.demo.load import Results

LEVEL = 1e-4
"""How seldom a right split may be called wrong, for one API in one step."""


def problems(weight: float, results: Results, figures: Mapping[tuple[str, str], Figures]) -> Iterator[str]:
    """What was wrong with one step, in which v2 had `weight` percent. `figures` are the gateway's, of that step."""
    yield from results.problems
    if results.wrong > len(results.problems):
        yield f"{results.wrong - len(results.problems)} more requests went wrong"
    for api in APIS:
        stable, canary = (results.answers[api.protocol, version] for version in ("v1", "v2"))
        total = stable + canary
        if total and binomtest(canary, total, weight / 100).pvalue < LEVEL:
            yield f"{api.name}: v2 gave {canary} of {total} answers, which is not {weight:g} %"
        for version, answers in (("v1", stable), ("v2", canary)):
            counted = figures.get((api.protocol, version), Figures()).requests
            if counted != answers:
                yield f"{api.name}: {version} gave {answers} answers, and the gateway counted {counted:g}"
