"""The heads of HTTP/1.1 messages, and what of a message is written anew (RFC 9112)."""

from __future__ import annotations

import re

from gateway.wire.note import Note

_ABSOLUTE = re.compile(rb"https?://(?:[^/?#]*@)?([^/?#]*)", re.IGNORECASE)


class Head:
    """The head of a message.

    `lines` are the field lines to forward, each with its CRLF; `own` holds the `x-turnout-*` fields by lower-case name,
    which are never forwarded. `request_id`: the request's, where it bears one that can go on. `origin`: the page's that
    asks, as its browser says. `close`: the connection ends with this message. Once told, a head may be shared by all
    messages that begin with the same bytes: it is not to be changed, but for `note`, where a handler may keep what it
    worked out of the rest.
    """

    __slots__ = (
        "chunked",
        "close",
        "expect_continue",
        "length",
        "lines",
        "method",
        "minor",
        "note",
        "origin",
        "own",
        "reason",
        "request_id",
        "secret",
        "status",
        "target",
        "weight",
    )

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.status = 0
        self.reason = b""
        self.request_id = b""
        self.minor = 1
        self.lines: list[bytes] = []
        self.origin: bytes | None = None
        self.own: dict[bytes, bytes] = {}
        self.length: int | None = None
        self.chunked = False
        self.close = False
        self.expect_continue = False
        self.secret = False
        self.note: Note | None = None
        self.weight = 0
        """What it takes up in memory, in bytes, once it is whole: a guess."""

    @property
    def until_close(self) -> bool:
        """An answer whose body ends where the connection does."""
        return self.length is None and not self.chunked and self.status not in (204, 304)


def first_values(head: Head) -> dict[bytes, bytes]:
    """The first value of each field by lower-case name, but for what speaks of one connection only; all cookies as one,
    joined by `; `."""
    values = dict(head.own)
    for line in head.lines:
        name, _, value = line.partition(b":")
        name = name.lower()
        value = value.strip(b" \t\r\n")
        if name not in values:
            values[name] = value
        elif name == b"cookie":
            values[name] += b"; " + value
    return values


def values(head: Head, name: bytes) -> list[bytes]:
    """Those of all fields with this name, which is in lower case."""
    start = name + b":"
    size = len(start)
    return [line[size:].strip(b" \t\r\n") for line in head.lines if line[:size].lower() == start]


def authority(target: bytes) -> bytes | None:
    """The host, and port, that an absolute target names."""
    found = _ABSOLUTE.match(target)
    return None if found is None else found[1]


def origin_form(target: bytes) -> bytes:
    """`http://host/path?query` -> `/path?query`; anything else as it is, which no protocol will know."""
    found = _ABSOLUTE.match(target)
    if found is None:
        return target
    rest = target[found.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def request_head(method: bytes, target: bytes, lines: list[bytes], length: int) -> bytes:
    """The head of a forwarded request with a body of `length` bytes, but for the empty line."""
    end = b"Content-Length: %d\r\n" % length if length or method == b"POST" else b""
    return b"%b %b HTTP/1.1\r\n%b%b" % (method, target, b"".join(lines), end)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
