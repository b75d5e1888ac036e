"""How often the verdict is wrong, over whole rollouts through the real state machine.

The full count of rollouts is `make prove`'s, which writes docs/reference/error-rates.md; a tenth of it notices an error
rate that has doubled, and runs with the slow tests. Seeds are fixed, so each gives the same result again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from deployer.cli import simulate
from deployer.rollout.analysis.products import Objective
from deployer.rollout.analysis.verdict import ALPHA
from deployer.rollout.simulation.arrivals import Traffic
from deployer.rollout.simulation.estimate import estimate, spread
from deployer.rollout.simulation.forecast import needed
from deployer.rollout.simulation.poisson import Chance
from deployer.rollout.simulation.simulator import Run, play
from deployer.rollout.state import Phase
from deployer.rollout.strategy import Pause, Plan
from tests.fakes.rollouts import ERRORS, played, players

RUNS = 10_000
FEWER = 2000
"""Where more is tried than has to be."""
SAMPLE = 10
"""The part of the runs, one of so many, that the slow tests play."""
LARGE_SAMPLE = 2
"""The same where times are held against others', and a rollout is soon over."""
PLAN = Plan((5, 25, 50), interval=60, deadline=3600, bake=60, objectives=(ERRORS,))
LONG = replace(PLAN, deadline=6 * 3600)
"""For few requests: there it takes hours."""
STICKY = replace(PLAN, steps=(20, 50))
"""Users are spent, each counting once: at a small share too few are on the canary to tell."""
BRIEF = replace(PLAN, deadline=600)
"""For what may never be shown: holding for hours says no more."""
FOUR = replace(
    PLAN,
    steps=(20, 50),
    objectives=(
        Objective("errors", 2.0, limit=0.05),
        Objective("rejections", 2.0),
        Objective("slow", 2.0, anew=True),
        Objective("other", 1.5),
    ),
)
HASTY = replace(PLAN, steps=(5,), interval=5, deadline=6 * 3600)
"""The easiest to pass: one step, and from its first look on the canary may be promoted at each."""
FIRST = replace(PLAN, steps=(5,), interval=1e6, deadline=1e6)
"""To see how soon a bad version is caught, the first step doesn't end."""
SMALL = replace(FIRST, steps=(1,))
LIMITED = replace(PLAN, objectives=(Objective("errors", 2.0, limit=0.01),))


@dataclass(frozen=True)
class Case:
    name: str
    plan: Plan
    traffic: Traffic
    runs: int = RUNS

    def __str__(self) -> str:
        return self.name


def traffic(
    rate: float, ratio: float = 1.0, bad: float = 0.01, bursty: bool = False, lag: float = 0, users: int = 0
) -> Traffic:
    """With errors alone."""
    return Traffic(rate, {"errors": bad}, {"errors": ratio}, bursty, lag, users)


FOURFOLD = Traffic(300, {objective.name: 0.01 for objective in FOUR.objectives})

GOOD = [
    Case("equal, 10/s", LONG, traffic(10)),
    Case("equal, 100/s", PLAN, traffic(100)),
    Case("equal, 1000/s", PLAN, traffic(1000)),
    Case("equal, bursty", PLAN, traffic(100, bursty=True)),
    Case("equal, counts 5 s late", PLAN, traffic(100, lag=5)),
    Case("equal, sticky users", STICKY, traffic(100, users=100_000)),
    Case("equal, four objectives", FOUR, FOURFOLD),
    Case("equal, nothing is bad", PLAN, traffic(1000, bad=0), FEWER),
    Case("better, 10/s", LONG, traffic(10, 0.5)),
    Case("better, 100/s", PLAN, traffic(100, 0.5)),
    Case("better, 1000/s", PLAN, traffic(1000, 0.5)),
    Case("much better, 100/s", PLAN, traffic(100, 0.2), FEWER),
    Case("better, bursty", PLAN, traffic(100, 0.5, bursty=True)),
    Case("better, counts 5 s late", PLAN, traffic(100, 0.5, lag=5)),
    Case("better, sticky users", STICKY, traffic(100, 0.5, users=30_000)),
    Case("better, four objectives", FOUR, replace(FOURFOLD, ratio=dict.fromkeys(FOURFOLD.bad, 0.5))),
]
"""What has to be promoted."""
NOT_WORSE = [
    Case("equal, few sticky users", BRIEF, traffic(100, users=10_000), FEWER),
    Case("equal, at the limit", replace(LIMITED, deadline=600), traffic(100), FEWER),
]
"""What must not be rolled back, though it may never be shown to be good."""
MARGINAL = [
    Case("at the margin, 10/s", HASTY, traffic(10, 2), FEWER),
    Case("at the margin, 100/s", HASTY, traffic(100, 2)),
    Case("at the margin, 1000/s", HASTY, traffic(1000, 2), FEWER),
    Case("at the margin, bursty", HASTY, traffic(100, 2, bursty=True), FEWER),
    Case("at the margin, counts 5 s late", PLAN, traffic(100, 2, lag=5), FEWER),
    Case("at the margin, sticky users", STICKY, traffic(100, 2, users=30_000), FEWER),
    Case("at the margin of what is negligible", BRIEF, traffic(1000, 2, bad=0.0005), FEWER),
    Case("at the margin of one objective of four", FOUR, replace(FOURFOLD, ratio={"rejections": 2.0}), FEWER),
]
CAUGHT = [
    Case("1 % to 3 %, 5 % share", FIRST, traffic(100, 3)),
    Case("1 % to 5 %, 5 % share", FIRST, traffic(100, 5)),
    Case("1 % to 20 %, 5 % share", FIRST, traffic(100, 20)),
    Case("1 % to 5 %, 1 % share", SMALL, traffic(100, 5)),
    Case("1 % to 5 %, 5 % share, sticky users", FIRST, traffic(100, 5, users=30_000), FEWER),
]
MEDIANS, LATE = (105, 35, 5, 185, 90), (195, 70, 10, 375, 220)
"""The median and the 90th percentile, in seconds, that others found; with sticky users ours, since no verdict hangs on
one caller."""
PROOF = (*GOOD, *NOT_WORSE, *MARGINAL, *CAUGHT)
REPORT = Path(__file__).resolve().parents[5] / "docs" / "reference" / "error-rates.md"
TABLE = """\
| Case | Rollouts | Promoted | Rolled back | Median time to the end | 90 % within | `simulate` says |
|---|---|---|---|---|---|---|"""


def levels(cases: Sequence[Case], *more: Sequence[Any], part: int = SAMPLE) -> Callable[[Any], Any]:
    """Each case twice: with all its runs for `make prove`, and with a sample of them, one of `part`."""
    rows = [(case, *rest) for case, *rest in zip(cases, *more, strict=True)]
    full = [pytest.param(*row, id=str(row[0]), marks=pytest.mark.prove) for row in rows]
    sample = [
        pytest.param(
            replace(row[0], runs=row[0].runs // part), *row[1:], id=f"{row[0]}, a sample", marks=pytest.mark.slow
        )
        for row in rows
    ]
    return pytest.mark.parametrize(("case", "median", "late")[: len(rows[0])] if more else "case", [*full, *sample])


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with players() as pool:
        yield pool


@pytest.fixture(scope="module")
def report() -> Iterator[Callable[..., None]]:
    """Notes the figures of a case; once all cases of the proof are noted, they are written for people."""
    rows: dict[str, str] = {}

    def note(case: Case, runs: list[Run], forecast: float | None = None) -> None:
        found = spread([run.seconds for run in runs], len(runs))
        assert found.median is not None
        assert found.late is not None
        expected = "" if forecast is None else f"{forecast:.0f} s"
        ends = (f"{part(runs, end):.2%}" for end in (Phase.PROMOTED, Phase.ROLLED_BACK))
        cells = (case.name, f"{case.runs:,}", *ends, f"{found.median:.0f} s", f"{found.late:.0f} s", expected)
        row = f"| {' | '.join(cells)} |"
        print(f"\n{row}", end="")
        if case in PROOF:
            rows[case.name] = row

    yield note
    if rows.keys() == {case.name for case in PROOF}:
        REPORT.write_text("\n".join((REPORT.read_text().partition(TABLE)[0] + TABLE, *rows.values(), "")))


def chances(runs: int) -> Iterator[Chance]:
    """Others than those that `played` has."""
    return (Random(RUNS + seed).random for seed in range(runs))


def part(runs: list[Run], end: Phase) -> float:
    return sum(run.end is end for run in runs) / len(runs)


@pytest.mark.timeout(1200)
@levels(GOOD)
def test_a_good_version_is_promoted_in_the_time_that_was_forecast(
    case: Case, pool: Executor, report: Callable[..., None]
) -> None:
    # `simulate` knows neither of bursts nor of late counts.
    forecast = estimate(case.plan, replace(case.traffic, bursty=False, lag=0), chances(simulate.RUNS))
    runs = played(pool, case.plan, case.traffic, case.runs)
    report(case, runs, forecast.promotion.median)
    assert part(runs, Phase.ROLLED_BACK) <= ALPHA
    assert part(runs, Phase.PROMOTED) >= 0.99
    median = spread([run.seconds for run in runs if run.end is Phase.PROMOTED], case.runs).median
    assert median is not None
    assert forecast.promotion.median is not None
    assert forecast.promotion.median / 1.5 <= median <= forecast.promotion.median * 1.5


@pytest.mark.timeout(1200)
@levels(NOT_WORSE)
def test_a_version_that_is_not_worse_is_not_rolled_back(
    case: Case, pool: Executor, report: Callable[..., None]
) -> None:
    runs = played(pool, case.plan, case.traffic, case.runs)
    report(case, runs)
    assert part(runs, Phase.ROLLED_BACK) <= ALPHA


@pytest.mark.timeout(1200)
@levels(MARGINAL)
def test_a_version_at_the_margin_is_not_promoted(case: Case, pool: Executor, report: Callable[..., None]) -> None:
    runs = played(pool, case.plan, case.traffic, case.runs)
    report(case, runs)
    assert part(runs, Phase.PROMOTED) <= ALPHA


@pytest.mark.timeout(1200)
@levels(CAUGHT, MEDIANS, LATE, part=LARGE_SAMPLE)
def test_a_bad_version_is_caught_as_soon_as_others_found(
    case: Case, median: float, late: float, pool: Executor, report: Callable[..., None]
) -> None:
    runs = played(pool, case.plan, case.traffic, case.runs)
    report(case, runs)
    found = spread([run.seconds for run in runs if run.end is Phase.ROLLED_BACK], case.runs)
    assert found.median is not None
    assert found.late is not None
    assert found.median <= median
    assert found.late <= late


def test_the_same_on_fewer_runs() -> None:
    """Of 300, not one more may be wrong than 1 % of them, and by far most have to end as they should."""
    plan, requests = replace(PLAN, steps=(25, 50)), traffic(300)
    good = [play(plan, requests, chance) for chance in chances(300)]
    assert part(good, Phase.ROLLED_BACK) <= ALPHA
    assert part(good, Phase.PROMOTED) >= 0.99
    marginal = [play(plan, traffic(300, 2), chance) for chance in chances(300)]
    assert part(marginal, Phase.PROMOTED) <= ALPHA
    assert part(marginal, Phase.ROLLED_BACK) >= 0.99
    users = [play(plan, traffic(300, 5, users=10_000), chance) for chance in chances(30)]
    assert part(users, Phase.ROLLED_BACK) == 1


def test_a_run_is_told_with_its_times() -> None:
    plan = replace(PLAN, pauses=(Pause(25, 600),))
    run = play(plan, traffic(1000), Random(1).random)
    assert (run.end, run.overdue) == (Phase.PROMOTED, False)
    first, second, third = run.steps
    assert min(first, third) >= 60
    assert second >= 660
    assert run.seconds == pytest.approx(sum(run.steps), abs=10)
    bad = play(plan, traffic(1000, 50), Random(1).random)
    assert (bad.end, bad.steps) == (Phase.ROLLED_BACK, ())
    assert 0 <= bad.seconds <= 5
    assert 0 < bad.bad < 1000
    assert "errors" in bad.reason


def test_without_requests_a_run_holds_past_its_deadline() -> None:
    run = play(PLAN, traffic(0.0001), Random(1).random)
    assert (run.end, run.overdue, run.steps) == (Phase.STEP, True, ())
    assert run.seconds == pytest.approx(3 * PLAN.deadline, rel=0.01)


@pytest.mark.parametrize(("weight", "rate"), [(1, 1000), (5, 100), (25, 20), (50, 20)])
@pytest.mark.parametrize("bad", [0, 0.0005, 0.01, 0.1])
def test_what_is_reckoned_is_about_what_is_played(weight: float, rate: float, bad: float) -> None:
    plan = Plan((weight,), interval=10, deadline=1e6, bake=10, objectives=(ERRORS,))
    [requests] = needed(plan, {"errors": bad})
    found = estimate(plan, traffic(rate, bad=bad), chances(60)).promotion.median
    assert found is not None
    assert requests / rate / 1.6 <= found <= requests / rate * 1.6
