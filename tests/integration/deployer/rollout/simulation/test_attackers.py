"""What somebody who knows how requests are counted makes of a rollout, by whole ones through the real verdict.

Too short deadlines and streams that break the protocol are not among his means: they are left out before a version is
chosen. Who hangs up early counts as a good request, and late (or with a body that servers fail on) as a bad one, so
those are what he sends. The full count of rollouts is `make prove`'s, which writes docs/reference/attackers.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployer.rollout.analysis.verdict import ALPHA
from deployer.rollout.simulation.arrivals import Traffic
from deployer.rollout.simulation.estimate import spread
from deployer.rollout.simulation.simulator import Run
from deployer.rollout.state import Phase
from deployer.rollout.strategy import Plan
from tests.fakes.attacker import NOBODY, Attack
from tests.fakes.rollouts import ERRORS, played, players

RUNS = 10_000
FEWER = 2_000
"""Of what is measured alone."""
SAMPLE = 100
"""That the slow tests play: enough to see an attack that works."""
PLAN = Plan((25,), interval=30, deadline=600, bake=10, objectives=(ERRORS,))
HASTY = replace(PLAN, steps=(5,), interval=5, deadline=300)
FIRST = replace(PLAN, steps=(5,), interval=1e6, deadline=3600)
CHANCE, STICKY = Traffic(300, {"errors": 0.01}), Traffic(300, {"errors": 0.01}, users=30_000)
"""By each request's own chance, and by the keys of users; some of whom always fail."""
FAILING, GOOD = Attack(1, 1), Attack(1, 0)
LIKE_OTHERS = Attack(1, 0.02)
"""Of one address, so that its number stays just below what is far apart."""
BY_CHANCE = {
    "nobody": NOBODY,
    "a tenth as much, all fails": Attack(0.1, 1),
    "as much, all fails": FAILING,
    "as much, 2 % fail": LIKE_OTHERS,
    "as much, all is good": GOOD,
    "as much, all fails, two addresses": replace(FAILING, addresses=2),
    "as much, all fails, four addresses": replace(FAILING, addresses=4),
}
BY_KEYS = {
    "nobody": NOBODY,
    "a hundredth, all fails on the canary": Attack(0.01, 1, "canary"),
    "as much, all fails on the canary": replace(FAILING, aim="canary"),
    "as much, all fails on stable": replace(FAILING, aim="stable"),
    "as much, all fails on either": FAILING,
    "as much, all is good on the canary": replace(GOOD, aim="canary"),
    "as much, all fails on the canary, two addresses": replace(FAILING, aim="canary", addresses=2),
}


@dataclass(frozen=True)
class Case:
    split: str
    version: str
    attacker: str
    attack: Attack
    plan: Plan
    traffic: Traffic
    wrong: Phase | None = None
    """How it must not end."""

    @property
    def runs(self) -> int:
        return RUNS if self.attack.addresses == 1 else FEWER

    def __str__(self) -> str:
        return f"{self.version}, {self.split}: {self.attacker}"


def _cases() -> Iterator[Case]:
    for split, traffic, attackers in (("by chance", CHANCE, BY_CHANCE), ("by keys", STICKY, BY_KEYS)):
        for attacker, attack in attackers.items():
            bad, worse = (replace(traffic, ratio={"errors": ratio}) for ratio in (2.0, 5.0))
            yield Case(split, "equal", attacker, attack, PLAN, traffic, Phase.ROLLED_BACK)
            yield Case(split, "twice as bad", attacker, attack, HASTY, bad, Phase.PROMOTED)
            yield Case(split, "five times as bad", attacker, attack, FIRST, replace(worse, rate=100))


CASES = sorted(_cases(), key=lambda case: (case.attack.addresses > 1, case.split, case.version))
REPORT = Path(__file__).resolve().parents[5] / "docs" / "reference" / "attackers.md"
TABLE = """\
| Split | The canary | The attacker sends | Promoted | Rolled back | Median time to the end | 90 % within |
|---|---|---|---|---|---|---|"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with players() as pool:
        yield pool


@pytest.fixture(scope="module")
def figures(pool: Executor) -> Iterator[Callable[[Case, int], list[Run]]]:
    """Plays a case once; once all are played in full, they are written for people."""
    known: dict[tuple[str, int], list[Run]] = {}

    def play(case: Case, runs: int) -> list[Run]:
        if (str(case), runs) not in known:
            known[str(case), runs] = played(pool, case.plan, case.traffic, runs, case.attack.source)
            print(f"\n{_row(case, known[str(case), runs])}", end="")
        return known[str(case), runs]

    yield play
    rows = [_row(case, known[str(case), case.runs]) for case in CASES if (str(case), case.runs) in known]
    if len(rows) == len(CASES):
        REPORT.write_text("\n".join((REPORT.read_text().partition(TABLE)[0] + TABLE, *rows, "")))


def _row(case: Case, runs: list[Run]) -> str:
    found = spread([run.seconds for run in runs if run.end in (Phase.PROMOTED, Phase.ROLLED_BACK)], len(runs))
    ends = (f"{_part(runs, end):.2%}" for end in (Phase.PROMOTED, Phase.ROLLED_BACK))
    times = ("" if time is None else f"{time:.0f} s" for time in (found.median, found.late))
    return f"| {' | '.join((case.split, case.version, case.attacker, *ends, *times))} |"


def _part(runs: list[Run], end: Phase) -> float:
    return sum(run.end is end for run in runs) / len(runs)


def _levels() -> Iterator[object]:
    for case in CASES:
        yield pytest.param(case, case.runs, id=str(case), marks=pytest.mark.prove)
        yield pytest.param(case, SAMPLE, id=f"{case}, a sample", marks=pytest.mark.slow)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("case", "runs"), list(_levels()))
def test_one_attacker_decides_nothing(case: Case, runs: int, figures: Callable[[Case, int], list[Run]]) -> None:
    """He moves neither alpha nor the power to find a bad version beyond one and a half of what they are without him."""
    ends = figures(case, runs)
    if case.wrong is not None:
        assert _part(ends, case.wrong) <= 1.5 * ALPHA
        return
    assert _part(ends, Phase.ROLLED_BACK) >= 0.99
    if case.attack.addresses > 1:
        return  # how long several hide it is measured alone
    nobody = next(one for one in CASES if one.attack == NOBODY and (one.plan, one.traffic) == (case.plan, case.traffic))
    median, without = (spread([run.seconds for run in of], runs).median for of in (ends, figures(nobody, runs)))
    assert median is not None
    assert without is not None
    assert median <= 1.5 * without
