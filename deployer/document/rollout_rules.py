"""The rules of what a document says of sticky keys and rollouts. Pure, over plain data, as `rules.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from deployer.document.rollout import DEADLINE, INTERVAL, OBJECTIVES, STEPS
from deployer.document.values import Path, Violation, duration, items, mapping, one_of

_ROLLOUT: Path = ("spec", "rollout")


def broken_rollout(spec: dict[str, Any]) -> Iterator[Violation]:
    """Each rule that the `rollout` of a document, and the parts of its `traffic` that concern it, break."""
    traffic, rollout = mapping(spec, "traffic"), mapping(spec, "rollout")
    if "sticky" in traffic:
        yield from one_of(traffic["sticky"], ("header", "cookie"), ("spec", "traffic", "sticky"))
    weight = traffic.get("weight")
    if "rollout" in spec and isinstance(weight, int | float) and weight > 0:
        hint = "leave it out; or leave rollout out, and move it by hand"
        yield Violation(("spec", "traffic", "weight"), "the rollout moves the weight", hint)
    yield from _steps(rollout)
    yield from _times(rollout)
    yield from _objectives(mapping(rollout, "objectives"), (*_ROLLOUT, "objectives"))
    if rollout.get("evidence") == "prometheus":
        if "sticky" in traffic:
            message = "Prometheus can't tell keys apart, and traffic.sticky makes each key's requests alike"
            yield Violation((*_ROLLOUT, "evidence"), message, "write evidence: gateways, or leave sticky out")
    elif "queries" in rollout:
        message = "these are for Prometheus, which isn't asked"
        yield Violation((*_ROLLOUT, "queries"), message, "leave them out, or write evidence: prometheus")


def _steps(rollout: dict[str, Any]) -> Iterator[Violation]:
    steps = items(rollout, "steps") if "steps" in rollout else list(STEPS)
    if not all(map(_is_number, steps)):
        return
    for index in range(1, len(steps)):
        if steps[index] <= steps[index - 1]:
            message = f"{steps[index]:g} does not rise above the step before it, {steps[index - 1]:g}"
            yield Violation((*_ROLLOUT, "steps", index), message, "order the steps from least to most, each once")
            return
    seen = set()
    for index, pause in enumerate(items(rollout, "pauses")):
        at, path = pause.get("at") if isinstance(pause, dict) else None, (*_ROLLOUT, "pauses", index, "at")
        if not _is_number(at):
            continue
        if steps and at not in steps:
            yield Violation(path, f"{at:g} is none of the steps", f"those are {', '.join(f'{s:g}' for s in steps)}")
        elif at in seen:
            yield Violation(path, f"the step of {at:g} has a pause already", "leave one of the two out")
        seen.add(at)


def _times(rollout: dict[str, Any]) -> Iterator[Violation]:
    interval, deadline = rollout.get("interval", INTERVAL), rollout.get("deadline", DEADLINE)
    least, most = duration(interval), duration(deadline)
    if least is not None and most is not None and least >= most:
        field = "deadline" if "deadline" in rollout else "interval"
        message = f"a step takes {interval} at least, and is overdue after {deadline}"
        yield Violation((*_ROLLOUT, field), message, "write a deadline that is longer than the interval")


def _objectives(objectives: dict[str, Any], path: Path) -> Iterator[Violation]:
    if duration(mapping(objectives, "slow").get("over")) == 0:
        yield Violation((*path, "slow", "over"), "each answer takes longer than that", "write a time such as 50ms")
    seen: set[object] = set()
    for index, metric in enumerate(items(objectives, "metrics")):
        if not isinstance(metric, dict):
            continue
        here: Path = (*path, "metrics", index)
        name, least, most = metric.get("name"), metric.get("min"), metric.get("max")
        if isinstance(name, str):
            if name in seen or name in OBJECTIVES:
                yield Violation((*here, "name"), f"there is an objective called {name!r} already", "rename this one")
            seen.add(name)
        yield from one_of(metric, ("query", "webhook"), here)
        if "min" not in metric and "max" not in metric:
            yield Violation(here, "any value would be good", "write min:, max: or both")
        if _is_number(least) and _is_number(most) and least > most:
            yield Violation((*here, "max"), f"{most:g} is below min, {least:g}", f"write {least:g} or more")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
