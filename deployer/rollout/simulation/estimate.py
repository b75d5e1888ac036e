"""What many rollouts, played on the same traffic, say of the next one. Pure: chance is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deployer.rollout.simulation.arrivals import Traffic
from deployer.rollout.simulation.poisson import Chance
from deployer.rollout.simulation.simulator import play
from deployer.rollout.state import Phase
from deployer.rollout.strategy import Plan


@dataclass(frozen=True, slots=True)
class Spread:
    """What half of all runs, and nine of ten, have done by or with at most; None where fewer have done it at all."""

    median: float | None
    late: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Parts of all runs, 0 to 1, and seconds.

    `overdue`: runs of which a step was. `promotion`: until the canary had all traffic. `steps`: how long each took.
    `rollback`: until it was decided, and `bad`: the canary's bad requests that were seen until then.
    """

    promoted: float
    rolled_back: float
    overdue: float
    promotion: Spread
    steps: tuple[Spread, ...]
    rollback: Spread
    bad: Spread


def estimate(plan: Plan, traffic: Traffic, chances: Iterable[Chance]) -> Estimate:
    """One rollout for each of `chances`."""
    runs = [play(plan, traffic, chance) for chance in chances]
    promoted = [run for run in runs if run.end is Phase.PROMOTED]
    rolled_back = [run for run in runs if run.end is Phase.ROLLED_BACK]
    return Estimate(
        promoted=len(promoted) / len(runs),
        rolled_back=len(rolled_back) / len(runs),
        overdue=sum(run.overdue for run in runs) / len(runs),
        promotion=spread([run.seconds for run in promoted], len(runs)),
        steps=tuple(
            spread([run.steps[step] for run in runs if len(run.steps) > step], len(runs))
            for step in range(len(plan.steps))
        ),
        rollback=spread([run.seconds for run in rolled_back], len(runs)),
        bad=spread([run.bad for run in rolled_back], len(runs)),
    )


def spread(values: Sequence[float], runs: int) -> Spread:
    """Of so many runs, all that have no value being later than those."""
    ordered = sorted(values)

    def at(part: float) -> float | None:
        index = int(runs * part)
        return ordered[index] if index < len(ordered) else None

    return Spread(at(0.5), at(0.9))
