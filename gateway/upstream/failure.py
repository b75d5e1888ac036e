"""How an attempt ends that brings no whole answer, whatever the wire."""

from __future__ import annotations

from enum import IntEnum

IDLE_SECONDS = 0.02
"""Servers close connections that have been idle; none for less."""

RACE_SECONDS = 0.1
"""A connection that had been idle, and ends within this of the request and before a byte comes back, was being closed
while the request was on its way: it goes again over a new one, and that is no failure. One that ends later, or that was
in use, may have ended over the request itself."""


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
    DEADLINE = 6
    """The deadline came before the answer was whole."""
