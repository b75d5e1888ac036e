"""Where the gateways are that are asked for evidence, from the EndpointSlices of their admin Service. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deployer.kubernetes.objects.kinds import Object

ADMIN_PORT = "admin"
"""The name that the chart's Service gives to the gateways' admin port."""


def addresses(slices: Iterable[Object]) -> dict[str, bool]:
    """`host:port` of the gateways that have begun to serve, and whether each still takes new requests.

    The Service lists pods that are not ready, too: `ready` is true of all, `serving` tells. One that ends is asked for
    what it has counted, and is not waited for.
    """
    found: dict[str, bool] = {}
    for piece in slices:
        port = next((port["port"] for port in piece.get("ports") or () if port.get("name") == ADMIN_PORT), None)
        for endpoint in piece.get("endpoints") or () if port is not None else ():
            conditions: Mapping[str, bool | None] = endpoint.get("conditions") or {}
            ends = bool(conditions.get("terminating"))
            if conditions.get("serving") is not False or ends:
                host = endpoint["addresses"][0]
                found[f"[{host}]:{port}" if ":" in host else f"{host}:{port}"] = not ends
    return found
