"""How a call or an attempt ends, in numbers for the metrics and in words for people."""

from __future__ import annotations

from gateway.refusal import HTTP_STATUS, Code
from gateway.stats import counters
from gateway.upstream.failure import Failure

CAUSES = {
    Failure.CONNECT: counters.CONNECT,
    Failure.FULL: counters.CONNECT,
    Failure.REFUSED: counters.REFUSED_STREAM,
    Failure.RESET: counters.RESET,
    Failure.GARBAGE: counters.RESET,
    Failure.UNAVAILABLE: counters.BACKEND_UNAVAILABLE,
}
"""Of retries."""

QUIET = (counters.SUCCESS, counters.CANCELLED)
"""What is not logged."""

SAID = {
    Failure.CONNECT: "no connection could be made",
    Failure.FULL: "it has as many requests as one gateway may have there",
    Failure.REFUSED: "it refused the stream",
    Failure.RESET: "the connection ended before the answer did",
    Failure.GARBAGE: "what it sent is not the protocol",
    Failure.UNAVAILABLE: "it answered that it is unavailable",
    Failure.DEADLINE: "no whole answer within the deadline",
}
"""To the caller."""


def of_status(status: int) -> int:
    """How an HTTP status counts."""
    if status < 400:
        return counters.SUCCESS
    if status == HTTP_STATUS[Code.CANCELLED]:
        return counters.CANCELLED
    if status < 500:
        return counters.CLIENT_ERROR
    return counters.DEADLINE if status == 504 else counters.SERVER_ERROR
