"""A rollout in words, for people: plain text, bounded in width. Pure: the time is passed in, in seconds since 1970."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

from deployer.rollout.analysis.verdict import LEAST_REQUESTS, Verdict
from deployer.rollout.state import AWAITING, OVER, Phase
from deployer.rollout.status import MetricStatus, ObjectiveStatus, RolloutRecord, RolloutStatus, seconds

WIDTH = 100
"""Characters of a line, where nobody says otherwise. Names alone may make one longer."""
_LABEL = 12
_INDENT = "  "


def line(rollout: RolloutStatus) -> str:
    """Where it stands, in one line, and why no further."""
    lacking = _lacking(rollout) if rollout.phase is Phase.STEP and rollout.since is not None else ""
    why = rollout.paused or "; ".join(rollout.hold_reasons) or (f"waits for {lacking}" if lacking else rollout.reason)
    return (
        f"rollout {rollout.number}, {rollout.stable} → {rollout.canary}: {_place(rollout)}{f'; {why}' if why else ''}"
    )


def drawn(rollout: RolloutStatus, now: float, width: int = WIDTH) -> list[str]:
    """Where it stands, for who watches: the steps, the weight, how far the evidence is, and what comes next."""
    lines = [f"{rollout.stable} → {rollout.canary}, rollout {rollout.number}: {_place(rollout)}"]
    if rollout.steps and rollout.phase not in OVER:
        lines += _wrapped(_steps(rollout), width)
        size = max(10, width - len(_INDENT) - _LABEL - 8)
        lines.append(f"{_INDENT}{'weight':<{_LABEL}}{_bar(rollout.weight / 100, size)} {rollout.weight:g} %")
        for objective in rollout.evidence:
            lines += _measured(objective, _counts(objective), width)
        for metric in rollout.metrics:
            lines += _observed(metric, width)
    for sentence in _next(rollout, now):
        lines += _wrapped(sentence, width)
    return lines


def explain(rollout: RolloutStatus, records: Sequence[RolloutRecord], now: float, width: int = WIDTH) -> list[str]:
    """Why it stands where it does, with every figure; and the rollouts before, the last one first."""
    lines = [f"rollout {rollout.number}, {rollout.stable} → {rollout.canary}: {_place(rollout)}"]
    lines.append(f"{_INDENT}so since {rollout.began}, for {span(now - seconds(rollout.began))}")
    if rollout.since is not None:
        lines.append(f"{_INDENT}its weight is in force since {rollout.since}")
    if rollout.reason:
        lines += _wrapped(f"because: {rollout.reason}", width)
    if rollout.phase not in OVER:
        lines += ["", "What comes next"]
        for sentence in _next(rollout, now):
            lines += _wrapped(sentence, width)
    if rollout.evidence:
        first = rollout.evidence[0]
        bars = f"{_e(first.bar_against)} against it rolls back, {_e(first.bar_for)} for it lets it go on"
        lines += ["", f"The evidence: {bars}"]
        for objective in rollout.evidence:
            lines += _measured(objective, f"{objective.verdict}; {objective.message}", width)
        lines += _wrapped(_HOW, width)
    if rollout.metrics and rollout.phase not in OVER:
        lines += ["", f"Your own metrics: {_e(rollout.metrics[0].bar)} against one of them rolls back"]
        for metric in rollout.metrics:
            lines += _observed(metric, width)
    if records:
        lines += ["", "Rollouts that are over"]
    for record in reversed(records):
        took = span(seconds(record.ended) - seconds(record.began))
        name = f"rollout {record.number}, {record.stable} → {record.canary}, {record.began}, took {took}"
        lines += _wrapped(f"{name}: {record.outcome}; {record.reason}", width)
        for figure in record.figures if record.number != rollout.number else ():
            lines += _wrapped(figure, width, indent=2)
    return lines


_HOW = (
    "An e-value says how many times better the counts fit a canary that is worse (against it), or one that is within"
    " its margin (for it), than the opposite. By chance alone it comes to its bar in one rollout of a hundred at most,"
    " however often one looks."
)


def span(length: float) -> str:
    """So many seconds, in the two largest units: 1 h 5 min."""
    rest = max(0, round(length))
    parts: list[tuple[int, str]] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2])


def _place(rollout: RolloutStatus) -> str:
    if rollout.phase is Phase.STEP and rollout.steps:
        return f"step {rollout.step + 1} of {len(rollout.steps)}, {rollout.weight:g} %"
    has_weight = rollout.weight and rollout.phase not in OVER
    return f"{rollout.phase}, {rollout.weight:g} %" if has_weight else str(rollout.phase)


def _steps(rollout: RolloutStatus) -> str:
    """`5 % ✓  [25 %]  50 %  100 %`: what is behind it, where it is, and what comes."""
    weights = (*rollout.steps, 100.0)
    at = {Phase.WARMING: -1, Phase.STEP: rollout.step}.get(rollout.phase, len(rollout.steps))
    shown = [
        f"[{weight:g} %]" if index == at else f"{weight:g} % ✓" if index < at else f"{weight:g} %"
        for index, weight in enumerate(weights)
    ]
    return "  ".join(shown)


def _next(rollout: RolloutStatus, now: float) -> Iterator[str]:
    """What is waited for, and how long it can take."""
    if rollout.phase in OVER:
        yield f"it is over: {rollout.reason}"
        return
    if rollout.paused:
        yield f"{rollout.paused}; {_unpaused(rollout, now)}"
    else:
        yield f"waits {'; '.join(_awaited(rollout, now))}"
    for doubt in rollout.hold_reasons:
        yield f"doubtful: {doubt}"
    lacking = [objective for objective in rollout.evidence if objective.advice]
    if lacking and rollout.phase is Phase.STEP and not rollout.paused:
        yield f"{lacking[0].name}: {lacking[0].advice}"
    if rollout.deadline is not None:
        left = seconds(rollout.deadline) - now
        yield f"overdue in {span(left)}" if left > 0 else f"overdue since {span(-left)}: it goes on waiting"


def _unpaused(rollout: RolloutStatus, now: float) -> str:
    if rollout.until is not None:
        return f"it goes on by itself in {span(seconds(rollout.until) - now)}"
    return "approve lets it go on" if rollout.paused == AWAITING else "resume lets it go on"


def _awaited(rollout: RolloutStatus, now: float) -> Iterator[str]:
    canary, stable = rollout.canary, rollout.stable
    match rollout.phase:
        case Phase.WARMING:
            first = f"{rollout.steps[0]:g} %" if rollout.steps else "its first step"
            yield f"until {canary} is ready and has the replicas for {first}"
        case Phase.STEP:
            yield from _step(rollout, now)
        case Phase.PROMOTING:
            yield f"until {canary} has the replicas for all traffic, and all gateways send it there"
        case Phase.BAKING if rollout.earliest is not None:
            left = span(seconds(rollout.earliest) - now)
            yield f"for {left} more, in which {stable} stays ready to take the traffic back"
        case Phase.ROLLING_BACK:
            yield f"until no gateway sends anything to {canary}"
        case Phase.RESTORING:
            yield f"until {stable} has the replicas for all traffic, and all gateways send it there"
        case _:
            yield "until all gateways have what was decided"


def _step(rollout: RolloutStatus, now: float) -> Iterator[str]:
    target = rollout.steps[rollout.step] if rollout.step < len(rollout.steps) else rollout.weight
    if rollout.weight != target:
        yield f"until {rollout.canary} has the replicas for {target:g} %"
        return
    if rollout.since is None:
        yield f"until all gateways send {target:g} % to {rollout.canary}"
        return
    left = seconds(rollout.earliest) - now if rollout.earliest is not None else 0
    if left > 0:
        yield f"for {span(left)} more at least"
    lacking = _lacking(rollout)
    if lacking:
        yield f"for {lacking}"
    elif left <= 0:
        yield f"until {rollout.canary} has had {LEAST_REQUESTS} requests in this step, and nothing is doubtful"


def _lacking(rollout: RolloutStatus) -> str:
    if not rollout.evidence:
        return "the first evidence"
    names = [objective.name for objective in rollout.evidence if objective.verdict is not Verdict.ADVANCE]
    return f"more evidence on {', '.join(names)}" if names else ""


def _measured(objective: ObjectiveStatus, text: str, width: int) -> list[str]:
    """Two bars and a text. The bars are on a scale of logarithms: from 1, which says nothing, to what is needed."""
    size = max(6, (width - len(_INDENT) - _LABEL - 40) // 2)
    against = max(objective.worse, objective.over)
    bars = (
        f"against {_scaled(against, objective.bar_against, size)} {_e(against):<8}"
        f"for {_scaled(objective.fine, objective.bar_for, size)} {_e(objective.fine)}"
    )
    return [
        f"{_INDENT}{objective.name:<{_LABEL}}{bars}",
        *_wrapped(text, width, indent=1 + _LABEL // len(_INDENT)),
    ]


def _observed(metric: MetricStatus, width: int) -> list[str]:
    """A bar, the value with its limits, or why there is none, and how often it was out of them."""
    size = max(6, (width - len(_INDENT) - _LABEL - 40) // 2)
    is_good = f"good from {_limit(metric.min)} to {_limit(metric.max)}"
    shown = f"{metric.value:g}" if metric.value is not None else metric.unread or "not read yet"
    text = f"{shown}; {is_good}; out of that in {metric.bad:,} of {metric.looks:,} looks"
    return [
        f"{_INDENT}{metric.name:<{_LABEL}}against {_scaled(metric.against, metric.bar, size)} {_e(metric.against)}",
        *_wrapped(text, width, indent=1 + _LABEL // len(_INDENT)),
    ]


def _limit(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


def _counts(objective: ObjectiveStatus) -> str:
    canary = _of(objective.canary_bad, objective.canary_requests)
    return f"canary {canary}, stable {_of(objective.stable_bad, objective.stable_requests)}"


def _of(bad: int, requests: int) -> str:
    return f"{bad:,} of {requests:,} bad ({min(1.0, bad / requests):.2%})" if requests else "no request yet"


def _e(value: float) -> str:
    return (
        f"{value:.3g}"
        if value < 1000
        else f"{value:,.0f}"
        if value < 100_000
        else f"{value:.0e}".replace("+0", "").replace("+", "")
    )


def _scaled(value: float, bar: float, size: int) -> str:
    return _bar(math.log(value) / math.log(bar) if value > 1 else 0.0, size)


def _bar(part: float, size: int) -> str:
    """Full only at 1: what is a little below must not look like it."""
    full = size if part >= 1 else min(size - 1, round(max(0.0, part) * size))
    return "█" * full + "░" * (size - full)


def _wrapped(text: str, width: int, indent: int = 1) -> list[str]:
    first = _INDENT * indent
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=first + _INDENT, break_long_words=False)
