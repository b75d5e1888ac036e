"""Which callers a verdict does without. Pure.

Whoever may call makes his requests fail or succeed as he likes, and where keys stick to versions he finds keys of the
version that he means. So callers are sorted by their address into groups, anew for each rollout, and

- what is decided has to be shown without the callers of any one group (a jackknife that deletes a group: Kott, "The
  delete-a-group jackknife", 2001). Whichever group an attacker is in, what then is left is all honest, so that alpha is
  what it is without him;
- events that say nothing would drown those that do: groups that are far apart from the median one by their bad events
  are left out. On which version these fell is not looked at, so that this favours neither;
- behind a proxy that nobody has named all callers have one address. A group with by far the most requests is taken for
  one, and then no caller can be told from another.
"""

from __future__ import annotations

from collections import Counter
from math import sqrt
from statistics import median_low
from typing import NamedTuple

from deployer.rollout.analysis.products import Evidence

PROXY = 2 / 3
"""The part of all requests beyond which those of one group are a proxy's: an attacker needs twice as many as all others
send. So that few requests don't seem to be so, by two standard errors and more."""
FAR = 2
"""Times the median, and `FEW` more, is far apart."""
FEW = 5


class Doubt(NamedTuple):
    """`apart`: the groups that are left out in any case. `others`: those of whom none may be needed."""

    apart: frozenset[int] = frozenset()
    others: frozenset[int] = frozenset()


def doubt(evidence: Evidence, *, limited: bool) -> Doubt:
    """Whom to do without. `limited`: whether rates count by themselves, so that good requests too may drown others."""
    sent, bad = Counter[int](), Counter[int]()
    for part in evidence.parts:
        sent[part.group] += part.sent
        bad[part.group] += part.counts.canary + part.counts.stable
    total = evidence.canary_requests + evidence.stable_requests
    if not sent or max(sent.values()) > PROXY * total + 2 * sqrt(total):
        return Doubt()
    apart = _apart(bad)
    if limited:
        apart |= _apart(sent)
    return Doubt(apart, frozenset(sent) - apart)


def _apart(numbers: Counter[int]) -> frozenset[int]:
    most = FAR * median_low(numbers.values()) + FEW
    return frozenset([group for group, number in numbers.items() if number > most])
