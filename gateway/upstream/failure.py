"""How an attempt ends that brings no whole answer, whatever the wire."""

from __future__ import annotations

from enum import IntEnum

CLOSED_SECONDS = 0.02
"""A server closes a connection that has been idle, and none that has been so for less."""

RESET_SECONDS = 1.0
"""The same of what forgets a connection without closing it, and resets it once something comes. A server that dies over
a request may reset it, too: where there are many requests that counts as dying."""

RACE_SECONDS = 0.1
"""How long after a request the end of its connection may be told, if that was on its way before the request came."""


def is_race(idle: float, since: float, *, closed: bool) -> bool:
    """Whether a connection that ended before a byte of an answer was being closed while the request was on its way to
    it: it goes again over a new one, and that is no failure. Else it may have ended over the request itself.

    `idle`: the seconds that it had been idle before the request; `since`: those since then; `closed`: it was closed in
    order, and not reset.
    """
    return since < RACE_SECONDS and idle >= (CLOSED_SECONDS if closed else RESET_SECONDS)


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
