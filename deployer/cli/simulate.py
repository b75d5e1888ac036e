"""`turnout simulate`: what a rollout is likely to do, before there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from random import Random
from typing import Any

import click
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from deployer.cli import options
from deployer.document.loader import read
from deployer.document.model import API_VERSION, KIND, ModelDeployment
from deployer.document.validation import examined
from deployer.errors import TurnoutError
from deployer.rollout import strategy as plans
from deployer.rollout.simulation.arrivals import Traffic
from deployer.rollout.simulation.estimate import Estimate, Spread, estimate
from deployer.rollout.simulation.forecast import BAD
from deployer.rollout.strategy import Plan

RUNS = 200
"""Rollouts of a good version: the answer takes seconds, and its parts are right to a few percent."""
WORSE_RUNS = 100
"""Of each bad version: of these it is only told when they are caught."""
RATIOS = (2.0, 3.0, 5.0, 20.0)
"""How many times worse than stable the bad versions are that are tried."""
CHART = 30
"""Characters of the chart."""
_PLAIN: dict[str, Any] = {
    "apiVersion": API_VERSION,
    "kind": KIND,
    "metadata": {"name": "simulated"},
    "spec": {
        "runtime": "tfserving",
        "versions": [{"name": "stable", "model": "model/1"}, {"name": "canary", "model": "model/2"}],
        "traffic": {"stable": "stable", "canary": "canary"},
    },
}
"""What is simulated where no file says otherwise."""


def _steps(context: click.Context, parameter: click.Parameter, value: str | None) -> list[float] | None:
    try:
        return None if value is None else [float(step) for step in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of percentages such as 5,25,50") from None


_PART = options.Between(0, 1, max_open=True)


@click.command()
@click.argument("file", required=False)
@click.option(
    "--steps", metavar="PERCENT,...", callback=_steps, help="The canary's weights, instead of the document's."
)
@click.option("--interval", metavar="TIME", help="The least time of a step, likewise.")
@click.option("--deadline", metavar="TIME", help="When a step is overdue, likewise.")
@click.option("--bake", metavar="TIME", help="The time after the promotion, likewise.")
@click.option(
    "--rate",
    type=options.Between(0, 1_000_000, min_open=True),
    required=True,
    help="Requests a second, to both versions together.",
)
@click.option("--errors", type=_PART, default=BAD, show_default=True, help="The part of stable's requests that fails.")
@click.option(
    "--rejections",
    type=_PART,
    default=BAD,
    show_default=True,
    help="The part of stable's requests that it refuses as wrong.",
)
@click.option(
    "--slow", type=_PART, default=BAD, show_default=True, help="The part of stable's requests that is answered late."
)
@click.option(
    "--users",
    type=click.IntRange(0, 1_000_000),
    default=0,
    help="So many users, each staying with one version: a few send most, and who fails does always.  [default: each "
    "request is on its own]",
)
@options.output
def simulate(
    file: str | None,
    steps: list[float] | None,
    interval: str | None,
    deadline: str | None,
    bake: str | None,
    rate: float,
    errors: float,
    rejections: float,
    slow: float,
    users: int,
    output: str,
) -> None:
    """Say how long rollouts like that of the document in FILE would take, and how soon they would catch a bad version.

    Plays a few hundred of them on drawn traffic, through what decides real ones. Without FILE it is a plain rollout,
    with the steps and times that are given. Waiting for approval and starting replicas take no time here.
    """
    overrides = {"steps": steps, "interval": interval, "deadline": deadline, "bake": bake}
    changes = {field: value for field, value in overrides.items() if value is not None}
    bad = {"errors": errors, "rejections": rejections, "slow": slow}
    answers = []
    for document in read([file], models=False) if file is not None else [ModelDeployment.model_validate(_PLAIN)]:
        plan = _plan(document, changes, plain=file is None)
        traffic = Traffic(rate, {objective.name: bad[objective.name] for objective in plan.objectives}, users=users)
        good = _estimate(plan, traffic, RUNS)
        worse = {
            (objective.name, ratio): _estimate(plan, replace(traffic, ratio={objective.name: ratio}), WORSE_RUNS)
            for objective in plan.objectives
            for ratio in RATIOS
            if 0 < traffic.bad[objective.name] <= 1 / ratio
        }
        if output == "text":
            _show(document.key if file is not None else "", plan, traffic, good, worse)
        else:
            answers.append(_as_json(document, plan, traffic, good, worse))
    if output == "json":
        options.show_as_json({"rollouts": answers})


def _plan(document: ModelDeployment, changes: dict[str, Any], *, plain: bool) -> Plan:
    """The document's, with what was given instead; nobody has to approve.

    Raises:
        TurnoutError: there is none, or what was given makes none.
    """
    if document.spec.rollout is None and not changes and not plain:
        raise TurnoutError(f"{document.key} has no rollout; add one to its spec, or give one with --steps")
    data = document.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    data["spec"]["traffic"].pop("weight", None)
    data["spec"].setdefault("rollout", {}).update(changes)
    changed, wrongs = examined(data)
    if changed is None or wrongs or changed.spec.rollout is None:
        raise TurnoutError("\n".join(f"--{wrong.path[2]}: {wrong.message}" for wrong in wrongs))
    plan = plans.of(changed.spec.rollout)
    return replace(plan, pauses=tuple(pause for pause in plan.pauses if pause.seconds is not None))


def _estimate(plan: Plan, traffic: Traffic, runs: int) -> Estimate:
    """With the same chance each time, so that two plans can be compared."""
    return estimate(plan, traffic, (Random(seed).random for seed in range(runs)))


_Worse = dict[tuple[str, float], Estimate]


def _as_json(document: ModelDeployment, plan: Plan, traffic: Traffic, good: Estimate, worse: _Worse) -> dict[str, Any]:
    return {
        "deployment": document.key,
        "rate": traffic.rate,
        "bad": dict(traffic.bad),
        "users": traffic.users,
        "good": {
            "promoted": good.promoted,
            "rolledBack": good.rolled_back,
            "overdue": good.overdue,
            "seconds": asdict(good.promotion),
            "steps": [
                {"weight": weight, "seconds": asdict(step)} for weight, step in zip(plan.steps, good.steps, strict=True)
            ],
        },
        "worse": [
            {
                "objective": objective,
                "ratio": ratio,
                "rolledBack": each.rolled_back,
                "promoted": each.promoted,
                "seconds": asdict(each.rollback),
                "badRequests": asdict(each.bad),
            }
            for (objective, ratio), each in worse.items()
        ],
    }


def _show(key: str, plan: Plan, traffic: Traffic, good: Estimate, worse: _Worse) -> None:
    console = Console() if Console().is_terminal else Console(width=100)
    bad = ", ".join(f"{name} {part:.2%}" for name, part in traffic.bad.items())
    of = f"{key}: " if key else ""
    console.print(f"{of}{traffic.rate:g} requests/s; {bad}", highlight=False, soft_wrap=True)
    console.print()
    console.print(_good(plan, good))
    for text in _promotion_lines(good):
        console.print(f"  {text}", highlight=False, soft_wrap=True)
    console.print()
    console.print(_bad(worse))


def _good(plan: Plan, good: Estimate) -> Table:
    """The steps on one axis of time, by their medians."""
    table = _table("A VERSION AS GOOD AS STABLE", "", "HALF WITHIN", "9 OF 10 WITHIN")
    medians = [step.median or 0.0 for step in good.steps]
    whole, begin = sum(medians) or 1.0, 0.0
    for weight, step, median in zip(plan.steps, good.steps, medians, strict=True):
        bar = Bar(whole, begin, begin + median, width=CHART)
        table.add_row(f"step of {weight:g} %", bar, *_times(step))
        begin += median
    table.add_row("until it has all traffic", Bar(whole, 0, begin, width=CHART), *_times(good.promotion))
    return table


def _promotion_lines(good: Estimate) -> list[str]:
    texts = [
        f"promoted in {good.promoted:.1%} of {RUNS} simulated rollouts, wrongly rolled back in {good.rolled_back:.1%}"
    ]
    if good.overdue:
        texts.append(f"in {good.overdue:.1%} a step is overdue: fewer or greater steps, or a later deadline, may help")
    return texts


def _bad(worse: _Worse) -> Table:
    """How soon each is caught, against the slowest."""
    table = _table("A VERSION THAT IS WORSE", "", "HALF CAUGHT", "9 OF 10 CAUGHT", "IT HAS SPOILT")
    most = max([each.rollback.median or 0.0 for each in worse.values()], default=0.0) or 1.0
    for (objective, ratio), each in worse.items():
        median = each.rollback.median
        spoilt = "-" if each.bad.median is None else f"{each.bad.median:.0f} requests"
        bar = Bar(most, 0, median or 0.0, width=CHART)
        table.add_row(f"{ratio:g} times the {objective}", bar, *_times(each.rollback), spoilt)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index > 1 else "left", no_wrap=True)
    return table


def _times(spread: Spread) -> Sequence[str]:
    return [_time(spread.median), _time(spread.late)]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
