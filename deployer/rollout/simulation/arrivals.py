"""Requests that come to a rollout in a simulation, and those of them that are bad. Pure: chance is passed in.

They come from so many callers that each group of them sends as much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, floor, log, sqrt

from deployer.rollout.analysis.buckets import Buckets, Fresh, total
from deployer.rollout.analysis.products import Counts, GroupLook, Look
from deployer.rollout.simulation.poisson import Chance, normal, poisson
from deployer.rollout.strategy import Plan
from gateway.contract.evidence import BUCKETS, CALLER_GROUPS

_TAIL = 1.5
"""Exponent of Pareto's law, by which users differ in how much they send: the busiest hundredth sends a fifth."""
_CLASSES = 20
"""Of users by how much they send, for what is reckoned and not drawn."""
_MANY = 1000
"""Bad requests, from which on they are not drawn one by one."""


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
    each group's buckets.
    """

    share: float
    amount: float
    bad: Sequence[int]
    stable_bad: Sequence[int] = ()
    fresh: Sequence[Sequence[Fresh]] = ()


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
            Look(share, requests, canary, stable, on_stable, None if fresh is None else total(fresh), None, groups)
            for canary, on_stable, fresh in zip(bad, stable_bad, self._fresh(parts), strict=True)
            for groups in [self._groups((requests, canary), (stable, on_stable), fresh)]
        ]

    def _groups(
        self, canary: tuple[int, int], stable: tuple[int, int], fresh: Sequence[Fresh] | None
    ) -> tuple[GroupLook, ...]:
        """Which group each request came from: of the bad ones by chance, of the good ones as many from each."""
        bad, stable_bad = self._spread(canary[1]), self._spread(stable[1])
        good, stable_good = (
            [(count + group) // CALLER_GROUPS for group in range(CALLER_GROUPS)]
            for count in (max(0, canary[0] - canary[1]), max(0, stable[0] - stable[1]))
        )
        looks = []
        for group, of in enumerate(zip(bad, good, stable_bad, stable_good, strict=True)):
            failed, sent = of[0], of[0] + of[1]
            compared = (failed, of[2], sent, failed) if fresh is None else fresh[group].compared[:-1]
            looks.append(GroupLook(group, sum(of), Counts(*compared, sent, failed)))
        return tuple(looks)

    def _spread(self, count: int, groups: int = CALLER_GROUPS) -> list[int]:
        """So many, over the groups, of which there are two to some power: each one by chance, or of many by the normal
        distribution how many go to either half."""
        if groups == 1:
            return [count]
        if count >= _MANY:
            half = round(count / 2 + sqrt(count) / 2 * normal(self._chance))
            return [*self._spread(half, groups // 2), *self._spread(count - half, groups // 2)]
        counts = [0] * groups
        for _ in range(count):
            counts[floor(self._chance() * groups)] += 1
        return counts

    def _stable_bad(self, parts: Sequence[Part], mean: float) -> list[int]:
        return [poisson(mean * risk, self._chance) for risk in self._stable]

    def _fresh(self, parts: Sequence[Part]) -> Sequence[Sequence[Fresh] | None]:
        """Of each objective, of each group."""
        return [None] * len(self._names)


@dataclass(slots=True)
class _User:
    """One who always fails on canary, on stable or on both, and comes every so many seconds on average; of one group
    of callers."""

    every: float
    position: float
    group: int
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
        self._buckets = [[Buckets()] * CALLER_GROUPS for _ in self._names]
        self._moved: list[tuple[float, float]] = []
        self._met = 0.0
        self._share, self._now = 0.0, 0.0
        self._coming: list[list[tuple[float, int, int, bool]]] = []
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
            [
                max(least, poisson(pace * amount, self._chance))
                for least, pace in zip(total(first)[:2], paces, strict=True)
            ]
            for first, paces in zip(fresh, self._paces, strict=True)
        ]
        return Part(share, amount, [on[0] for on in counts], [on[1] for on in counts], fresh)

    def _user(self, canary: float, stable: float) -> _User:
        """One of those who fail at the rates `canary` and `stable`: on the version that has the greater one surely."""
        chance, most = self._chance, max(canary, stable)
        return _User(
            self._pause(chance()),
            chance(),
            floor(chance() * CALLER_GROUPS),
            floor(chance() * BUCKETS),
            chance() * most < canary,
            chance() * most < stable,
        )

    def _pause(self, part: float) -> float:
        """Seconds between two requests of one whom this part of all users is slower than."""
        pause: float = self._every * _TAIL / (_TAIL - 1) * (1 - part) ** (1 / _TAIL)
        return pause

    def _drawn(self, users: Sequence[_User]) -> tuple[list[tuple[float, int, int, bool]], tuple[float, float]]:
        """When each comes that fails where it now is, the last one first; and how many come a second, by version."""
        coming, canary, stable = list[tuple[float, int, int, bool]](), 0.0, 0.0
        for user in users:
            is_on_canary = user.position < self._share
            if not (user.canary if is_on_canary else user.stable):
                continue
            came = self._now - user.every * log(1 - self._chance())
            coming.append((came, user.group, user.bucket, is_on_canary))
            if is_on_canary:
                canary += 1 / user.every
            else:
                stable += 1 / user.every
        return sorted(coming, reverse=True), (canary, stable)

    def _came(self, index: int) -> list[Fresh]:
        """What is new of each group's buckets by now, for the objective."""
        canary, stable = dict[int, int](), dict[int, int]()
        coming, buckets = self._coming[index], self._buckets[index]
        while coming and coming[-1][0] <= self._now:
            _, group, bucket, is_on_canary = coming.pop()
            bits = canary if is_on_canary else stable
            bits[group] = bits.get(group, 0) | 1 << bucket
        fresh = [Fresh(0, 0)] * CALLER_GROUPS
        for group in canary.keys() | stable.keys():
            buckets[group], fresh[group] = buckets[group].merged(canary.get(group, 0), stable.get(group, 0))
        return fresh

    def _stable_bad(self, parts: Sequence[Part], mean: float) -> list[int]:
        return _sums([part.stable_bad for part in parts])

    def _fresh(self, parts: Sequence[Part]) -> Sequence[Sequence[Fresh] | None]:
        met = self._met
        self._met = self._expected()
        new = poisson(self._met - met, self._chance)
        looks = []
        for news in zip(*[part.fresh for part in parts], strict=True):
            of_groups = []
            for group, of_group in enumerate(zip(*news, strict=True)):
                canary, stable, failed = _sums([(fresh.canary, fresh.stable, fresh.failed) for fresh in of_group])
                units = max(failed, (new + group) // CALLER_GROUPS)
                of_groups.append(Fresh(canary, stable, units, failed, max([fresh.spent for fresh in of_group])))
            looks.append(of_groups)
        return looks

    def _expected(self) -> float:
        """How many buckets of all groups the canary has had a request of by now."""
        users = 0.0
        for share, since in self._moved:
            away = sum([exp((since - self._now) * pace) for pace in self._classes]) / _CLASSES
            users += share * self._every * self._rate * (1 - away)
        buckets = BUCKETS * CALLER_GROUPS
        return buckets * (1 - exp(-users / buckets))


def _sums(rows: Sequence[Sequence[int]]) -> list[int]:
    """Of each column."""
    return [sum(column) for column in zip(*rows, strict=True)]


def requests(plan: Plan, traffic: Traffic, chance: Chance) -> Requests:
    """As the traffic has users or not."""
    return (Users if traffic.users else Requests)(plan, traffic, chance)
