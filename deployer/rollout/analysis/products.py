"""The evidence for one objective: the products of the tests that the verdict is made of. Pure.

The tests are e-values on counts: if what one tests against is true, it stays below 1/alpha for ever with probability
1 - alpha, however often it is looked at. Each is a product over bad events (or requests), so it goes on over looks,
steps and weights. Source: Lindon et al., arXiv 2205.14762 and 2011.03567, one-sided.

- *worse*, against "the canary's risk is at most stable's". A bad event falls on the canary with probability
  theta(r) = r * share / (1 - share + r * share), where r is the ratio of the risks and share the canary's as assigned.
  It is a mixture over ratios, so that none has to be guessed, and over starts: evidence that was good all night long
  must not hide that the canary has begun to fail.
- *fine*, against "its risk is `margin` times stable's or more, and not negligible": half of it the mirror image of
  *worse*, for a canary that is as good as stable, half a test of the canary's own rate. Without the latter nothing
  could be told of two versions that hardly ever fail. Each half alone is an e-value against that, so their mean is.
- *over*, against "its rate is at most the limit", which needs no stable; a mixture too.

Requests with a sticky key and those without are two strata of one objective, each with looks of its own, in which
buckets of keys or requests are what is counted. Whatever went before, under what is tested the next event falls on the
canary with at most (or at least) the probability of its own look, so that the factors of all looks multiply.

What callers of one group brought is kept apart too, as counts, so that it can be taken out again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from deployer.rollout.analysis.buckets import SATURATED, Fresh

WORSE = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
"""Ratios that *worse* looks for, and times the limit that *over* does; beyond the last a version is caught as fast."""
RECENT = 0.1
"""The part of *worse* that starts anew, again and again: the i-th time with 1 / (i * (i + 1)) of it, which add to 1."""
WINDOW = 500
"""Bad events, keyed ones and others, after which it does."""
SMALL = 0.2
"""The part of the negligible rate that the test of the canary's own rate looks for."""
_MOST = 1e300
_NONE = (0.0,) * len(WORSE)
_Steps = tuple[tuple[float, float], ...]
"""For each alternative what one kind of event adds to its logarithm, and what the other kind does."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What must not get worse: less than `margin` (> 1) times stable's rate, and never above `limit` (0 to 1).

    Below `negligible` (0 to 1) a rate is no matter, whatever stable's is. Latency depends on load: an objective `anew`
    has its evidence from the present step alone. `over`: seconds after which an answer is bad, where that is what it is
    about: under another limit the evidence is another.
    """

    name: str
    margin: float
    limit: float | None = None
    negligible: float = 0.001
    anew: bool = False
    over: float | None = None


class Counts(NamedTuple):
    """What the tests take: bad events on canary and stable, by the `units` that they are counted in (requests, or
    buckets of keys); of the canary's units those that `failed`; and the canary's requests, and the bad ones."""

    canary: int
    stable: int
    units: int
    failed: int
    requests: int
    bad: int


class GroupLook(NamedTuple):
    """What callers of one group brought of a look. `sent`: their requests, to both versions."""

    group: int
    sent: int
    counts: Counts


class Look(NamedTuple):
    """What one epoch brought since the last look: requests that the split assigned, and those that were bad, also of
    requests that were counted in earlier looks.

    `share` is the canary's in that epoch, 0 to 1. For requests with a sticky key `fresh` has the buckets, which stand
    for requests in all but the limit. Bitmaps tell no epoch: while some of the requests may have been assigned under
    another share, `share` is the greatest and `least` the smallest that it may be, so that either test reckons with
    what speaks against it. `groups`: what of all that came from which callers, so far as that is known.
    """

    share: float
    canary_requests: int
    canary_bad: int
    stable_requests: int
    stable_bad: int
    fresh: Fresh | None = None
    least: float | None = None
    groups: tuple[GroupLook, ...] = ()


class GroupEvidence(NamedTuple):
    """Of the evidence what callers of one group brought under one share, with a sticky key or without. `recent`: the
    bad events since *worse* has last started anew."""

    group: int
    keyed: bool
    share: float
    least: float
    sent: int
    counts: Counts
    recent: tuple[int, int] = (0, 0)

    def after(self, look: GroupLook) -> GroupEvidence:
        counts, (canary, stable) = look.counts, self.recent
        return GroupEvidence(
            *self[:4],
            self.sent + look.sent,
            Counts(*map(int.__add__, self.counts, counts)),
            (canary + counts.canary, stable + counts.stable),
        )


class Evidence(NamedTuple):
    """All that was seen for one objective: requests, buckets of keys by their first bad event, and the products'
    logarithms. `recent` is that of *worse* from its last start on, the `starts`-th, with the bad events `since` then.
    `fine` and `small` are the halves of *fine*. `parts`: what is known to be of one group's callers."""

    canary_requests: int = 0
    canary_bad: int = 0
    stable_requests: int = 0
    stable_bad: int = 0
    canary_buckets: int = 0
    stable_buckets: int = 0
    worse: tuple[float, ...] = _NONE
    recent: tuple[float, ...] = _NONE
    since: int = 0
    starts: int = 1
    fine: float = 0.0
    small: float = 0.0
    over: tuple[float, ...] = _NONE
    saturated: bool = False
    parts: tuple[GroupEvidence, ...] = ()

    def after(self, objective: Objective, look: Look) -> Evidence:
        """The evidence with one look more.

        Raises:
            ValueError: a count is negative, or a share out of its range.
        """
        share, requests, bad, fresh = look.share, look.canary_requests, look.canary_bad, look.fresh
        least = share if look.least is None else look.least
        if min(requests, bad, look.stable_requests, look.stable_bad) < 0 or not 0 <= least <= share <= 1:
            raise ValueError(f"a count below 0, or a share out of its range: {look}")
        if fresh is None:
            counts = Counts(bad, look.stable_bad, requests, bad, requests, bad)
        else:
            counts = Counts(*fresh.compared[:-1], requests, bad)
        recent, since, starts, parts = self.recent, self.since, self.starts, self.parts
        if 0 < share < 1 and (counts.canary or counts.stable):
            if since >= WINDOW:
                recent, since, starts = _NONE, 0, starts + 1
                parts = tuple([part._replace(recent=(0, 0)) for part in parts])
            since += counts.canary + counts.stable
        terms = _terms(objective, share, least, counts)
        worse = _against_stable(share, counts.canary, counts.stable)
        return Evidence(
            self.canary_requests + requests,
            self.canary_bad + bad,
            self.stable_requests + look.stable_requests,
            self.stable_bad + look.stable_bad,
            self.canary_buckets + (0 if fresh is None else fresh.canary),
            self.stable_buckets + (0 if fresh is None else fresh.stable),
            _added(self.worse, worse),
            _added(recent, worse),
            since,
            starts,
            self.fine + terms.fine,
            self.small + terms.small,
            _added(self.over, terms.over),
            self.saturated or (fresh is not None and fresh.spent > SATURATED),
            _parted(parts, fresh is not None, share, least, look.groups) if look.groups else parts,
        )

    def without(self, objective: Objective, groups: Collection[int]) -> Evidence:
        """The evidence as it is without what callers of these groups brought, but for *worse*."""
        requests, bad, fine, small, over = self.canary_requests, self.canary_bad, self.fine, self.small, self.over
        for part in self.parts:
            if part.group in groups:
                terms = _terms(objective, part.share, part.least, part.counts)
                fine, small, over = fine - terms.fine, small - terms.small, _added(over, terms.over, -1)
                requests, bad = requests - part.counts.requests, bad - part.counts.bad
        return self._replace(canary_requests=requests, canary_bad=bad, fine=fine, small=small, over=over)

    def without_against(self, groups: Collection[int], *, keyed: bool = False) -> Evidence:
        """The evidence as it is where *worse* is without what callers of these groups brought, or `keyed`: without what
        of that had a key."""
        worse, recent = self.worse, self.recent
        for part in self.parts:
            if part.group in groups and (part.keyed or not keyed):
                worse = _added(worse, _against_stable(part.share, part.counts.canary, part.counts.stable), -1)
                recent = _added(recent, _against_stable(part.share, *part.recent), -1)
        return self._replace(worse=worse, recent=recent)

    @property
    def rates(self) -> tuple[float, float]:
        """Of bad requests on canary and stable, 0 where there was none. Of those bad now, some were counted before."""
        canary = min(1.0, self.canary_bad / max(1, self.canary_requests))
        return canary, min(1.0, self.stable_bad / max(1, self.stable_requests))

    @property
    def e_worse(self) -> float:
        # The last of those that started, and all that will yet: these are 1 until then.
        recent = RECENT / (self.starts + 1) * (_mean(self.recent) / self.starts + 1)
        return (1 - RECENT) * _mean(self.worse) + recent

    def e_over(self, objective: Objective) -> float:
        return 1.0 if objective.limit is None else _mean(self.over)

    def e_fine(self, objective: Objective) -> float:
        return _mean((self.fine, self.small) if objective.negligible else (self.fine,))


def gathered(objective: Objective, evidence: Evidence, looks: Iterable[Look]) -> Evidence:
    """The evidence with `looks` more."""
    for look in looks:
        evidence = evidence.after(objective, look)
    return evidence


def renewed(objective: Objective, evidence: Evidence) -> Evidence:
    """What of the evidence goes along into the next step: the limit's does always."""
    if not objective.anew:
        return evidence
    parts = [GroupEvidence(*part[:4], 0, Counts(0, 0, 0, 0, *part.counts[4:])) for part in evidence.parts]
    return Evidence(over=evidence.over, parts=tuple(parts))


class _Terms(NamedTuple):
    """What counts add to the logarithms."""

    fine: float
    small: float
    over: tuple[float, ...]


def _terms(objective: Objective, share: float, least: float, counts: Counts) -> _Terms:
    canary, stable, units, failed, requests, bad = counts
    over, fine, small = _NONE, 0.0, 0.0
    if (canary or stable) and least and share < 1:
        ((on_canary, on_stable),) = _against(least, objective.margin, (1.0,))
        fine = canary * on_canary + stable * on_stable
    if objective.negligible and (units or failed):
        ((on_bad, on_good),) = _rate(objective.negligible, (SMALL,))
        small = failed * on_bad + (units - failed) * on_good
    if objective.limit is not None and (requests or bad):
        over = tuple([bad * a + (requests - bad) * b for a, b in _rate(objective.limit, WORSE)])
    return _Terms(fine, small, over)


def _against_stable(share: float, canary: int, stable: int) -> tuple[float, ...]:
    """What bad events add to *worse*."""
    if not (canary or stable) or not 0 < share < 1:
        return _NONE
    return tuple([canary * a + stable * b for a, b in _against(share, 1.0, WORSE)])


def _parted(
    parts: tuple[GroupEvidence, ...], keyed: bool, share: float, least: float, looks: Iterable[GroupLook]
) -> tuple[GroupEvidence, ...]:
    by_key = {part[:4]: part for part in parts}
    for look in looks:
        key = look.group, keyed, share, least
        by_key[key] = by_key.get(key, GroupEvidence(*key, 0, Counts(0, 0, 0, 0, 0, 0))).after(look)
    return tuple(by_key.values())


@lru_cache(4096)
def _against(share: float, ratio: float, alternatives: tuple[float, ...]) -> _Steps:
    """Of a bad event on the canary, and of one on stable."""
    null = ratio * share / (1 - share + ratio * share)
    thetas = [other * share / (1 - share + other * share) for other in alternatives]
    return tuple((math.log(theta / null), math.log((1 - theta) / (1 - null))) for theta in thetas)


@lru_cache(256)
def _rate(null: float, factors: tuple[float, ...]) -> _Steps:
    """Of a bad request, and of a good one, where the rate is tested by itself."""
    others = [min(null * factor, (1 + null) / 2) for factor in factors]
    return tuple((math.log(other / null), math.log((1 - other) / (1 - null))) for other in others)


def _added(logarithms: tuple[float, ...], terms: tuple[float, ...], times: int = 1) -> tuple[float, ...]:
    if terms is _NONE:
        return logarithms
    return tuple([e + times * term for e, term in zip(logarithms, terms, strict=True)])


def _mean(logarithms: tuple[float, ...]) -> float:
    """The mixture's e-value; what is beyond a float's range is its end."""
    try:
        return min(sum(map(math.exp, logarithms)) / len(logarithms), _MOST)
    except OverflowError:
        return _MOST
