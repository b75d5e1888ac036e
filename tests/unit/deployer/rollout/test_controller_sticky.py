"""Whole rollouts with sticky keys: the unit of evidence is the key's bucket, not the request."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from functools import cache

import pytest

from deployer.rollout.analysis.reading import Count, Reading
from deployer.rollout.observation import Observation
from deployer.rollout.state import Phase
from gateway.routing.sticky import Position, position
from tests.fakes.rollout import ROLLOUT, RolloutHarness, declared

USERS = 4000
SO_FEW = {"negligible": 0.02}
"""That of a thousand users none fails shows no less."""
PLAN = {**ROLLOUT, "steps": [25, 50], "objectives": {"errors": SO_FEW, "rejections": SO_FEW}}


@cache
def cohorts(salt: str) -> tuple[Position, ...]:
    return tuple(position(salt, str(user).encode()) for user in range(USERS))


class Keyed(RolloutHarness):
    """Each second a tenth of the users makes `each` requests. `broken` users fail with any version, and requests at
    `rates` besides."""

    def __init__(self, seed: int, each: int = 3) -> None:
        super().__init__(declared(traffic={"sticky": {"header": "x-user"}}, rollout=PLAN))
        self.broken: set[int] = set()
        self.each = each
        self.keyed = True
        """Whether the counts say so."""
        self.random = random.Random(seed)
        self.bits: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.salt = ""

    def _serve(self) -> None:
        if self.route is None or not self.route.salt:
            return
        if self.route.salt != self.salt:
            self.salt = self.route.salt
            self.bits.clear()
        of = cohorts(self.salt)
        for user in self.random.sample(range(USERS), USERS // 10):
            canary = self.route.canary is not None and of[user].share < self.route.weight / 100
            version = self.route.canary if canary and self.route.canary is not None else self.route.stable
            counts = self.counts.setdefault((version, self.route.epoch), [0, 0])
            bit = 1 << of[user].bucket
            self.bits[version]["requests"] |= bit
            for _ in range(self.each):
                bad = user in self.broken or self.random.random() < self.rates.get(version, 0.0)
                counts[0] += 1
                counts[1] += bad
                if bad:
                    self.bits[version]["errors"] |= bit

    def observation(self) -> Observation:
        epoch = self.route.epoch if self.route is not None else 0
        counts = tuple(Count(v, e, self.keyed, n, bad, 0, 0) for (v, e), (n, bad) in self.counts.items())
        bits = {version: dict(of) for version, of in self.bits.items()} if self.keyed else {}
        return replace(super().observation(), readings=(Reading(self.source, epoch, counts, self.salt, bits),))


@pytest.mark.parametrize(("keyed", "phase"), [(True, Phase.STEP), (False, Phase.ROLLED_BACK)])
def test_users_that_always_fail_are_chance_by_keys_and_would_be_proof_by_requests(keyed: bool, phase: Phase) -> None:
    """Of 100 such users, 35 instead of 25 are among the canary's quarter. They fail with either version, each of them
    again and again."""
    world = Keyed(1, each=0)
    world.keyed = keyed
    world.until_weight(25)
    shares = [position.share for position in cohorts("default/digits v1 v2 1")]
    first = [user for user in range(USERS) if shares[user] < 0.25]
    rest = [user for user in range(USERS) if shares[user] >= 0.25]
    world.broken, world.each = {*first[:35], *rest[:65]}, 20
    world.looks(100)
    assert world.rollout.phase is phase


def test_a_good_version_takes_all_traffic() -> None:
    world = Keyed(4)
    world.rates = {"v1": 0.02, "v2": 0.02}
    world.until_phase(Phase.PROMOTED)
    assert world.reasons == ["RolloutBegun", "StepBegun", "StepBegun", "Promoting", "Promoted", "Baked"]
    assert "of sticky keys, buckets " in world.events[2].message


def test_a_bad_version_is_rolled_back() -> None:
    world = Keyed(2)
    world.rates = {"v1": 0.005, "v2": 0.1}
    world.until_phase(Phase.ROLLED_BACK)
    assert world.rollout.step == 0
    assert "the canary is worse" in world.rollout.reason


def test_a_gateway_that_starts_again_tells_no_bucket_twice() -> None:
    world = Keyed(3)
    world.rates = {"v1": 0.01, "v2": 0.01}
    world.until_weight(25)
    world.looks(20)
    earlier = {version: dict(of) for version, of in world.bits.items()}
    before = world.rollout.evidence[0]
    world.source, world.counts, world.rates = "gateway again", {}, {}
    world.bits.clear()
    world.looks(2)
    for version, of in earlier.items():  # as the other gateways have them still
        for signal, bits in of.items():
            world.bits[version][signal] |= bits
    world.looks(2)
    after = world.rollout.evidence[0]
    assert before.canary_buckets > 0
    assert (after.canary_buckets, after.stable_buckets) == (before.canary_buckets, before.stable_buckets)
    assert after.canary_requests > before.canary_requests
