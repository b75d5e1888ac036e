"""A fleet in which a rollout happens, as badly as it may: gateways that lag and start again, replicas that come and go,
counts that come late or never, people who change their minds, and a deployer that is killed between any two effects.

What must always be true is asserted after each look, by what the fleet itself knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deployer.rollout.analysis.products import Look, Objective
from deployer.rollout.analysis.verdict import LEAST_REQUESTS, Verdict
from deployer.rollout.state import AWAITING, OVER, Action, Phase, Rollout, Route, StepInput, VersionPair
from deployer.rollout.state_machine import Step, step
from deployer.rollout.strategy import Pause, Plan

ERRORS, SLOW = Objective("errors", 2.0, limit=0.5), Objective("slow", 2.0, anew=True)
PLANS = (
    Plan((5.0, 25.0, 50.0), 60.0, 3600.0, 600.0, (ERRORS, SLOW)),
    Plan((1.0, 10.0), 10.0, 300.0, 30.0, (ERRORS,)),
    Plan((20.0, 80.0), 30.0, 600.0, 60.0, (ERRORS, SLOW), (Pause(20.0, 100.0), Pause(80.0))),
    Plan((50.0,), 0.0, 60.0, 0.0, (replace(ERRORS, margin=1.5),), (Pause(50.0),)),
)
TRIALS = (
    VersionPair("v1", "v2", "fine"),
    VersionPair("v1", "v2", "broken"),
    VersionPair("v1", "v3", "fine"),
    VersionPair("v2", "v1", "fine"),
    VersionPair("v2", "v3", "broken"),
)
VERSIONS = ("v1", "v2", "v3")
STEPS = ("stored", "routed")
"""After which of a look's effects the deployer may be killed; None: after all."""

UNDER_WAY = frozenset(Phase) - OVER
PENDING = frozenset({Phase.WARMING, Phase.STEP, Phase.PROMOTING, Phase.BAKING})


class Fleet:
    """Two gateways, three versions and one deployer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.plan: Plan | None = PLANS[0]
        self.trial: VersionPair | None = TRIALS[0]
        self.route = Route("v1")
        self.gateways = [self.route, self.route]
        self.rollout: Rollout | None = None
        self.wanted = {"v1": 100.0}
        self.ready = dict.fromkeys(VERSIONS, 0.0) | {"v1": 100.0}
        self.counts: list[tuple[int, float]] = []  # rollout, and the share of each batch of requests
        self.action: tuple[str, Action] | None = None
        self.actions = 0
        self.abort_reasons: tuple[str, ...] = ()
        self.forced: set[int] = set()  # rollouts that somebody asked to promote
        self.tested: dict[tuple[int, float], int] = {}  # requests of the canary that were told, by rollout and share
        self.ticks = 0

    # What happens.

    def passes(self, seconds: float) -> None:
        self.now += seconds

    def gateway_follows(self, index: int) -> None:
        self.gateways[index] = self.route

    def serves(self, index: int) -> None:
        """A gateway has a thousand requests, by the weight that it has."""
        rollout, gateway = self.rollout, self.gateways[index]
        if rollout is not None and gateway.canary == rollout.trial.canary and gateway.stable == rollout.trial.stable:
            self.counts.append((rollout.number, gateway.weight / 100))

    def counts_are_lost(self) -> None:
        self.counts.clear()

    def replicas_come(self, version: str) -> None:
        self.ready[version] = max(self.ready[version], self.wanted.get(version, 0.0))

    def replicas_go(self, version: str, left: float) -> None:
        self.ready[version] = min(self.ready[version], left)

    def canary_crashes(self) -> None:
        self.abort_reasons = ("its server ended with exit code 1",)

    def ordered(self, action: Action) -> None:
        self.actions += 1
        self.action = (f"action {self.actions}", action)

    def edited(self, trial: VersionPair | None, plan: Plan | None) -> None:
        self.trial, self.plan = trial, plan

    def moved_by_hand(self, weight: float) -> None:
        rollout = self.rollout
        if rollout is not None and rollout.phase in PENDING:
            self.route = Route(rollout.trial.stable, rollout.trial.canary, weight)

    # What the deployer does.

    def look(self, readable: Sequence[str] | None = ("errors", "slow"), doubt: bool = False, killed: str = "") -> Step:
        """One look; its effects end after the one named `killed`."""
        before = self.rollout
        seen = StepInput(
            self.now,
            self.trial,
            self.route,
            all(gateway == self.route for gateway in self.gateways),
            dict(self.ready),
            self._looks(readable),
            self.abort_reasons,
            ("a gateway is silent",) if doubt else (),
            self.action,
        )
        made = step(before, self.plan, seen)
        self.ticks += 1
        self._check(before, seen, made)
        self.rollout = made.rollout
        if made.rollout is None or made.rollout.phase in OVER:
            self.abort_reasons = ()
        if killed != "stored":
            self.route = made.route
            if killed != "routed":
                self.wanted = dict(made.capacity)
        return made

    def _looks(self, readable: Sequence[str] | None) -> dict[str, tuple[Look, ...]] | None:
        """What was counted since the last time that anything could be read."""
        if readable is None:
            return None
        rollout, counts, self.counts = self.rollout, self.counts, []
        looks = []
        for number, share in counts if rollout is not None else ():
            if rollout is None or number != rollout.number:
                continue
            canary, stable = round(1_000 * share), round(1_000 * (1 - share))
            broken = rollout.trial.identity == "broken"
            looks.append(Look(share, canary, canary if broken else canary // 100, stable, stable // 50))
            if readable:
                self.tested[number, share] = self.tested.get((number, share), 0) + canary
        return {name: tuple(looks) for name in readable}

    # What must be true.

    def _check(self, before: Rollout | None, seen: StepInput, made: Step) -> None:
        after, route = made.rollout, made.route
        assert 0 <= route.weight <= 100
        assert route.canary is not None or route.weight == 0
        assert route.canary != route.stable
        taken = after is not None and (before is None or before.handled != after.handled)
        if after is not None and taken and seen.action is not None and seen.action[1] is Action.PROMOTE:
            self.forced.add(after.number)
        if after is None:
            return
        trial = after.trial
        if after.phase in UNDER_WAY:
            assert made.capacity[trial.stable] == 100
        if after.phase in PENDING | {Phase.ROLLING_BACK}:
            assert (route.stable, route.canary) == (trial.stable, trial.canary)
            assert made.capacity[trial.canary] >= seen.route.weight * (seen.route.canary == trial.canary)
        rose = (
            before is not None
            and before.number == after.number
            and after.weight > max(before.weight, seen.route.weight)
        )
        if rose:
            assert seen.settled
            assert seen.capacity[trial.canary] >= after.weight
        if before is None or before.number != after.number:
            assert after.weight == 0
            assert before is None or before.phase in OVER
            return
        self._check_change(before, seen, after)

    def _check_change(self, before: Rollout, seen: StepInput, after: Rollout) -> None:
        trial, number = after.trial, after.number
        assert (before.trial.stable, before.trial.canary) == (trial.stable, trial.canary)
        assert before.trial == trial or after.phase is Phase.RESTORING
        if before.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
            assert after.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
            assert after.weight == 0
        if after.phase is before.phase:
            return
        if after.phase is Phase.ROLLED_BACK:
            assert all(gateway.weight == 0 and gateway.stable == trial.stable for gateway in self.gateways)
        if after.phase is Phase.PROMOTED and before.phase is not Phase.RESTORING:
            assert all(gateway == Route(trial.canary) for gateway in self.gateways)
        if after.phase is Phase.PROMOTING:
            assert after.forced == (number in self.forced) or not after.forced
            if not after.forced:
                assert trial.identity == "fine"
                judgement = after.judgement
                assert judgement is not None
                assert judgement.verdict is Verdict.ADVANCE
                assert self.tested.get((number, before.weight / 100), 0) >= LEAST_REQUESTS
            else:
                assert "by hand" in after.reason
        if after.phase in (Phase.BAKING, Phase.FINISHING):
            assert all(gateway == self.route for gateway in self.gateways)
            assert self.route.weight == 100

    # How it ends.

    def settle(self) -> None:
        """From here on all goes well, and people lift their pauses: the rollout is over within bounded looks, with its
        traffic and replicas where they belong."""
        self.abort_reasons = ()
        for _ in range(200):
            self.passes(30)
            self.gateways = [self.route] * 2
            self.ready |= self.wanted
            for _ in range(20):
                self.serves(0)
            if self.rollout is not None and self.rollout.paused is not None:
                self.ordered(Action.APPROVE if self.rollout.paused == AWAITING else Action.RESUME)
            before = self.rollout
            self.look()
            after = self.rollout
            if after is before and (after is None or after.phase in OVER) and self.gateways == [self.route] * 2:
                break
        else:
            raise AssertionError(f"never ended: {self.rollout}")
        if after is None:
            return
        stable = after.trial.canary if after.phase is Phase.PROMOTED else after.trial.stable
        assert self.route.stable == stable
        assert self.route.weight == 0
        assert self.ready[stable] == 100
