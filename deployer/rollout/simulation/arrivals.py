"""Requests that come to a rollout in a simulation, and those of them that are bad. Pure: chance is passed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, floor, log

from deployer.rollout.analysis.buckets import Buckets, Fresh
from deployer.rollout.analysis.verdict import Look
from deployer.rollout.simulation.poisson import Chance, poisson
from deployer.rollout.strategy import Plan
from gateway.contract.evidence import BUCKETS

_TAIL = 1.5
"""Exponent of Pareto's law, by which users differ in how much they send: the busiest hundredth sends a fifth."""
_CLASSES = 20
"""Of users by how much they send, for what is reckoned and not drawn."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes in, and how much of it is bad.

    `rate`: requests a second, for both versions together. `bad`: for each objective the part of stable's requests that
    is bad, 0 to 1. `ratio`: how many times as much of the canary's is; 1 for an objective that isn't there. `bursty`:
    the rate changes with each look, often to almost nothing and at times to many times its mean; else arrivals follow
    Poisson's law. `lag`: seconds by which counts come late. `users`: so many users stick to their version; a few of
    them send most, and one whose request is bad fails always. 0: each request is on its own.
    """

    rate: float
    bad: Mapping[str, float]
    ratio: Mapping[str, float] = field(default_factory=dict)
    bursty: bool = False
    lag: float = 0.0
    users: int = 0

    def risk(self, objective: str) -> float:
        """The part of the canary's requests that is bad, 0 to 1."""
        return min(1.0, self.bad[objective] * self.ratio.get(objective, 1.0))


@dataclass(slots=True)
class Part:
    """What came in a while under one share of the canary, so far as it is drawn by then.

    `amount`: seconds at the mean rate. `bad`: the canary's, by objective. With users also: stable's, and what is new of
    their buckets.
    """

    share: float
    amount: float
    bad: Sequence[int]
    stable_bad: Sequence[int] = ()
    fresh: Sequence[Fresh] = ()


class Requests:
    """Each request is bad by its own chance.

    Then bad and good ones come by Poisson's law, independently of each other. The good ones, and all of stable's, are
    drawn only when they are looked at, for many parts at once.
    """

    def __init__(self, plan: Plan, traffic: Traffic, chance: Chance) -> None:
        self._names = [objective.name for objective in plan.objectives]
        self._rate, self._chance = traffic.rate, chance
        self._stable = [traffic.bad[name] for name in self._names]
        self._canary = [traffic.risk(name) for name in self._names]

    def part(self, share: float, amount: float) -> Part:
        """What comes in so many seconds at the mean rate."""
        mean = self._rate * share * amount
        return Part(share, amount, [poisson(mean * risk, self._chance) for risk in self._canary])

    def looks(self, parts: Sequence[Part]) -> Mapping[str, tuple[Look, ...]]:
        """For each objective what the parts come to, those of the same share together."""
        shares = dict.fromkeys(part.share for part in parts)
        looks = [self._look(share, [part for part in parts if part.share == share]) for share in shares]
        return {name: tuple([look[index] for look in looks]) for index, name in enumerate(self._names)}

    def _look(self, share: float, parts: Sequence[Part]) -> list[Look]:
        mean = self._rate * sum([part.amount for part in parts])
        bad = _sums([part.bad for part in parts])
        stable_bad = self._stable_bad(parts, mean * (1 - share))
        requests = sum(bad) + poisson(mean * share * max(0.0, 1 - sum(self._canary)), self._chance)
        stable = sum(stable_bad) + poisson(mean * (1 - share) * max(0.0, 1 - sum(self._stable)), self._chance)
        return [
            Look(share, requests, canary, stable, on_stable, fresh)
            for canary, on_stable, fresh in zip(bad, stable_bad, self._fresh(parts), strict=True)
        ]

    def _stable_bad(self, parts: Sequence[Part], mean: float) -> list[int]:
        return [poisson(mean * risk, self._chance) for risk in self._stable]

    def _fresh(self, parts: Sequence[Part]) -> Sequence[Fresh | None]:
        return [None] * len(self._names)


@dataclass(slots=True)
class _User:
    """One who always fails on canary, on stable or on both, and comes every so many seconds on average."""

    every: float
    position: float
    bucket: int
    canary: bool
    stable: bool


class Users(Requests):
    """All that is bad comes of users who always fail; all other requests are good."""

    def __init__(self, plan: Plan, traffic: Traffic, chance: Chance) -> None:
        super().__init__(plan, traffic, chance)
        self._every = traffic.users / traffic.rate
        self._users = [
            [self._user(canary, stable) for _ in range(poisson(traffic.users * max(canary, stable), chance))]
            for canary, stable in zip(self._canary, self._stable, strict=True)
        ]
        self._classes = [1 / self._pause((index + 0.5) / _CLASSES) for index in range(_CLASSES)]
        self._buckets = [Buckets()] * len(self._names)
        self._moved: list[tuple[float, float]] = []
        self._met = 0.0
        self._share, self._now = 0.0, 0.0
        self._coming: list[list[tuple[float, int, bool]]] = []
        self._paces: list[tuple[float, float]] = []

    def part(self, share: float, amount: float) -> Part:
        """What comes in so many seconds at the mean rate."""
        if share != self._share:
            self._moved.append((share - self._share, self._now))
            self._share = share
            # When one comes next is independent of when they came last, so it is drawn anew for each share.
            came = [self._drawn(users) for users in self._users]
            self._coming, self._paces = [coming for coming, _ in came], [pace for _, pace in came]
        self._now += amount
        fresh = [self._came(index) for index in range(len(self._names))]
        # Those who came for the first time have sent that one request at least.
        counts = [
            [max(least, poisson(pace * amount, self._chance)) for least, pace in zip(first[:2], paces, strict=True)]
            for first, paces in zip(fresh, self._paces, strict=True)
        ]
        return Part(share, amount, [on[0] for on in counts], [on[1] for on in counts], fresh)

    def _user(self, canary: float, stable: float) -> _User:
        """One of those who fail at the rates `canary` and `stable`: on the version that has the greater one surely."""
        chance, most = self._chance, max(canary, stable)
        return _User(
            self._pause(chance()),
            chance(),
            floor(chance() * BUCKETS),
            chance() * most < canary,
            chance() * most < stable,
        )

    def _pause(self, part: float) -> float:
        """Seconds between two requests of one whom this part of all users is slower than."""
        pause: float = self._every * _TAIL / (_TAIL - 1) * (1 - part) ** (1 / _TAIL)
        return pause

    def _drawn(self, users: Sequence[_User]) -> tuple[list[tuple[float, int, bool]], tuple[float, float]]:
        """When each comes that fails where it now is, the last one first; and how many come a second, by version."""
        coming, canary, stable = list[tuple[float, int, bool]](), 0.0, 0.0
        for user in users:
            is_on_canary = user.position < self._share
            if not (user.canary if is_on_canary else user.stable):
                continue
            coming.append((self._now - user.every * log(1 - self._chance()), user.bucket, is_on_canary))
            if is_on_canary:
                canary += 1 / user.every
            else:
                stable += 1 / user.every
        return sorted(coming, reverse=True), (canary, stable)

    def _came(self, index: int) -> Fresh:
        """What is new of the objective's buckets by now."""
        canary = stable = 0
        coming = self._coming[index]
        while coming and coming[-1][0] <= self._now:
            _, bucket, is_on_canary = coming.pop()
            if is_on_canary:
                canary |= 1 << bucket
            else:
                stable |= 1 << bucket
        if not canary and not stable:
            return Fresh(0, 0)
        self._buckets[index], fresh = self._buckets[index].merged(canary, stable)
        return fresh

    def _stable_bad(self, parts: Sequence[Part], mean: float) -> list[int]:
        return _sums([part.stable_bad for part in parts])

    def _fresh(self, parts: Sequence[Part]) -> Sequence[Fresh | None]:
        met = self._met
        self._met = self._expected()
        new = poisson(self._met - met, self._chance)
        looks = []
        for news in zip(*[part.fresh for part in parts], strict=True):
            canary, stable, failed = _sums([(fresh.canary, fresh.stable, fresh.failed) for fresh in news])
            looks.append(Fresh(canary, stable, max(failed, new), failed, max([fresh.spent for fresh in news])))
        return looks

    def _expected(self) -> float:
        """How many buckets the canary has had a request of by now."""
        users = 0.0
        for share, since in self._moved:
            away = sum([exp((since - self._now) * pace) for pace in self._classes]) / _CLASSES
            users += share * self._every * self._rate * (1 - away)
        return BUCKETS * (1 - exp(-users / BUCKETS))


def _sums(rows: Sequence[Sequence[int]]) -> list[int]:
    """Of each column."""
    return [sum(column) for column in zip(*rows, strict=True)]
