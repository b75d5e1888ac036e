"""What the agent asks of the API server: plain JSON objects, as they are on the wire."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from kubernetes import client, config

Object = dict[str, Any]
STRATEGIC = "application/strategic-merge-patch+json"
AGAIN = 0.5
"""Seconds until the next attempt after one that failed."""
_WATCH = 300
"""Seconds after which the API server ends a watch."""

log = logging.getLogger(__name__)


def timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Refused(Exception):
    """The API server answered, but not with what was asked for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(Exception):
    """The API server did not answer."""


class Api:
    """A client by a kubeconfig that holds a token."""

    def __init__(self, kubeconfig: Path) -> None:
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not settings.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._http = httpx.AsyncClient(
            base_url=settings.host,
            headers={"authorization": settings.api_key["BearerToken"]},
            verify=context,
            timeout=10,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: str) -> Any:
        return await self._call("GET", path, None, "application/json", query)

    async def post(self, path: str, body: Object) -> Any:
        return await self._call("POST", path, body, "application/json", {})

    async def patch(self, path: str, body: Object) -> Any:
        return await self._call("PATCH", path, body, STRATEGIC, {})

    async def delete(self, path: str, body: Object) -> Any:
        return await self._call("DELETE", path, body, "application/json", {})

    async def _call(self, method: str, path: str, body: Object | None, kind: str, query: dict[str, str]) -> Any:
        """Raises Refused and Unreachable."""
        try:
            answer = await self._http.request(
                method,
                path,
                params=query,
                content=None if body is None else json.dumps(body),
                headers={"content-type": kind},
            )
        except httpx.TransportError as error:
            raise Unreachable(f"{method} {path}: {error!r}") from None
        if answer.is_success:
            return answer.json()
        raise Refused(answer.status_code, f"{method} {path}: {answer.status_code} {answer.text[:500]}")

    async def follow(self, path: str, selector: str) -> AsyncIterator[tuple[str, list[Object]]]:
        """For ever: ("ALL", every object) after each list, then (the kind of change, [the object]).

        What happens while the API server is away is in the next list.
        """
        while True:
            try:
                found = await self.get(path, fieldSelector=selector)
                yield "ALL", found["items"]
                version = found["metadata"]["resourceVersion"]
                query = {"watch": "true", "fieldSelector": selector, "resourceVersion": version}
                timeout = httpx.Timeout(10, read=_WATCH + 10)
                query["timeoutSeconds"] = str(_WATCH)
                async with self._http.stream("GET", path, params=query, timeout=timeout) as answer:
                    answer.raise_for_status()
                    async for line in answer.aiter_lines():
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            break  # the version is too old: list again
                        yield event["type"], [event["object"]]
            except (Refused, Unreachable, httpx.HTTPError) as error:
                log.info("%s is not followed: %r", path, error)
                await asyncio.sleep(AGAIN)
