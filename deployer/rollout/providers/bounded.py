"""An HTTP client for those whom a rollout asks: what they answer has a bound, of size and of time.

httpx's own timeouts are of one read, and it takes and inflates all that comes: one answer without end would take the
memory of whoever decides all rollouts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import httpx

LARGEST = 16 * 2**20
"""Bytes of an answer: thousands of times what one has."""


def client(timeout: float, **options: Any) -> httpx.Client:
    """`timeout`: seconds for each step until the answer's head, and for the whole of what comes from then on. What is
    compressed is not inflated."""
    return httpx.Client(
        timeout=timeout, transport=_Transport(), trust_env=False, headers={"accept-encoding": "identity"}, **options
    )


class _Transport(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        response.headers.pop("content-encoding", None)
        by = time.monotonic() + request.extensions["timeout"]["read"]
        response.stream = _Bounded(cast(httpx.SyncByteStream, response.stream), by)
        return response


class _Bounded(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, by: float) -> None:
        self._stream = stream
        self._by = by

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:
            size += len(part)
            if size > LARGEST:
                raise httpx.RemoteProtocolError(f"its answer is longer than {LARGEST} bytes")
            if time.monotonic() > self._by:
                raise httpx.ReadTimeout("its answer is not there in time")
            yield part

    def close(self) -> None:
        self._stream.close()
