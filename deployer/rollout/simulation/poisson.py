"""Numbers by Poisson's law, and by the normal one. Pure: chance is passed in."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, exp, floor, lgamma, log, sqrt, tau

Chance = Callable[[], float]
"""Gives numbers from 0 (included) to 1 (not), each as likely, such as `random.Random(seed).random`."""


def poisson(mean: float, chance: Chance) -> int:
    """A number of events of which `mean` are expected.

    Source: below 10 Knuth's multiplication; from there on PTRS of W. Hörmann, "The transformed rejection method for
    generating Poisson random variables" (1993), which takes the same time for every mean.
    """
    if mean < 10:
        least, product, count = exp(-mean), chance(), 0
        while product > least:
            product *= chance()
            count += 1
        return count
    b = 0.931 + 2.53 * sqrt(mean)
    a = -0.059 + 0.02483 * b
    inside, scale = 0.9277 - 3.6224 / (b - 2), 1.1239 + 1.1328 / (b - 3.4)
    while True:
        u, v = chance() - 0.5, 1 - chance()
        edge = 0.5 - abs(u)
        if edge < 0.013 and v > edge:
            continue
        count = floor((2 * a / edge + b) * u + mean + 0.43)
        if edge >= 0.07 and v <= inside:
            return count
        if count >= 0 and log(v * scale / (a / (edge * edge) + b)) <= count * log(mean) - mean - lgamma(count + 1):
            return count


def normal(chance: Chance) -> float:
    """Of mean 0 and deviation 1.

    Source: G. E. P. Box and M. E. Muller, "A note on the generation of random normal deviates" (1958).
    """
    return sqrt(-2 * log(1 - chance())) * cos(tau * chance())
