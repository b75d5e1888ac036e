"""Somebody who sends requests of his own to a simulated rollout, and knows how they are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from deployer.rollout.analysis.buckets import Buckets, Fresh
from deployer.rollout.analysis.products import Counts, GroupLook, Look
from deployer.rollout.simulation.arrivals import Part, Requests, Traffic, requests
from deployer.rollout.simulation.poisson import Chance, poisson
from deployer.rollout.strategy import Plan
from gateway.contract.evidence import BUCKETS, CALLER_GROUPS


@dataclass(frozen=True)
class Attack:
    """`rate`: his requests for each of all others'. `bad`: the part of them that fails. `aim`: the version that his
    sticky keys get; "both" where chance chooses, or he doesn't. `addresses`: how many he sends from, each of another
    group of callers."""

    rate: float
    bad: float
    aim: Literal["both", "canary", "stable"] = "both"
    addresses: int = 1

    def source(self, plan: Plan, traffic: Traffic, chance: Chance) -> Requests:
        return _Attacked(plan, traffic, chance, self)


NOBODY = Attack(0, 0)


@dataclass(slots=True)
class _AttackedPart(Part):
    """`honest`: without his. `his`: of each of his addresses requests and bad ones, on canary and stable."""

    honest: Part = field(kw_only=True)
    his: list[tuple[int, int, int, int]] = field(kw_only=True)


class _Attacked(Requests):
    """The honest requests, and his. A bad request with a key takes a bucket that he has not used yet."""

    def __init__(self, plan: Plan, traffic: Traffic, chance: Chance, attack: Attack) -> None:
        super().__init__(plan, traffic, chance)
        self._honest = requests(plan, traffic, chance)
        self._attack, self._keyed = attack, traffic.users > 0
        self._used = [Buckets()] * attack.addresses

    def part(self, share: float, amount: float) -> Part:
        honest, attack = self._honest.part(share, amount), self._attack
        on_canary = {"both": share, "canary": 1.0, "stable": 0.0}[attack.aim]
        mean = self._rate * amount * attack.rate / attack.addresses
        his = []
        for _ in range(attack.addresses):
            numbers = [
                poisson(mean * arm * part, self._chance)
                for arm in (on_canary, 1 - on_canary)
                for part in (attack.bad, 1 - attack.bad)
            ]
            his.append((numbers[0] + numbers[1], numbers[0], numbers[2] + numbers[3], numbers[2]))
        bad = [count + sum([one[1] for one in his]) for count in honest.bad]
        part = _AttackedPart(share, amount, bad, honest.stable_bad, honest=honest, his=his)
        if self._keyed:
            fresh = [list(groups) for groups in honest.fresh]
            for groups in fresh:  # for what may be telling by now alone
                groups[0] = groups[0]._replace(canary=groups[0].canary + sum([one[1] for one in his]))
            part.fresh = fresh
        return part

    def looks(self, parts: Sequence[Part]) -> Mapping[str, tuple[Look, ...]]:
        attacked = [part for part in parts if isinstance(part, _AttackedPart)]
        found = self._honest.looks([part.honest for part in attacked])
        shares = list(dict.fromkeys(part.share for part in attacked))
        groups = [self._his([part for part in attacked if part.share == share]) for share in shares]
        return {
            name: tuple([self._with(look, *his) for look, his in zip(looks, groups, strict=True)])
            for name, looks in found.items()
        }

    def _his(self, parts: Sequence[_AttackedPart]) -> tuple[list[tuple[int, ...]], list[Fresh]]:
        """Of each of his addresses: its numbers, and what is new of its buckets."""
        numbers = [tuple(map(sum, zip(*of, strict=True))) for of in zip(*[part.his for part in parts], strict=True)]
        fresh = []
        for address, (sent, bad, _, stable_bad) in enumerate(numbers):
            used = self._used[address]
            if not self._keyed:
                continue
            at = (used.canary | used.stable).bit_count()
            canary = min(bad, BUCKETS - at)
            stable = min(stable_bad, BUCKETS - at - canary)
            self._used[address], new = used.merged(
                used.canary | ((1 << canary) - 1 << at), used.stable | ((1 << stable) - 1 << at + canary)
            )
            fresh.append(new._replace(met=min(sent, BUCKETS)))
        return numbers, fresh

    def _with(self, look: Look, his: list[tuple[int, ...]], fresh: list[Fresh]) -> Look:
        groups = list(look.groups)
        whole = look.fresh
        for address, (sent, bad, others, others_bad) in enumerate(his):
            group = address % CALLER_GROUPS
            old = groups[group]
            compared = (bad, others_bad, sent, bad)
            if fresh and whole is not None:
                compared = fresh[address].compared[:-1]
                canary, stable, met, failed = [a + b for a, b in zip(whole[:-1], compared, strict=True)]
                whole = Fresh(canary, stable, met, failed, whole.spent)
            added = Counts(*map(sum, zip(old.counts, (*compared, sent, bad), strict=True)))
            groups[group] = GroupLook(group, old.sent + sent + others, added)
            look = look._replace(
                canary_requests=look.canary_requests + sent,
                canary_bad=look.canary_bad + bad,
                stable_requests=look.stable_requests + others,
                stable_bad=look.stable_bad + others_bad,
            )
        return look._replace(fresh=whole, groups=tuple(groups))
