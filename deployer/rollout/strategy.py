"""How a version takes traffic over: the document's `rollout`, in seconds and objectives. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.document import rollout as rollout_spec
from deployer.document.units import seconds
from deployer.rollout.analysis.products import Objective


@dataclass(frozen=True, slots=True)
class Pause:
    """A stop after the step of weight `at`: for so many seconds, or until someone approves."""

    at: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Weights in percent, rising, below 100; times in seconds.

    A step lasts `interval` at least. After `deadline` a step that still holds is overdue: it goes on holding, and
    that is told. `bake` follows the promotion.
    """

    steps: tuple[float, ...]
    interval: float
    deadline: float
    bake: float
    objectives: tuple[Objective, ...]
    pauses: tuple[Pause, ...] = ()
    evidence: str = ""
    """Whom it is asked of, and how: other answers are no continuation of those before."""

    def pause(self, weight: float) -> Pause | None:
        """The one after the step of that weight."""
        return next((pause for pause in self.pauses if pause.at == weight), None)


def of(rollout: rollout_spec.Rollout) -> Plan:
    """The plan that a document's `rollout` asks for. The user's own metrics are no part of it."""
    declared = rollout.objectives
    named = (("errors", declared.errors), ("rejections", declared.rejections), ("slow", declared.slow))
    return Plan(
        steps=rollout.steps,
        interval=seconds(rollout.interval),
        deadline=seconds(rollout.deadline),
        bake=seconds(rollout.bake),
        objectives=tuple(
            Objective(
                name,
                objective.margin,
                objective.max,
                objective.negligible,
                anew=name == "slow",
                over=seconds(objective.over) if isinstance(objective, rollout_spec.SlowObjective) else None,
            )
            for name, objective in named
            if objective is not None
        ),
        evidence=rollout.evidence if rollout.evidence == "gateways" else f"{rollout.evidence} {rollout.queries}",
        pauses=tuple(
            Pause(pause.at, None if pause.duration is None else seconds(pause.duration)) for pause in rollout.pauses
        ),
    )
