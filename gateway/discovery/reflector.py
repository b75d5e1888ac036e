"""One kind of resource of a Kubernetes API server, listed and then watched, for ever.

Of the API two requests are needed, so httpx does: see docs/architecture.md for what the usual client would cost.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import httpx

from gateway.discovery.credentials import Credentials
from gateway.discovery.route_composer import Object

log = logging.getLogger(__name__)

PAGE = 500
"""Objects of one answer: the API server need not hold, nor this loop parse, all of them at once."""

WATCH_SECONDS = 60.0
"""A watch is asked for anew this often, from where it was: two requests a minute, and a connection that is dead without
a word is found within a minute and a bit."""

GRACE_SECONDS = 10.0
"""After which a watch that should have ended is dead."""

CONNECT_SECONDS = 5.0

LONGEST_PAUSE = 10.0
"""Between attempts. Each is random below its bound, which doubles: gateways that lost the API server together don't
come back together."""


class Expired(Exception):
    """The API server has forgotten the version to go on from: list again."""


class Refused(Exception):
    """The API server answers, and not with what was asked for."""


class OnChange(Protocol):
    def __call__(self, object: Object, /, *, deleted: bool) -> None: ...


class Reflector:
    def __init__(
        self,
        access: Credentials,
        path: str,
        selector: str,
        replace: Callable[[list[Object]], None],
        change: OnChange,
        news: Callable[[], None],
    ) -> None:
        """`path`: of the collection. `replace` is given all objects that there are, `change` one of them; `news` is
        called after either, and when the connection's state changes."""
        self.listed = False
        """Whether all that there is has been told once."""
        self.connected = False
        self.heard_at: float | None = None
        """In seconds since 1970."""
        self.problem: str | None = None
        """Why it is not connected."""
        self._access = access
        self._path = path
        self._selector = {"labelSelector": selector} if selector else {}
        self._replace = replace
        self._change = change
        self._news = news
        self._version: str | None = None

    async def follow(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                # A client for each attempt: certificates of the cluster may have been replaced meanwhile.
                async with self._access.client() as client:
                    while True:
                        if self._version is None:
                            self._version = await self._list(client)
                        began = time.monotonic()
                        await self._watch(client)
                        if time.monotonic() - began < 1:
                            raise Refused("the watch ended at once")
                        failures = 0
            except Expired:
                log.info("listing again", extra={"path": self._path})
                self._version = None
            except (httpx.HTTPError, httpx.StreamError, OSError, ValueError, Refused) as error:
                self._lost(str(error) or type(error).__name__)
            failures += 1
            await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.1 * 2**failures)))

    async def _list(self, client: httpx.AsyncClient) -> str:
        """Returns the version that the list is of."""
        objects: list[Object] = []
        page = ""
        while True:
            asked = {**self._selector, "limit": str(PAGE)} | ({"continue": page} if page else {})
            response = await client.get(self._path, params=asked)
            _check(response)
            found = response.json()
            objects += found["items"]
            page = found["metadata"].get("continue", "")
            if not page:
                break
        self._answered()
        self._replace(objects)
        self.listed = True
        self._news()
        version: str = found["metadata"]["resourceVersion"]
        return version

    async def _watch(self, client: httpx.AsyncClient) -> None:
        """Until the API server ends it, at the time that it was asked to."""
        seconds = random.uniform(0.8, 1.0) * WATCH_SECONDS
        asked = {
            **self._selector,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(self._version),
            "timeoutSeconds": str(round(seconds)),
        }
        timeout = httpx.Timeout(CONNECT_SECONDS, read=seconds + GRACE_SECONDS)
        async with client.stream("GET", self._path, params=asked, timeout=timeout) as response:
            if response.status_code != 200:
                await response.aread()
            _check(response)
            self._answered()
            async for line in _lines(response):
                event = json.loads(line)
                self._answered()
                self._take(event["type"], event["object"])

    def _take(self, kind: str, object: Object) -> None:
        if kind == "ERROR":
            # Most often 410; whatever it is, a list tells all.
            log.info("the watch was given up by the API server", extra={"path": self._path, "object": object})
            raise Expired
        if kind != "BOOKMARK":
            self._change(object, deleted=kind == "DELETED")
            self._news()
        self._version = object["metadata"]["resourceVersion"]

    def _answered(self) -> None:
        self.heard_at = time.time()
        if not self.connected:
            self.connected = True
            self.problem = None
            log.info("following the API server", extra={"path": self._path})
            self._news()

    def _lost(self, reason: str) -> None:
        if self.connected or self.problem is None:
            log.error("the API server is not heard", extra={"path": self._path, "reason": reason})
        self.connected = False
        self.problem = f"{self._path}: {reason}"
        self._news()


def _check(response: httpx.Response) -> None:
    if response.status_code == 410:
        raise Expired
    if response.status_code != 200:
        try:
            reason = response.json()["message"]
        except (ValueError, KeyError, TypeError):
            reason = response.text[:200]
        raise Refused(f"{response.status_code} {reason}")


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """By line feeds only: text may hold the other characters that Python ends lines at."""
    rest = b""
    async for data in response.aiter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line
