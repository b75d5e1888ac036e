"""A rollout in words, for people. Pure: the time is passed in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from deployer.rollout.state import OVER, Phase
from deployer.rollout.status import ObjectiveStatus, RolloutRecord, RolloutStatus

BAR = 20
"""Characters of a drawn bar."""


def line(rollout: RolloutStatus) -> str:
    """Where it stands, in one line."""
    why = rollout.paused or rollout.reason
    return f"rollout {rollout.number}, {rollout.stable} → {rollout.canary}: {_place(rollout)}" + (
        f"; {why}" * bool(why)
    )


def drawn(rollout: RolloutStatus, now: float) -> list[str]:
    """Where it stands, for who watches: the steps, and how far the evidence is. `now`: seconds since 1970."""
    lines = [f"{rollout.stable} → {rollout.canary}  {_steps(rollout)}", f"  {_place(rollout)}{_left(rollout, now)}"]
    if rollout.paused:
        lines.append(f"  paused: {rollout.paused}")
    elif rollout.reason:
        lines.append(f"  {rollout.reason}")
    if rollout.phase not in OVER:
        lines += [_evidence(objective) for objective in rollout.evidence]
    return lines


def explain(rollout: RolloutStatus, records: Sequence[RolloutRecord], now: float) -> list[str]:
    """Why it stands where it does, with every figure; and the rollouts before."""
    lines = drawn(rollout, now)
    lines += [f"  {objective.message}" for objective in rollout.evidence]
    for record in records:
        lines.append(
            f"rollout {record.number}, {record.stable} → {record.canary}, {record.began} to {record.ended}: "
            f"{record.outcome}; {record.reason}"
        )
    return lines


def _place(rollout: RolloutStatus) -> str:
    if rollout.phase is Phase.STEP and rollout.steps:
        return f"step {rollout.step + 1} of {len(rollout.steps)}, {rollout.weight:g} %"
    return f"{rollout.phase}" + (f", {rollout.weight:g} %" if rollout.weight else "")


def _steps(rollout: RolloutStatus) -> str:
    """`5 % ✓  [25 %]  50 %  100 %`."""
    shown = []
    for weight in (*rollout.steps, 100.0):
        if weight == rollout.weight:
            shown.append(f"[{weight:g} %]")
        else:
            shown.append(f"{weight:g} %" + " ✓" * (weight < rollout.weight))
    return "  ".join(shown)


def _left(rollout: RolloutStatus, now: float) -> str:
    parts = []
    for name, at in (
        ("at the earliest on", rollout.earliest),
        ("overdue", rollout.deadline),
        ("goes on", rollout.until),
    ):
        if at is not None:
            seconds = datetime.fromisoformat(at).timestamp() - now
            parts.append(f"{name} in {seconds:.0f} s" if seconds > 0 else f"{name} now")
    return "".join(f"; {part}" for part in parts)


def _evidence(objective: ObjectiveStatus) -> str:
    against = _bar(max(objective.worse, objective.over), objective.bar_against)
    bad = f"{objective.canary_bad}/{objective.canary_requests}"
    stable = f"{objective.stable_bad}/{objective.stable_requests}"
    shown = _bar(objective.fine, objective.bar_for)
    return f"  {objective.name:<10} against {against} for {shown} bad {bad}, of stable's {stable}"


def _bar(value: float, bar: float) -> str:
    part = max(0.0, min(1.0, value / bar))
    full = round(part * BAR)
    return f"{'█' * full}{'░' * (BAR - full)}"
