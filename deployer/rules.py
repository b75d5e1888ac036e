"""The rules of a ModelDeployment that span fields.

Pure, and over plain data (what YAML or JSON holds) rather than over the models, so that a document with a mistake in
one field still has all its other mistakes found. Parts of the wrong type are passed over: the models report those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from deployer.errors import nearest
from deployer.model_path import folder_number
from deployer.quantity import cores, memory_bytes


class Broken(NamedTuple):
    """One broken rule: the path of the field to change, what is wrong, and what would be right ("" if plain)."""

    path: tuple[str | int, ...]
    message: str
    hint: str = ""


def broken(document: object) -> Iterator[Broken]:
    """Each rule that `document` breaks, in the order of the document."""
    spec = _mapping(document, "spec")
    versions = [(index, version) for index, version in enumerate(_list(spec, "versions")) if isinstance(version, dict)]
    yield from _names(versions)
    yield from _servables(spec.get("runtime"), versions)
    for index, version in versions:
        path = ("spec", "versions", index)
        yield from _resources(_mapping(version, "resources"), (*path, "resources"))
        yield from _replicas(_mapping(version, "autoscaling"), (*path, "autoscaling"))
    yield from _traffic(_mapping(spec, "traffic"), [version.get("name") for _, version in versions])


def _names(versions: list[tuple[int, dict[str, Any]]]) -> Iterator[Broken]:
    seen: set[str] = set()
    for index, version in versions:
        name = version.get("name")
        if isinstance(name, str):
            if name in seen:
                yield Broken(("spec", "versions", index, "name"), f"two versions are called {name!r}", "rename one")
            seen.add(name)


def _servables(runtime: object, versions: list[tuple[int, dict[str, Any]]]) -> Iterator[Broken]:
    taken: dict[int, object] = {}
    for index, version in versions:
        path: tuple[str | int, ...] = ("spec", "versions", index)
        servable, model = version.get("servable"), version.get("model")
        if runtime == "seldon" and servable is not None:
            yield Broken((*path, "servable"), "only tfserving versions have a servable number", "leave it out")
        if runtime != "tfserving" or not isinstance(model, str):
            continue
        field = "model" if servable is None else "servable"
        number = folder_number(model) if servable is None else servable
        if number is None:
            yield Broken(
                (*path, "model"),
                "the model's folder is not named by a number, which TensorFlow Serving needs",
                f"write servable: {index + 1} beside it, or use a folder such as models/digits/{index + 1}",
            )
        elif isinstance(number, int) and not isinstance(number, bool):
            if number in taken:
                yield Broken(
                    (*path, field),
                    f"servable {number} is version {taken[number]!r} already",
                    "give this version another number by servable:",
                )
            taken.setdefault(number, version.get("name"))


def _resources(resources: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Broken]:
    requests, limits = _mapping(resources, "requests"), _mapping(resources, "limits")
    for name, amount in (("cpu", cores), ("memory", memory_bytes)):
        least, most = _amount(requests.get(name), amount), _amount(limits.get(name), amount)
        if least is not None and most is not None and least > most:
            yield Broken(
                (*path, "requests", name),
                f"{requests[name]} is above the limit of {limits[name]}",
                "lower the request or raise the limit",
            )


def _replicas(autoscaling: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Broken]:
    least, most = autoscaling.get("minReplicas", 1), autoscaling.get("maxReplicas")
    if isinstance(least, int) and isinstance(most, int) and least > most > 0:
        yield Broken((*path, "maxReplicas"), f"{most} is below minReplicas, {least}", f"write {least} or more")


def _traffic(traffic: dict[str, Any], names: list[object]) -> Iterator[Broken]:
    known = list(dict.fromkeys(name for name in names if isinstance(name, str)))
    stable, canary, weight = traffic.get("stable"), traffic.get("canary"), traffic.get("weight")
    for role, name in (("stable", stable), ("canary", canary)):
        if known and isinstance(name, str) and name not in known:
            near = nearest(name, known)
            yield Broken(
                ("spec", "traffic", role),
                f"no version is called {name!r}",
                f"did you mean {near!r}?" if near else f"the versions are {', '.join(known)}",
            )
    if canary is not None and canary == stable:
        yield Broken(
            ("spec", "traffic", "canary"), f"{canary!r} is stable already", "leave canary out, or name another"
        )
    if "canary" not in traffic and isinstance(weight, int | float) and weight > 0:
        yield Broken(
            ("spec", "traffic", "weight"),
            "weight is the canary's share, and there is no canary",
            "name one by canary:, or leave weight out",
        )


def _mapping(part: object, name: str) -> dict[str, Any]:
    value = part.get(name) if isinstance(part, dict) else None
    return value if isinstance(value, dict) else {}


def _list(part: dict[str, Any], name: str) -> list[Any]:
    value = part.get(name)
    return list(value) if isinstance(value, list | tuple) else []


def _amount(value: object, read: Callable[[str], Decimal]) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return read(str(value))
    except ValueError:
        return None
