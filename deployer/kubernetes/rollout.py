"""One look at a deployment's rollout on a cluster: what is decided, and what the status tells and keeps of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from deployer.kubernetes import orders
from deployer.kubernetes.actions import Notify, Tell
from deployer.kubernetes.conditions import RolloutFacts
from deployer.kubernetes.happenings import Happening
from deployer.kubernetes.kinds import Object
from deployer.kubernetes.packed import packed, unpacked
from deployer.kubernetes.sight import Heard, sight
from deployer.kubernetes.status import ConditionType, DeploymentStatus, OrderStatus
from deployer.kubernetes.versions import VersionFacts
from deployer.rollout import concerns
from deployer.rollout import kept as keeping
from deployer.rollout import plan as plans
from deployer.rollout.cloudevent import event
from deployer.rollout.conduct import Conduct, conduct
from deployer.rollout.kept import Kept
from deployer.rollout.state import OVER, Phase
from deployer.rollout.status import RolloutStatus, record, seconds, time, told
from deployer.spec import ModelDeployment

EVIDENCE = 5.0
"""Seconds between two writes of the status that tell new evidence and nothing else."""
_BACK = (Phase.ROLLING_BACK, Phase.ROLLED_BACK)


@dataclass(frozen=True)
class Decision:
    """What is to be of the document's traffic, by a look at `now`. `doubts`: what keeps the rollout from going on,
    beside the evidence. `order`: what to say of the last order."""

    now: float
    document: ModelDeployment
    conduct: Conduct
    doubts: tuple[str, ...]
    order: OrderStatus | None

    @property
    def facts(self) -> RolloutFacts:
        """What the status tells and keeps."""
        kept = self.conduct.kept
        history = tuple(record(one) for one in kept.history)
        text = packed(keeping.write(kept)) if kept != Kept() else None
        return RolloutFacts(self._status, text, history, self.order)

    @property
    def named(self) -> dict[ConditionType, tuple[str, str]]:
        """The conditions that stand, with reason and message."""
        named: dict[ConditionType, tuple[str, str]] = {}
        if self.conduct.outdated:
            named["StableOutdated"] = ("StableOutdated", self.conduct.outdated)
        rollout, now = self.conduct.kept.rollout, self._status
        if rollout is None or now is None:
            return named
        if rollout.phase in _BACK and self.document.spec.traffic.canary == now.canary:
            named["RolledBack"] = ("RolledBack", f"{now.canary} was rolled back: {now.reason}")
        if rollout.phase in OVER:
            return named
        if now.paused and now.until is None:
            named["RolloutPaused"] = ("Paused", f"{now.paused}; turnout rollout says how to go on")
        if rollout.overdue:
            named["RolloutOverdue"] = ("Overdue", f"since {now.deadline}: status.rollout says what it waits for")
        return named

    @property
    def told(self) -> list[Tell | Notify]:
        """What has happened, as Events, and for whom the document names."""
        rollout, happenings = self.document.spec.rollout, self.conduct.happenings
        told: list[Tell | Notify] = [
            Tell(Happening("Warning" if one.warning else "Normal", one.reason, one.message)) for one in happenings
        ]
        if rollout is not None and rollout.notify is not None:
            about = (self.document.key, self.conduct.kept.rollout)
            told += [Notify(rollout.notify, event(*about, one, self.now)) for one in happenings]
        return told

    @property
    def _status(self) -> RolloutStatus | None:
        rollout = self.document.spec.rollout
        return told(self.conduct.kept, plans.of(rollout) if rollout is not None else None, self.doubts)


def decide(
    resource: Object,
    document: ModelDeployment,
    said: DeploymentStatus | None,
    heard: Heard,
    versions: Mapping[str, VersionFacts],
    foreign: Collection[str],
    now: float,
) -> Decision:
    """The look at `now` (seconds since 1970). `said`: the status as it is. `foreign`: versions whose Service is
    somebody else's."""
    order, given = orders.taken(resource, said)
    seen = sight(now, said, heard, versions, foreign, given)
    stands = said.rollout_state if said is not None else None
    kept = keeping.read(unpacked(stands)) if stands is not None else None
    decided = conduct(document, kept, seen)
    rollout = decided.kept.rollout
    doubts = tuple(concerns.doubts(document, seen)) if rollout is not None and rollout.phase not in OVER else ()
    return Decision(now, document, decided, doubts, order)


def paced(before: DeploymentStatus | None, after: DeploymentStatus, now: float) -> DeploymentStatus | None:
    """What to write of `after`, where `before` is what stands; None: nothing.

    New evidence alone is written now and then: until it is, a look begins with what was kept last, and takes all that
    has come since.
    """
    if after.rollout is None:
        return after if after != before else None
    if before is not None and before.rollout is not None and before.rollout.told is not None:
        since = before.rollout.told
        if _at(after, since) == before:
            return None
        recent = 0 <= now - seconds(since) < EVIDENCE
        if recent and _without_evidence(after) == _without_evidence(before):
            return None
    return _at(after, time(now))


def _at(status: DeploymentStatus, told: str) -> DeploymentStatus:
    assert status.rollout is not None
    return status.model_copy(update={"rollout": status.rollout.model_copy(update={"told": told})})


def _without_evidence(status: DeploymentStatus) -> DeploymentStatus:
    rollout = status.rollout
    if rollout is not None:
        rollout = rollout.model_copy(update={"evidence": (), "doubts": (), "told": None})
    return status.model_copy(update={"rollout": rollout, "rollout_state": None})
