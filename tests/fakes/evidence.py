"""A rollout whose evidence a gateway in this process counts."""

from __future__ import annotations

from typing import Any

from gateway.contract.route_table import RouteTable
from tests.fakes.gateway import deployment
from tests.fakes.rest_servers import Peer, answer

STABLE = ("v1", "7", "false")
CANARY = ("v2", "7", "false")
SALT = "default/m v1 v2 1"


def routes(stable: Any, canary: Any, weight: float = 99, /, *, revision: int = 1, **values: Any) -> RouteTable:
    """A rollout of the model `m`. With the draws of `to_canary` the canary gets all that the split assigns. `stable`,
    `canary`: a server, several, or None."""
    fields = {"weight": weight, "epoch": 7, "salt": SALT} | values
    both = {"v1": _several(stable), "v2": _several(canary)}
    deployments = (deployment("m", both, **fields), deployment("s", both, **fields | {"runtime": "seldon"}))
    return RouteTable(revision=revision, deployments=deployments)


def _several(servers: Any) -> list[Any]:
    if isinstance(servers, list):
        return servers
    return [] if servers is None else [servers]


def to_canary() -> float:
    return 0.0


async def held(peer: Peer) -> None:
    """Answers once the gate is open."""
    while await peer.request() is not None:
        await peer.server.gate.wait()
        await peer.send(answer(b"{}"))
