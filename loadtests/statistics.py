"""The ratio of two proxies and how sure it is. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import t


class Ratio(NamedTuple):
    """A geometric mean of ratios with the ends of its two-sided confidence interval."""

    mean: float
    low: float
    high: float
    pairs: int


def ratio(measured: Sequence[float], reference: Sequence[float], confidence: float = 0.95) -> Ratio:
    """`measured` over `reference`, both taken in alternation: the i-th of each makes a pair.

    Student's t interval on the logarithms of the pairs' ratios: what slows the machine down for a while slows both
    sides of a pair, and speeds differ by factors. The interval is two-sided, so that its low end is a stricter bound
    than a one-sided one of the same confidence.

    Raises:
        ValueError: there are fewer than two pairs, a figure without its partner, or one that is not above 0.
    """
    if len(measured) != len(reference) or len(measured) < 2:
        raise ValueError(f"{len(measured)} and {len(reference)} figures: at least two pairs are needed")
    if min(*measured, *reference) <= 0:
        raise ValueError("a figure that is not above 0 has no ratio")
    logs = [math.log(a / b) for a, b in zip(measured, reference, strict=True)]
    mean = statistics.fmean(logs)
    half = float(t.ppf((1 + confidence) / 2, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(logs))


def share_holds(hits: int, total: int, share: float, deviations: float = 5) -> bool:
    """Whether `hits` of `total` lies within so many standard deviations of a binomial with that `share`."""
    return abs(hits - total * share) <= deviations * math.sqrt(total * share * (1 - share))
