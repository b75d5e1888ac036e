"""The rules of a ModelDeployment that span fields; those of a version's pods are in `pod_rules.py`, those of
rollouts in `rollout_rules.py`, those of one runtime alone in its folder.

Pure, and over plain data (what YAML or JSON holds) rather than over the models, so that a document with a mistake in
one field still has all its other mistakes found. Parts of the wrong type are passed over: the models report those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from deployer.document.model_uri import folder_number
from deployer.document.pod_rules import broken_pod
from deployer.document.rollout_rules import broken_rollout
from deployer.document.units import cores, memory_bytes
from deployer.document.values import Path, Violation, duration, items, mapping
from deployer.errors import nearest
from deployer.runtimes.base import Reserved, Runtime
from deployer.runtimes.registry import RUNTIMES

MAX_TIMEOUT = 24 * 3600.0
"""Seconds."""


def broken(document: object) -> Iterator[Violation]:
    """Each rule that `document` breaks, in the order of the document."""
    spec = mapping(document, "spec")
    name = spec.get("runtime")
    runtime = RUNTIMES.get(name) if isinstance(name, str) else None
    versions = [(index, version) for index, version in enumerate(items(spec, "versions")) if isinstance(version, dict)]
    yield from _sections(spec, name)
    yield from _names(versions)
    if runtime is not None:
        for index, version in versions:
            yield from _content(runtime, version, ("spec", "versions", index))
            yield from _reserved(runtime.reserved(version, spec), version, ("spec", "versions", index))
        yield from runtime.rules(spec)
        yield from _servables(runtime, versions)
    for index, version in versions:
        path = ("spec", "versions", index)
        yield from _resources(mapping(version, "resources"), (*path, "resources"))
        yield from _autoscaling(version, (*path, "autoscaling"))
        yield from broken_pod(mapping(version, "pod"), (*path, "pod"))
    yield from _timeout(spec.get("timeout"))
    yield from _traffic(mapping(spec, "traffic"), [version.get("name") for _, version in versions])
    yield from broken_rollout(spec)


def _sections(spec: dict[str, Any], chosen: object) -> Iterator[Violation]:
    for name, runtime in RUNTIMES.items():
        if runtime.section is not None and name in spec and isinstance(chosen, str) and chosen != name:
            yield Violation(
                ("spec", name), f"only the runtime {name} has this, and the runtime is {chosen}", "leave it out"
            )


def _names(versions: list[tuple[int, dict[str, Any]]]) -> Iterator[Violation]:
    seen: set[str] = set()
    for index, version in versions:
        name = version.get("name")
        if isinstance(name, str):
            if name in seen:
                yield Violation(("spec", "versions", index, "name"), f"two versions are called {name!r}", "rename one")
            seen.add(name)


def _content(runtime: Runtime, version: dict[str, Any], path: Path) -> Iterator[Violation]:
    """Where a version's weights and its code come from."""
    name, has_model = runtime.name, "model" in version
    if not has_model and runtime.needs_model:
        yield Violation((*path, "model"), f"{name} needs a model", f"write model: and {runtime.models}")
    elif not has_model and "image" not in version:
        yield Violation((*path, "model"), f"{name} needs a model, or an image that holds one", "write model: or image:")
    if version.get("implementation") is None:
        return
    at = (*path, "implementation")
    if not runtime.has_implementations:
        yield Violation(at, f"{name} has no choice of implementations", "leave it out")
    elif not has_model:
        yield Violation(at, "an implementation loads a model, and there is none", "write model: and where it lies")


def _reserved(reserved: Reserved, version: dict[str, Any], path: Path) -> Iterator[Violation]:
    """Flags and variables that move a server from where it is asked, or give it other models."""
    for index, flag in enumerate(items(version, "args")):
        name = flag.partition("=")[0].strip() if isinstance(flag, str) else ""
        known = [one for one in reserved.flags if name.startswith("-") and _flag(name) == _flag(one)]
        if known:
            yield Violation((*path, "args", index), f"{name} is set by Turnout", "leave it out")
    for name in mapping(version, "env"):
        if name in reserved.variables:
            yield Violation((*path, "env", name), f"{name} is set by Turnout", "leave it out")


def _flag(name: str) -> str:
    return name.lstrip("-").replace("-", "_")


def _servables(runtime: Runtime, versions: list[tuple[int, dict[str, Any]]]) -> Iterator[Violation]:
    taken: dict[int, object] = {}
    for index, version in versions:
        path: Path = ("spec", "versions", index)
        servable, model = version.get("servable"), version.get("model")
        if servable is not None and not runtime.is_numbered:
            yield Violation((*path, "servable"), f"a version of {runtime.name} has no servable number", "leave it out")
            continue
        field, number = "servable", servable
        if servable is None and runtime.is_numbered and isinstance(model, str):
            field, number = "model", folder_number(model)
        if isinstance(number, int) and not isinstance(number, bool):
            if number in taken:
                yield Violation(
                    (*path, field),
                    f"servable {number} is version {taken[number]!r} already",
                    "give this version another number by servable:",
                )
            taken.setdefault(number, version.get("name"))


def _resources(resources: dict[str, Any], path: Path) -> Iterator[Violation]:
    requests, limits = mapping(resources, "requests"), mapping(resources, "limits")
    for name, amount in (("cpu", cores), ("memory", memory_bytes)):
        least, most = _amount(requests.get(name), amount), _amount(limits.get(name), amount)
        if least is not None and most is not None and least > most:
            yield Violation(
                (*path, "requests", name),
                f"{requests[name]} is above the limit of {limits[name]}",
                "lower the request or raise the limit",
            )
    if "gpu" in requests:
        yield Violation(
            (*path, "requests", "gpu"),
            "GPUs are not shared, so there is only a limit of them",
            "write limits: {gpu: …}",
        )


def _autoscaling(version: dict[str, Any], path: Path) -> Iterator[Violation]:
    autoscaling = mapping(version, "autoscaling")
    least, most = autoscaling.get("minReplicas", 1), autoscaling.get("maxReplicas")
    if isinstance(least, int) and isinstance(most, int) and least > most > 0:
        yield Violation((*path, "maxReplicas"), f"{most} is below minReplicas, {least}", f"write {least} or more")
    target = autoscaling.get("target")
    if not isinstance(target, dict):
        return
    if "inFlight" in target and "cpu" in target:
        yield Violation((*path, "target", "cpu"), "there are two targets, inFlight and cpu", "leave one out")
    elif not target.keys() & {"inFlight", "cpu"}:
        yield Violation((*path, "target"), "it has no load", "write inFlight: or cpu:, or leave target out")
    elif "cpu" in target and "cpu" not in mapping(mapping(version, "resources"), "requests"):
        yield Violation(
            (*path, "target", "cpu"),
            "it is a percentage of the CPU requested, and none is",
            "write resources: {requests: {cpu: …}}",
        )


def _timeout(timeout: object) -> Iterator[Violation]:
    """Pods that end wait for as long."""
    length = duration(timeout)
    if length is not None and not 0 < length <= MAX_TIMEOUT:
        yield Violation(("spec", "timeout"), f"{timeout} is not above 0 and at most 24h", "write a time such as 5m")


def _traffic(traffic: dict[str, Any], names: list[object]) -> Iterator[Violation]:
    known = list(dict.fromkeys(name for name in names if isinstance(name, str)))
    stable, canary, weight = traffic.get("stable"), traffic.get("canary"), traffic.get("weight")
    named: list[tuple[Path, object]] = [(("stable",), stable), (("canary",), canary)]
    for index, match in enumerate(items(traffic, "match")):
        named.append((("match", index, "version"), match.get("version") if isinstance(match, dict) else None))
    for path, name in named:
        if known and isinstance(name, str) and name not in known:
            near = nearest(name, known)
            yield Violation(
                ("spec", "traffic", *path),
                f"no version is called {name!r}",
                f"did you mean {near!r}?" if near else f"the versions are {', '.join(known)}",
            )
    if canary is not None and canary == stable:
        yield Violation(
            ("spec", "traffic", "canary"), f"{canary!r} is stable already", "leave canary out, or name another"
        )
    if "canary" not in traffic and isinstance(weight, int | float) and weight > 0:
        yield Violation(
            ("spec", "traffic", "weight"),
            "weight is the canary's share, and there is no canary",
            "name one by canary:, or leave weight out",
        )


def _amount(value: object, read: Callable[[str], Decimal]) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return read(str(value))
    except ValueError:
        return None
