"""A rollout in words: what people read while it goes on, and in the morning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.rollout.analysis.verdict import Verdict
from deployer.rollout.describe import drawn, explain, line, span
from deployer.rollout.state import AWAITING, Phase
from deployer.rollout.status import ObjectiveStatus, RolloutRecord, RolloutStatus, time

NOW = 1_800_000_000.0


def objective(**changes: Any) -> ObjectiveStatus:
    made: dict[str, Any] = {
        "name": "errors",
        "verdict": Verdict.HOLD,
        "canary_requests": 1200,
        "canary_bad": 12,
        "stable_requests": 3600,
        "stable_bad": 30,
        "worse": 1.2,
        "over": 0.5,
        "fine": 10.0,
        "bar_against": 300.0,
        "bar_for": 100.0,
        "message": "errors: 1.00% of 1200 on the canary, 0.83% of 3600 on stable; not shown yet",
    }
    return ObjectiveStatus(**made | changes)


FINE = objective(verdict=Verdict.ADVANCE, fine=250.0, message="errors: fine")


def rollout(**changes: Any) -> RolloutStatus:
    made: dict[str, Any] = {
        "number": 3,
        "phase": Phase.STEP,
        "stable": "v1",
        "canary": "v2",
        "step": 1,
        "steps": (5, 25, 50),
        "weight": 25,
        "began": time(NOW - 250),
        "since": time(NOW - 240),
        "earliest": time(NOW - 180),
        "deadline": time(NOW + 3350),
        "reason": "errors: shown",
        "evidence": (objective(),),
    }
    return RolloutStatus(**made | changes)


def test_what_is_over_is_told_once() -> None:
    record = RolloutRecord(
        number=3, stable="v1", canary="v2", outcome="promoted", reason="errors: shown", began=time(NOW - 600),
        ended=time(NOW), figures=("errors: 1.00%",),
    )  # fmt: skip
    lines = explain(rollout(phase=Phase.PROMOTED, weight=100), [record], NOW, 200)
    assert "What comes next" not in lines
    assert "    errors: 1.00%" not in lines
    assert lines[-1] == "  rollout 3, v1 → v2, 2027-01-15T07:50:00Z, took 10 min: promoted; errors: shown"


def test_one_line() -> None:
    assert line(rollout()) == "rollout 3, v1 → v2: step 2 of 3, 25 %; waits for more evidence on errors"
    assert line(rollout(evidence=(FINE,))) == "rollout 3, v1 → v2: step 2 of 3, 25 %; errors: shown"
    assert line(rollout(hold_reasons=("a gateway is silent",))).endswith("25 %; a gateway is silent")
    assert line(rollout(since=None)).endswith("25 %; errors: shown")
    assert line(rollout(paused="paused by hand")).endswith("25 %; paused by hand")
    assert line(rollout(phase=Phase.WARMING, weight=0, reason="")) == "rollout 3, v1 → v2: warming"


def test_what_is_drawn() -> None:
    assert drawn(rollout(), NOW) == [
        "v1 → v2, rollout 3: step 2 of 3, 25 %",
        "  5 % ✓  [25 %]  50 %  100 %",
        "  weight      " + "█" * 20 + "░" * 58 + " 25 %",
        "  errors      against " + "█" + "░" * 22 + " 1.2     for " + "█" * 12 + "░" * 11 + " 10",
        "              canary 12 of 1,200 bad (1.00%), stable 30 of 3,600 bad (0.83%)",
        "  waits for more evidence on errors",
        "  overdue in 55 min 50 s",
    ]


def test_all_of_it() -> None:
    record = RolloutRecord(
        number=2, stable="v1", canary="v2", outcome="rolled back", reason="errors: the canary is worse",
        began=time(NOW - 90_000), ended=time(NOW - 86_000), figures=("errors: 5.00%", "slow: 0.10%"),
    )  # fmt: skip
    older = record.model_copy(update={"number": 1, "outcome": "promoted"})
    assert explain(rollout(hold_reasons=("a gateway is silent",)), [older, record], NOW, 80) == [
        "rollout 3, v1 → v2: step 2 of 3, 25 %",
        "  so since 2027-01-15T07:55:50Z, for 4 min 10 s",
        "  its weight is in force since 2027-01-15T07:56:00Z",
        "  because: errors: shown",
        "",
        "What comes next",
        "  waits for more evidence on errors",
        "  doubtful: a gateway is silent",
        "  overdue in 55 min 50 s",
        "",
        "The evidence: 300 against it rolls back, 100 for it lets it go on",
        "  errors      against " + "░" * 13 + " 1.2     for " + "█" * 6 + "░" * 7 + " 10",
        "              hold; errors: 1.00% of 1200 on the canary, 0.83% of 3600 on",
        "                stable; not shown yet",
        "  An e-value says how many times better the counts fit a canary that is worse",
        "    (against it), or one that is within its margin (for it), than the opposite.",
        "    By chance alone it comes to its bar in one rollout of a hundred at most,",
        "    however often one looks.",
        "",
        "Rollouts that are over",
        "  rollout 2, v1 → v2, 2027-01-14T07:00:00Z, took 1 h 6 min: rolled back; errors:",
        "    the canary is worse",
        "    errors: 5.00%",
        "    slow: 0.10%",
        "  rollout 1, v1 → v2, 2027-01-14T07:00:00Z, took 1 h 6 min: promoted; errors:",
        "    the canary is worse",
        "    errors: 5.00%",
        "    slow: 0.10%",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"phase": Phase.WARMING, "weight": 0, "since": None, "evidence": ()},
         "waits until v2 is ready and has the replicas for 5 %"),
        ({"weight": 5, "since": None}, "waits until v2 has the replicas for 25 %"),
        ({"since": None}, "waits until all gateways send 25 % to v2"),
        ({"earliest": time(NOW + 20)}, "waits for 20 s more at least; for more evidence on errors"),
        ({"evidence": ()}, "waits for the first evidence"),
        ({"evidence": (FINE,), "earliest": time(NOW + 20)}, "waits for 20 s more at least"),
        ({"evidence": (FINE,)}, "waits until v2 has had 20 requests in this step, and nothing is doubtful"),
        ({"evidence": (FINE, objective(name="slow"))}, "waits for more evidence on slow"),
        ({"deadline": time(NOW - 90)}, "overdue since 1 min 30 s: it goes on waiting"),
        ({"paused": AWAITING}, "waits for approval; approve lets it go on"),
        ({"paused": "paused by hand"}, "paused by hand; resume lets it go on"),
        ({"paused": "pauses for 600 s", "until": time(NOW + 300)},
         "pauses for 600 s; it goes on by itself in 5 min"),
        ({"phase": Phase.PROMOTING, "step": 2}, "waits until v2 has the replicas for all traffic, and all gateways"
         " send it there"),
        ({"phase": Phase.BAKING, "weight": 100, "earliest": time(NOW + 500)},
         "waits for 8 min 20 s more, in which v1 stays ready to take the traffic back"),
        ({"phase": Phase.FINISHING, "weight": 100}, "waits until all gateways have what was decided"),
        ({"phase": Phase.ROLLING_BACK, "weight": 0}, "waits until no gateway sends anything to v2"),
        ({"phase": Phase.RESTORING, "weight": 0},
         "waits until v1 has the replicas for all traffic, and all gateways send it there"),
        ({"phase": Phase.ROLLED_BACK, "weight": 0}, "it is over: errors: shown"),
    ],
)  # fmt: skip
def test_what_comes_next(changes: dict[str, Any], expected: str) -> None:
    lines = [text.strip() for text in drawn(rollout(**changes), NOW, 200)]
    assert expected in lines
    explained = [text.strip() for text in explain(rollout(**changes), [], NOW, 200)]
    assert expected in explained or "because: errors: shown" in explained


def test_what_is_over_has_no_bars() -> None:
    lines = drawn(rollout(phase=Phase.PROMOTED, weight=100, deadline=None), NOW)
    assert lines == ["v1 → v2, rollout 3: promoted", "  it is over: errors: shown"]


@pytest.mark.parametrize(
    ("step", "phase", "steps"),
    [
        (0, Phase.WARMING, "5 %  25 %  50 %  100 %"),
        (0, Phase.STEP, "[5 %]  25 %  50 %  100 %"),
        (2, Phase.STEP, "5 % ✓  25 % ✓  [50 %]  100 %"),
        (2, Phase.BAKING, "5 % ✓  25 % ✓  50 % ✓  [100 %]"),
    ],
)
def test_steps(step: int, phase: Phase, steps: str) -> None:
    assert drawn(rollout(step=step, phase=phase), NOW)[1] == f"  {steps}"


@pytest.mark.parametrize(
    ("value", "full"),
    # Of 23: on a scale of logarithms, and full only at the bar.
    [(0.0, 0), (1.0, 0), (10.0, 12), (99.9, 22), (100.0, 23), (1e300, 23)],
)
def test_bars(value: float, full: int) -> None:
    row = drawn(rollout(evidence=(objective(fine=value),)), NOW)[3]
    bar = row.split("for ")[1].split(" ")[0]
    assert bar == "█" * full + "░" * (23 - full)


def test_no_part_is_above_all_of_it() -> None:
    lines = drawn(rollout(evidence=(objective(canary_requests=2, canary_bad=3),)), NOW)
    assert "canary 3 of 2 bad (100.00%)" in lines[4]


def test_a_limit_that_is_passed_is_evidence_against_it() -> None:
    evidence = objective(over=5e7, bar_against=300)
    assert " 5e7 " in drawn(rollout(evidence=(evidence,)), NOW)[3]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-5, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (3661, "1 h 1 min"),
     (90_000, "1 d 1 h"), (86_401, "1 d 1 s")],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


COUNTS = st.integers(0, 10**12)
E_VALUES = st.floats(0, 1e299)
TEXTS = st.text(st.characters(categories=["L", "N", "P"]), max_size=12).map(lambda word: f"{word} " * 12)
TIMES = st.none() | st.floats(NOW - 1e6, NOW + 1e6).map(time)
OBJECTIVES = st.builds(
    objective,
    name=st.just("rejections"),
    verdict=st.sampled_from(Verdict),
    canary_requests=COUNTS,
    canary_bad=COUNTS,
    stable_requests=COUNTS,
    stable_bad=COUNTS,
    worse=E_VALUES,
    over=E_VALUES,
    fine=E_VALUES,
    message=TEXTS,
)
ROLLOUTS = st.builds(
    rollout,
    phase=st.sampled_from(Phase),
    step=st.integers(0, 40),
    steps=st.lists(st.floats(0.01, 99.99).map(lambda weight: round(weight, 2)), max_size=32).map(tuple),
    weight=st.integers(0, 10_000).map(lambda weight: weight / 100),
    since=TIMES,
    earliest=TIMES,
    deadline=TIMES,
    paused=st.just("") | TEXTS,
    until=TIMES,
    reason=TEXTS,
    hold_reasons=st.lists(TEXTS, max_size=2).map(tuple),
    evidence=st.lists(OBJECTIVES, max_size=3).map(tuple),
)


@given(ROLLOUTS, st.integers(80, 200))
@settings(deadline=None)
def test_no_line_is_wider_than_it_may_be(status: RolloutStatus, width: int) -> None:
    for row in (*drawn(status, NOW, width), *explain(status, [], NOW, width)):
        assert len(row) <= width
        assert "\n" not in row


def test_a_rollout_without_a_reason_gives_none() -> None:
    assert any(line.lstrip().startswith("because: ") for line in explain(rollout(reason="why"), [], NOW))
    assert not any("because" in line for line in explain(rollout(reason=""), [], NOW))
