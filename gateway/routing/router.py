"""Which version a request gets, and why. Pure: the random number is passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from gateway.contract.route_table import Deployment, RouteTable, Version
from gateway.refusal import Code, Refusal
from gateway.routing import assignment_header
from gateway.routing.assignment_header import Assignments
from gateway.routing.sticky import Values, key, position

_MOST_NAMED = 5
"""Versions that are named to a caller who asked for another."""

Assigned = Literal["pin", "match", "inherited", "split"]


class Pin(NamedTuple):
    """A version that the caller asked for: by `servable` number, by role (`label`), by `name`, or by whichever of its
    name and its number a `version` of the Open Inference Protocol is."""

    kind: Literal["servable", "label", "name", "version"]
    value: str


class Assignment(NamedTuple):
    """What every metric takes. Only what the random split chose is evidence; `how` tells who did.

    `pin`: the caller; `match`: a rule of the deployment; `inherited`: an earlier call. `bucket` is that of the key by
    which the split chose, None where it drew.
    """

    version: Version
    how: Assigned
    epoch: int
    bucket: int | None = None


def find(table: RouteTable, name: str, namespace: str | None) -> Deployment:
    """Raises Refusal (NOT_FOUND) where the table has no such deployment: which others it has is no caller's affair."""
    deployment = table.find(name, namespace)
    if deployment is None:
        asked = name if namespace is None else f"{namespace}/{name}"
        raise Refusal(
            Code.NOT_FOUND,
            "unknown_deployment",
            f"Servable not found for request: no deployment {_shown(asked)}",
        )
    return deployment


def assign(
    deployment: Deployment,
    pin: Pin | None,
    u: float,
    values: Callable[[], Values] = dict,
    before: Assignments = assignment_header.NONE,
) -> Assignment:
    """The version for one request.

    `u` is uniform on [0, 1), and what a request without a sticky key is split by: the canary has [0, weight), stable
    the rest. `values` is asked for the request's fields, only where they matter; `before` is what earlier calls were
    assigned.

    Raises Refusal where the pin names no version of the deployment.
    """
    if pin is not None:
        return Assignment(_pinned(deployment, pin), "pin", deployment.epoch)
    fields = values() if deployment.match or deployment.sticky is not None else {}
    for match in deployment.match:
        if match.wanted <= fields.items():
            return Assignment(deployment.by_name[match.version], "match", deployment.epoch)
    if before:
        inherited = deployment.by_name.get(before.get(deployment.key, ""))
        if inherited is not None:
            return Assignment(inherited, "inherited", deployment.epoch)
    bucket = None
    if deployment.sticky is not None and (value := key(deployment.sticky, fields)):
        u, bucket = position(deployment.salt, value)
    name = deployment.stable
    if deployment.canary is not None and u * 100 < deployment.weight:
        name = deployment.canary
    return Assignment(deployment.by_name[name], "split", deployment.epoch, bucket)


def may_keep(deployment: Deployment | None, version: str, how: str) -> bool:
    """Whether a call that got `version` of it so (as an Assignment has it, or by "fallback") could get it still.

    `deployment`: as it is in the table in force.
    """
    if deployment is None or version not in deployment.by_name:
        return False
    if how not in ("split", "fallback"):
        return True
    return version == deployment.stable or (version == deployment.canary and deployment.weight > 0)


def _pinned(deployment: Deployment, pin: Pin) -> Version:
    if pin.kind == "label":
        role = {"stable": deployment.stable, "canary": deployment.canary}.get(pin.value)
        if role is None:
            missing = "it has no canary now" if pin.value == "canary" else "the labels are stable and canary"
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "unknown_label",
                f"Unrecognized servable version label: {_shown(pin.value)} of {deployment.key}; {missing}",
            )
        return deployment.by_name[role]
    if pin.kind == "servable":
        version = deployment.by_servable.get(int(pin.value)) if len(pin.value) < 20 else None
        known = [str(servable) for servable in deployment.by_servable]
    else:
        version = deployment.by_name.get(pin.value)
        known = list(deployment.by_name)
        if pin.kind == "version" and version is None:
            version = next((v for v in deployment.versions if str(v.servable) == pin.value), None)
    if version is None:
        raise Refusal(
            Code.NOT_FOUND,
            "unknown_version",
            f"Could not find version {_shown(pin.value)} of model {deployment.name}; {_known(known)}",
        )
    return version


def _shown(text: str) -> str:
    """What a caller sent, bounded and printable, for a message that goes back and into the log."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")[1:-1]


def _known(names: Sequence[str]) -> str:
    """The first few: to look for the nearest would cost the data loop more than the request costs its caller."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"known: {', '.join(names[:_MOST_NAMED])}{more}"
