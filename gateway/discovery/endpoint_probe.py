"""Asks the endpoints of a saved table whether they still are what it says: addresses of pods are used again.

An endpoint that says nothing stays: it may be starting, and whoever sends to it learns that soon enough. One that
answers for another model would give wrong predictions, so it is left out.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import httpx

from gateway.contract.route_table import Deployment, Endpoint, RouteTable, Version

AT_ONCE = 100
"""Endpoints that are asked at the same time."""

SECONDS = 2.0
"""For an answer. A server that is slower than that has at least taken the connection."""


async def verified(saved: RouteTable) -> tuple[RouteTable, tuple[str, ...]]:
    """`saved` without the endpoints that answer for something else, and what those are."""
    turn = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
    asked = [
        (deployment, version, endpoint)
        for deployment in saved.deployments
        for version in deployment.versions
        for endpoint in version.endpoints
    ]
    # These are pods: no proxy stands between.
    async with httpx.AsyncClient(timeout=SECONDS, limits=limits, trust_env=False) as client:

        async def differs(deployment: Deployment, version: Version, endpoint: Endpoint) -> bool:
            host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
            url = f"http://{host}:{endpoint.rest}{_path(deployment, version)}"
            async with turn:
                try:
                    return (await client.get(url)).is_client_error
                except (httpx.RemoteProtocolError, httpx.InvalidURL):
                    return True
                except httpx.TransportError:
                    return False

        answers = await asyncio.gather(*(differs(*one) for one in asked))
    others = {
        (deployment.key, version.name, endpoint)
        for (deployment, version, endpoint), other in zip(asked, answers, strict=True)
        if other
    }
    named = tuple(sorted(f"{key} {version} {endpoint.host}:{endpoint.rest}" for key, version, endpoint in others))
    return _without(saved, others) if others else saved, named


def _path(deployment: Deployment, version: Version) -> str:
    """What only a server of this version answers well. Seldon's has no path that names its model."""
    name = quote(deployment.name, safe="")
    match deployment.runtime:
        case "tfserving":
            number = "" if version.servable is None else f"/versions/{version.servable}"
            return f"/v1/models/{name}{number}/metadata"
        case "seldon":
            return "/health/status"
        case "oip":
            return f"/v2/models/{name}/ready"


def _without(saved: RouteTable, others: set[tuple[str, str, Endpoint]]) -> RouteTable:
    deployments = []
    for deployment in saved.deployments:
        versions = tuple(
            version.model_copy(
                update={
                    "endpoints": tuple(
                        endpoint
                        for endpoint in version.endpoints
                        if (deployment.key, version.name, endpoint) not in others
                    )
                }
            )
            for version in deployment.versions
        )
        deployments.append(Deployment.model_validate({**dict(deployment), "versions": versions}))
    return RouteTable(revision=saved.revision, deployments=tuple(deployments))
