"""One look at a deployment's rollout, for every target: what to keep, whom to give the traffic, how many replicas, and
what to say of it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from deployer.document.model import ModelDeployment
from deployer.rollout import capacity, gates, status
from deployer.rollout import strategy as plans
from deployer.rollout.analysis.evidence import Comparison, EvidenceLedger, taken
from deployer.rollout.analysis.products import Look
from deployer.rollout.checkpoint import Checkpoint, Failures, Record
from deployer.rollout.clock import Clock
from deployer.rollout.events import Event, figures, rollout_events
from deployer.rollout.observation import Observation
from deployer.rollout.state import OVER, Phase, Rollout, Route, StepInput, VersionPair, is_timed, is_under_way
from deployer.rollout.state_machine import SETTLING, step
from deployer.rollout.status import MetricStatus, RolloutRecord, RolloutStatus
from deployer.rollout.strategy import Plan


@dataclass(frozen=True)
class Split:
    """Who gets the requests that ask for no version. `salt`: of sticky keys' positions, one for each rollout."""

    stable: str
    canary: str | None = None
    weight: float = 0.0
    salt: str = ""

    @classmethod
    def of(cls, document: ModelDeployment) -> Split:
        """The document's own, where no rollout moves the weight."""
        traffic = document.spec.traffic
        if traffic.canary is None or traffic.canary == traffic.stable:
            return cls(traffic.stable)
        return cls(traffic.stable, traffic.canary, traffic.weight, _salt(document, traffic.stable, traffic.canary, 0))


@dataclass(frozen=True)
class Decision:
    """What is to be of a deployment's traffic, and what to say of it."""

    checkpoint: Checkpoint
    """What the next look begins with. Kept before, or in the same write as, the rest is brought about."""
    roles: Split
    floors: Mapping[str, int]
    """For each version the least replicas that it needs now, where more than its own minimum."""
    plan: Plan | None = None
    """The rollout that the document declares."""
    events: tuple[Event, ...] = ()
    """What has happened since the last look, in its order."""
    hold_reasons: tuple[str, ...] = ()
    """What keeps the rollout from going on, beside the evidence."""
    outdated: str = ""
    """Why a new canary is refused until the document agrees on who is stable (0014-status-says-who-is-stable); empty
    otherwise.
    """
    metrics: tuple[MetricStatus, ...] = ()
    """The user's own metrics as they were seen."""

    @cached_property
    def status(self) -> RolloutStatus | None:
        """How the rollout stands that is under way, or was last."""
        return status.current(self.checkpoint, self.plan, self.hold_reasons, self.metrics)

    @cached_property
    def history(self) -> tuple[RolloutRecord, ...]:
        """The rollouts that are over."""
        return tuple(map(status.record, self.checkpoint.history))


def decide(document: ModelDeployment, checkpoint: Checkpoint | None, observation: Observation) -> Decision:
    """One look; `checkpoint` is the one before's."""
    declared = document.spec.rollout
    before = checkpoint if checkpoint is not None else Checkpoint()
    plan = plans.of(declared) if declared is not None else None
    if plan is None and not is_under_way(before.rollout):
        return _by_hand(document, before, observation)
    return _Look(document, plan, before, observation).decide()


def _by_hand(document: ModelDeployment, before: Checkpoint, observation: Observation) -> Decision:
    """Without a rollout. What a person asked for is not handed on to the next ones."""
    rollout = before.rollout
    if rollout is not None and observation.action is not None:
        rollout = replace(rollout, handled=observation.action[0])
    after = replace(before, rollout=rollout, stable="", declared_stable="", outdated="", lost=False)
    return Decision(after, Split.of(document), {})


_REVERTED = "the document made the version before stable again; `retry` tries the other one once more"


def is_reverted(before: Rollout | None, after: Rollout | None) -> bool:
    """Whether the document has taken back what a rollout came to."""
    phases = before and before.phase, after and after.phase
    return phases == (Phase.PROMOTED, Phase.ROLLED_BACK)


_AT_THE_TOP = (Phase.PROMOTING, Phase.BAKING, Phase.FINISHING)
"""Where the canary has all traffic, or is to have it: the document may say already who is stable then."""


def _salt(document: ModelDeployment, stable: str, canary: str | None, number: int) -> str:
    return f"{document.key} {stable} {canary} {number}" if canary is not None else ""


class _Look:
    """One look at a deployment with a rollout, declared or still under way."""

    def __init__(
        self, document: ModelDeployment, plan: Plan | None, checkpoint: Checkpoint, observation: Observation
    ) -> None:
        self._document = document
        self._plan = plan
        self._before, self._wall = checkpoint, observation.now
        clock = checkpoint.clock if is_under_way(checkpoint.rollout) else Clock()
        checkpoint = replace(checkpoint, clock=clock.advanced(observation.now))
        self._observation = replace(observation, now=checkpoint.clock.now)
        self._traffic = document.spec.traffic
        self._declared = document.by_name
        self._checkpoint = self._decided(checkpoint)
        self._lost = checkpoint.lost

    def decide(self) -> Decision:
        before = self._checkpoint
        old = self._adopted(before.rollout)
        checkpoint, looks = self._evidence(before, old)
        if is_under_way(old):
            checkpoint = gates.watched(checkpoint, old, self._document, self._observation)
            checkpoint = replace(checkpoint, base=max(checkpoint.base, self._carrying(old)))
        hold_reasons = tuple(gates.hold_reasons(checkpoint, self._document, self._observation))
        ready = self._observation.ready
        if old is not None and not gates.is_comparable(old, self._observation):
            ready = {**ready, old.trial.canary: 0}
        seen = StepInput(
            self._observation.now,
            self._trial(old),
            self._route(),
            self._observation.settled,
            capacity.percentages(self._document, checkpoint.base, ready),
            looks,
            abort_reasons=tuple(gates.abort_reasons(checkpoint, old, self._document, self._observation))
            if old is not None
            else (),
            hold_reasons=hold_reasons,
            action=self._observation.action,
        )
        after = step(old, self._plan, seen)
        rollout = after.rollout
        checkpoint = self._noted(replace(checkpoint, rollout=rollout), before.rollout)
        outdated = self._outdated(checkpoint)
        events = [*rollout_events(before.rollout, rollout, self._plan)]
        if self._lost:
            message = "what was kept of the rollouts can't be read, so a rollout begins again, without its evidence"
            events.insert(0, Event("RolloutLost", message, True))
        if is_reverted(self._before.rollout, before.rollout):
            events.append(Event("Reverted", f"{before.stable} gets the traffic again: {_REVERTED}", True))
        if outdated and outdated != before.outdated:
            events.append(Event("StableOutdated", outdated, True))
        under_way = is_under_way(rollout)
        return Decision(
            self._clocked(replace(checkpoint, outdated=outdated)),
            self._roles(checkpoint, after.route),
            capacity.floors(self._document, checkpoint.base, after.capacity) if under_way else {},
            self._plan,
            tuple(events),
            hold_reasons if under_way else (),
            outdated,
            tuple(status.metrics(checkpoint, self._document, self._observation)),
        )

    def _clocked(self, checkpoint: Checkpoint) -> Checkpoint:
        """With when things came to be as they are, by the wall clock; and with the clock as it was where nothing else
        has changed, and it isn't due or nobody waits for it."""
        rollout, before = checkpoint.rollout, self._before.rollout
        if rollout is not None and (before is None or rollout.entered != before.entered):
            checkpoint = replace(checkpoint, entered=self._wall)
        if rollout is not None and rollout.since is not None and (before is None or rollout.since != before.since):
            checkpoint = replace(checkpoint, in_force=self._wall)
        old = self._before.clock
        is_same = replace(checkpoint, clock=old) == self._before
        is_due = checkpoint.clock.is_due(old) and rollout is not None and is_timed(rollout)
        return self._before if is_same and not is_due else checkpoint

    # Who is who

    def _decided(self, checkpoint: Checkpoint) -> Checkpoint:
        """With who is stable, where no rollout is under way: as the last one left it, until the document changes."""
        if is_under_way(checkpoint.rollout):
            return checkpoint
        wanted, route = self._traffic.stable, self._observation.route
        stable = checkpoint.stable if checkpoint.declared_stable == wanted else wanted
        if checkpoint.lost and route is not None:
            stable = route.stable
        if stable not in self._declared:
            stable = wanted
        rollout = checkpoint.rollout
        promoted = rollout is not None and rollout.phase is Phase.PROMOTED and stable != rollout.trial.canary
        if rollout is not None and promoted and stable == rollout.trial.stable:
            # A revert of the commit that took the promotion over: whoever reverts does not ask to try it again.
            rollout = replace(rollout, phase=Phase.ROLLED_BACK, entered=self._observation.now, reason=_REVERTED)
        elif rollout is not None and promoted:
            # Made stable by the document against what a rollout came to: then a new trial of the same is a new one.
            rollout = replace(rollout, trial=replace(rollout.trial, identity=""))
        return replace(checkpoint, rollout=rollout, stable=stable, declared_stable=wanted, lost=False)

    def _adopted(self, rollout: Rollout | None) -> Rollout | None:
        """The rollout, ended if the document itself has made the canary stable, and can't be waiting for the bake."""
        if rollout is None or rollout.phase in (*OVER, Phase.ROLLING_BACK, Phase.RESTORING):
            return rollout
        trial = rollout.trial
        baking = rollout.phase in _AT_THE_TOP and trial.stable in self._declared
        if self._traffic.stable != trial.canary or baking:
            return rollout
        why = f"the document made {trial.canary} stable"
        return replace(
            rollout, phase=Phase.PROMOTED, entered=self._observation.now, paused=None, until=None, reason=why
        )

    def _trial(self, rollout: Rollout | None) -> VersionPair | None:
        """What the document asks to try. Of a rollout that is promoted, also where it says already who is stable then;
        undone it may be until the document goes on from there."""
        traffic, stable = self._traffic, self._checkpoint.stable
        if rollout is not None and rollout.phase is not Phase.ROLLED_BACK:
            trial = rollout.trial
            agreed = traffic.stable == trial.canary and (
                rollout.phase in _AT_THE_TOP
                or (rollout.phase in (Phase.PROMOTED, Phase.RESTORING) and traffic.canary in (None, trial.canary))
            )
            is_same = agreed or (traffic.stable, traffic.canary) == (trial.stable, trial.canary)
            if is_same and {trial.stable, trial.canary} <= self._declared.keys():
                return VersionPair(trial.stable, trial.canary, _identity(self._document, trial.stable, trial.canary))
            if is_under_way(rollout):
                stable = traffic.stable
        canary = traffic.canary
        if self._observation.route is None or stable != traffic.stable or canary is None or canary == stable:
            return None
        return VersionPair(stable, canary, _identity(self._document, stable, canary))

    def _route(self) -> Route:
        route = self._observation.route
        return Route(route.stable, route.canary, route.weight) if route is not None else Route(self._traffic.stable)

    def _roles(self, checkpoint: Checkpoint, wanted: Route) -> Split:
        rollout = checkpoint.rollout
        if is_under_way(rollout):
            canary = wanted.canary if wanted.canary in self._declared else None
            if wanted.stable not in self._declared and not self._is_held(wanted.stable):
                return Split(self._traffic.stable)
            salt = _salt(self._document, wanted.stable, canary, rollout.number)
            return Split(wanted.stable, canary, wanted.weight if canary is not None else 0.0, salt)
        traffic = self._traffic
        canary = traffic.canary if checkpoint.stable == traffic.stable and traffic.canary != checkpoint.stable else None
        number = rollout.number if rollout is not None else 0
        return Split(checkpoint.stable, canary, 0.0, _salt(self._document, checkpoint.stable, canary, number))

    def _is_held(self, version: str) -> bool:
        """Whether gateways still know a version that is no longer declared."""
        return self._observation.route is not None and version in self._observation.route.by_name

    def _outdated(self, checkpoint: Checkpoint) -> str:
        canary, declared = self._traffic.canary, self._traffic.stable
        stable, rollout = checkpoint.stable, checkpoint.rollout
        if is_under_way(rollout) or stable == declared:
            return ""
        if rollout is not None and rollout.phase is Phase.ROLLED_BACK and rollout.trial.canary == declared:
            return f"{declared} was rolled back, so {stable} is stable: spec.traffic.stable has to say {stable}"
        if canary is None or canary == stable:
            return ""
        return (
            f"{stable} is stable, and spec.traffic.stable still says {declared}: {canary} is not tried before it says "
            f"{stable}"
        )

    # Evidence

    def _evidence(
        self, checkpoint: Checkpoint, rollout: Rollout | None
    ) -> tuple[Checkpoint, dict[str, tuple[Look, ...]] | None]:
        if rollout is None or not is_under_way(rollout):
            return checkpoint, None
        observation, trial, route = self._observation, rollout.trial, self._observation.route
        known = checkpoint.taken
        if route is not None and (route.stable, route.canary) == (trial.stable, trial.canary):
            known = known.knowing(route.epoch, route.weight / 100)
        comparison = Comparison(
            trial.stable,
            trial.canary,
            _salt(self._document, trial.stable, trial.canary, rollout.number),
            self._steady(rollout),
        )
        after, looks = taken(known, comparison, observation.readings, observation.now)
        read = {signal: tuple(found) for signal, found in looks.items()} if observation.readings else None
        return replace(checkpoint, taken=after), read

    def _steady(self, rollout: Rollout) -> int | None:
        """The epoch in force, if all have it, and for so long that no failure of a weight before can arrive."""
        observation = self._observation
        if observation.route is None or not observation.settled or observation.unread or rollout.since is None:
            return None
        if any(reading.epoch != observation.route.epoch for reading in observation.readings):
            return None
        return observation.route.epoch if rollout.step == 0 or observation.now - rollout.since >= SETTLING else None

    # What is kept

    def _noted(self, checkpoint: Checkpoint, before: Rollout | None) -> Checkpoint:
        """With what the beginning or the end of a rollout changes."""
        rollout, observation = checkpoint.rollout, self._observation
        if rollout is None or rollout == before:
            return checkpoint
        if before is None or rollout.number != before.number:
            count, _ = observation.failures.get(rollout.trial.canary, (0, ""))
            epoch = observation.route.epoch if observation.route is not None else -1
            checkpoint = replace(
                checkpoint,
                began=self._wall,
                taken=EvidenceLedger(epoch),
                failures=Failures(count),
                metrics={},
                base=self._base(rollout),
            )
        elif rollout.phase is Phase.RESTORING and before.phase is Phase.PROMOTED:
            checkpoint = replace(checkpoint, began=self._wall, base=self._base(rollout))
        if rollout.phase in OVER and (before is None or before.phase is not rollout.phase):
            undone = before is not None and before.phase is Phase.RESTORING
            stable = rollout.trial.canary if rollout.phase is Phase.PROMOTED else rollout.trial.stable
            record = Record(
                rollout.number,
                rollout.trial.stable,
                rollout.trial.canary,
                "undone" if undone else rollout.phase.value,
                rollout.reason,
                checkpoint.began,
                self._wall,
                (*figures(rollout), *gates.metric_figures(checkpoint, self._document)),
            )
            # A document that has made the canary stable before it was rolled back does not ask to take it again.
            refused = rollout.phase is Phase.ROLLED_BACK and self._traffic.stable == rollout.trial.canary
            declared_stable = self._traffic.stable if refused else checkpoint.declared_stable
            history = checkpoint.recorded(record)
            checkpoint = self._decided(
                replace(checkpoint, stable=stable, declared_stable=declared_stable, history=history)
            )
        return checkpoint

    def _carrying(self, rollout: Rollout) -> int:
        """The replicas that all traffic has now, where one version has it or nearly: it may have grown since the
        rollout began, and whoever takes the traffic over, or back, needs as many."""
        desired, trial = self._observation.desired, rollout.trial
        baking = rollout.phase is Phase.BAKING
        return max(desired.get(trial.stable, 0), desired.get(trial.canary, 0) if baking else 0)

    def _base(self, rollout: Rollout) -> int:
        """The replicas that carry all traffic now."""
        carries = rollout.trial.canary if rollout.phase is Phase.RESTORING else rollout.trial.stable
        return max(1, self._observation.desired.get(carries, 0))


def _identity(document: ModelDeployment, *versions: str) -> str:
    """A digest of the versions as declared; how many replicas they have is no part of them, nor what a newer release
    adds to all documents."""
    declared = document.by_name
    specs = [
        declared[name].model_dump(mode="json", exclude={"autoscaling"}, exclude_defaults=True) for name in versions
    ]
    return hashlib.sha256(json.dumps(specs, sort_keys=True).encode()).hexdigest()[:16]
