"""An open load over REST: requests leave by the clock, whatever becomes of those before; each is remembered."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

import httpx

from tests.fakes.turnout import until


class Failed(NamedTuple):
    at: float
    """Seconds after the load's start."""
    version: str
    """Whose answer it was; empty where there was none."""
    error: str


class Traffic:
    """`with Traffic(url, body) as traffic:` sends until the block ends; then `failures` is whole.

    `headers` gives those of the request of each number; `callers` are the addresses that they come from in turn.
    """

    def __init__(
        self,
        url: str,
        body: Any,
        *,
        rate: float = 100.0,
        timeout: float = 5.0,
        headers: Callable[[int], Mapping[str, str]] = lambda number: {},
        callers: Sequence[str] = ("127.0.0.1",),
    ) -> None:
        self.answered: Counter[str] = Counter()
        """By version, the failures included that a version answered."""
        self.failures: list[Failed] = []
        self._url, self._body, self._rate, self._timeout, self._headers = url, body, rate, timeout, headers
        self._callers = callers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="traffic")
        self._started = time.monotonic()

    def __enter__(self) -> Traffic:
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def more(self, number: int, seconds: float = 60.0) -> None:
        """Wait until so many more have been answered."""
        goal = self.answered.total() + number
        until(lambda: self.answered.total() >= goal, f"{number} more answers", seconds)

    def _client(self, caller: str) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
        transport = httpx.AsyncHTTPTransport(limits=limits, local_address=caller)
        return httpx.AsyncClient(transport=transport, timeout=self._timeout)

    async def _run(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(self._client(caller)) for caller in self._callers]
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            number = 0
            while not self._stop.is_set():
                await asyncio.sleep(self._started + number / self._rate - time.monotonic())
                tasks.create_task(self._send(clients[number % len(clients)], number))
                number += 1

    async def _send(self, client: httpx.AsyncClient, number: int) -> None:
        began, version = time.monotonic() - self._started, ""
        try:
            answer = await client.post(self._url, json=self._body, headers=dict(self._headers(number)))
            version = answer.headers.get("x-turnout-version", "")
            error = "" if answer.is_success else f"{answer.status_code} {answer.text}"
        except httpx.HTTPError as raised:
            error = repr(raised)
        if version:
            self.answered[version] += 1
        if error:
            self.failures.append(Failed(began, version, error))
