"""Which endpoint of a version takes a request: the power of two choices on requests in flight.

Pure: the random numbers and the clock are passed in. See Mitzenmacher, "The Power of Two Choices in Randomized Load
Balancing" (2001).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

from gateway.upstream.policy.outlier_detection import OutlierDetection


class Loaded(Protocol):
    in_flight: int
    ejection: OutlierDetection


E = TypeVar("E", bound=Loaded)


def pick(endpoints: Sequence[E], tried: Collection[E], now: float, u1: float, u2: float) -> E | None:
    """One of `endpoints`, or None where there is none. `u1` and `u2` are uniform on [0, 1).

    Those that are neither ejected nor tried already come first; where none is left, ejection is ignored: a version
    never loses its last endpoint to a guess (Envoy's panic threshold).
    """
    if len(endpoints) == 1:
        return endpoints[0]
    able = [endpoint for endpoint in endpoints if endpoint.ejection.until <= now and endpoint not in tried]
    if not able:
        able = [endpoint for endpoint in endpoints if endpoint not in tried] or list(endpoints)
        if not able:
            return None
    first = int(u1 * len(able))
    second = int(u2 * (len(able) - 1))
    if second >= first:
        second += 1
    if len(able) == 1:
        return able[0]
    a, b = able[first], able[second]
    return a if a.in_flight <= b.in_flight else b
