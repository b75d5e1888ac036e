"""How long a caller will wait, as its headers say it. All times are in seconds.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Timeout
"""

from __future__ import annotations

import re

from gateway.protocols.text import shown
from gateway.refusal import Code, Refusal

_GRPC = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MILLISECONDS = re.compile(rb"[0-9]{1,8}")


def from_grpc(value: bytes) -> float:
    """What `grpc-timeout` says; 0 is legal and has passed already.

    Raises Refusal (INVALID_ARGUMENT) for a malformed one: no deadline at all is the last thing its sender meant.
    """
    match = _GRPC.fullmatch(value)
    if match is None:
        raise _malformed("grpc-timeout", value, "one to eight digits and one of H, M, S, m, u, n")
    return int(match[1]) * _UNITS[match[2]]


def from_milliseconds(value: bytes) -> float:
    """What `x-turnout-timeout-ms` says. Raises Refusal (INVALID_ARGUMENT) for a malformed one."""
    if _MILLISECONDS.fullmatch(value) is None:
        raise _malformed("x-turnout-timeout-ms", value, "a whole number of milliseconds, at most eight digits")
    return int(value) / 1000


def to_grpc(seconds: float) -> bytes:
    """The `grpc-timeout` for what is left: rounded down, so that a server never waits longer than its caller.

    At least 1 µs, since 0 is not a positive number; at most eight digits, as the specification has it.
    """
    if seconds < 99:
        return b"%du" % max(int(seconds * 1e6), 1)
    if seconds < 99_999:
        return b"%dm" % int(seconds * 1e3)
    return b"%dS" % min(int(seconds), 99_999_999)


def _malformed(header: str, value: bytes, form: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, "malformed_header", f"{header}: {shown(value)!r} is not {form}")
