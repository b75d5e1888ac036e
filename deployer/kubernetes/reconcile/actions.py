"""What can be done for one ModelDeployment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from deployer.kubernetes.objects.kinds import Object
from deployer.kubernetes.status.model import DeploymentStatus
from deployer.rollout.events import Event


@dataclass(frozen=True)
class Apply:
    """Write the object; `live` is what is there of it, as far as is known. `if_unchanged`: else not at all."""

    desired: Object
    live: Object | None
    if_unchanged: bool = False


@dataclass(frozen=True)
class Tell:
    """Make an Event."""

    event: Event


@dataclass(frozen=True)
class Notify:
    """Send a CloudEvent to the address that the document names."""

    url: str
    event: Mapping[str, Any]


@dataclass(frozen=True)
class Say:
    """Write the status, and the route in it."""

    status: DeploymentStatus


@dataclass(frozen=True)
class Delete:
    """Delete the object, once it is sure that gateways don't send anything to `version`; None: it has no traffic."""

    live: Object
    version: str | None


class Changes(NamedTuple):
    """What is to be done about the objects of a deployment."""

    applies: list[Apply]
    deletes: list[Delete]


Action = Apply | Tell | Notify | Say | Delete
