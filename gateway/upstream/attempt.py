"""One try to get a call answered by one endpoint: what a connection tells the call, whatever the wire."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Protocol


class Failure(IntEnum):
    """Why an attempt brought no whole answer."""

    CONNECT = 0
    """No connection could be had: nothing was sent."""
    FULL = 1
    """The endpoint has as many connections as one gateway may hold: nothing was sent."""
    REFUSED = 2
    """The server said that it did not begin (HTTP/2's REFUSED_STREAM, or a stream above GOAWAY's last)."""
    RESET = 3
    """The connection or the stream ended before the answer did."""
    GARBAGE = 4
    """What came is not the protocol."""
    UNAVAILABLE = 5
    """The server answered that it can't now: 503, UNAVAILABLE."""


class Attempt(Protocol):
    """What a call is to the connection that carries it."""

    def failed(self, failure: Failure, *, sent: bool) -> None:
        """The last that is told of this attempt. `sent`: the server may have seen the request."""
        ...


class Exchange(Protocol):
    """A call under way on a connection."""

    def cancel(self, call: Any) -> None:
        """Nothing more is told of it."""
        ...
