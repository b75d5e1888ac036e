"""HTTP/1.1 as bytes in, events out, over httptools (llhttp, strict). No sockets, no clock. What requests and answers
share; each have a reader of their own.

Heads repeat: those met of late are known by their bytes, and a message whose head is known and whose body is there is
told without the parser, by the same events.

What llhttp lets pass and a forwarder must not (RFC 9112, section 11) is refused here: any transfer coding but a single
`chunked`, a transfer coding in HTTP/1.0, versions other than 1.0 and 1.1, a missing or repeated Host, a target that is
neither origin nor absolute form. Heads are bounded here; bodies by whoever gathers them.
"""

from __future__ import annotations

from typing import Protocol

import httptools

from gateway.contract.headers import OWN, SECRET, is_own
from gateway.refusal import Code, Refusal
from gateway.wire.http1.heads import Head
from gateway.wire.limits import MAX_FIELDS

# Fields that speak of one connection only (RFC 9110, 7.6.1), and Content-Length, which the forwarder sets anew.
_HOP = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_NOT_NOMINATED = frozenset((b"close", b"keep-alive", b"host", b""))
"""In `Connection`: its own options, and Host, which no one may have taken out on the way."""

LINE_BYTES = 100
"""What a field's line takes up in memory beside its bytes."""

MAX_KNOWN_BYTES = 2048
MAX_KNOWN = 1024
"""Heads that are remembered, of requests and of answers each: 4 MiB at most."""

HEAD_END = b"\r\n\r\n"


class Handler(Protocol):
    """Who is told. One `receive` may bring the events of several messages, in order."""

    def on_head(self, head: Head) -> None: ...
    def on_body(self, data: bytes) -> None: ...
    def on_end(self) -> None: ...


class Reader:
    """httptools calls the `on_*` methods, some of them several times a message."""

    _parser: httptools.HttpRequestParser | httptools.HttpResponseParser

    def __init__(self, handler: Handler, max_head_bytes: int, known: dict[bytes, Head]) -> None:
        self._handler = handler
        self._max_head_bytes = max_head_bytes
        self._known = known
        self._first: Head | None = None  # that began in this read
        self._head = Head()
        self._in_message = self._in_head = False
        self._head_bytes = 0
        self._hidden_bytes = 0  # fed since the parser last told anything
        self._closed = False  # nothing that comes counts any more
        self._nominated: set[bytes] = set()
        self._refusal: Refusal | None = None
        self._refused: Head | None = None

    def lost(self) -> None:
        """The transport is gone: nothing is received any more. Without it, handler, reader and parser would keep each
        other in memory until the next collection of cycles."""
        self._closed = True
        del self._handler, self._parser

    def stop(self, refusal: Refusal) -> None:
        """From within the handler: `receive` is to read no further, and to raise `refusal`."""
        if self._refusal is None:
            self._refusal = refusal
            self._refused = self._head

    @property
    def latest(self) -> Head:
        """Of the message that was refused or is being read, as far as it has come; between two, of the one before."""
        return self._refused or self._head

    @property
    def idle(self) -> bool:
        """Between two messages."""
        return not self._in_message

    def on_message_begin(self) -> None:
        self._in_message = self._in_head = True
        self._head = Head()
        if self._first is None:
            self._first = self._head
        self._head_bytes = self._hidden_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._hidden_bytes = 0
        self._head_bytes += len(name) + len(value) + 4
        if not self._in_head:  # a trailer: no model server needs one, and merging it into the head is a known hole
            if self._head_bytes > self._max_head_bytes:
                self._refuse_size()
            return
        key = name.lower()
        if key in SECRET:
            self._head.secret = True
        if key in _HOP:
            self._hop(key, value)
        elif key[:10] == OWN:
            self._head.own.setdefault(key, value.strip(b" \t"))
        elif not is_own(key):
            self._field(key, b"%b: %b\r\n" % (name, value))

    def _field(self, key: bytes, line: bytes) -> None:
        self._head.lines.append(line)

    def _hop(self, key: bytes, value: bytes) -> None:
        head = self._head
        if key == b"content-length":
            head.length = int(value)  # llhttp has checked that it is digits, stands once, and fits
        elif key == b"transfer-encoding":
            # Only what llhttp knows as chunked too: it takes spaces after the name, and no tab.
            if head.chunked or value.rstrip(b" ").lower() != b"chunked":
                self._refuse(Code.UNIMPLEMENTED, "transfer_encoding", "the one transfer coding supported is chunked")
            head.chunked = True
        elif key == b"connection":
            self._nominated |= {token.strip(b" \t").lower() for token in value.split(b",")} - _NOT_NOMINATED
        elif key == b"expect":
            head.expect_continue = value.lower() == b"100-continue"

    def _headed(self) -> Head:
        """The head is whole: apply what needs all of it."""
        self._in_head = False
        head = self._head
        if self._nominated:
            head.lines = [line for line in head.lines if line[: line.index(b":")].lower() not in self._nominated]
            self._nominated.clear()
        head.weight = self._head_bytes + LINE_BYTES * len(head.lines)
        if self._head_bytes > self._max_head_bytes:
            self._refuse_size()
        return head

    def _refuse(self, code: Code, reason: str, message: str, status: int | None = None) -> None:
        # Kept, not raised: an exception out of a callback would lose its type inside httptools.
        self.stop(Refusal(code, reason, message, status=status))

    def _refuse_size(self) -> None:
        limit = self._max_head_bytes
        self._refuse(
            Code.RESOURCE_EXHAUSTED,
            "head_too_large",
            f"the message head is over {limit} bytes or {MAX_FIELDS} fields",
            431,
        )

    def _start_line(self, part: bytes) -> None:
        self._hidden_bytes = 0
        self._head_bytes += len(part)

    def on_body(self, data: bytes) -> None:
        self._hidden_bytes = 0
        if self._refusal is None:
            self._handler.on_body(data)

    def _tell_known(self, data: bytes) -> bytes:
        """Tell the messages at the beginning of `data` that need no parser. What is left."""
        handler = self._handler
        while data and not self._closed:
            end = data.find(HEAD_END) + 4
            head = self._known.get(data[:end]) if end <= self._max_head_bytes else None
            if head is None:
                break
            stop = end + (head.length or 0)
            if stop > len(data):
                break
            self._head = head
            self._hidden_bytes = 0
            handler.on_head(head)
            if stop > end and self._refusal is None:
                handler.on_body(data[end:stop])
            if self._refusal is not None:
                raise self._refusal
            self._closed = head.close
            handler.on_end()
            data = data[stop:]
        return data

    def _remember(self, data: bytes) -> None:
        """`data` was fed and began with a message: know its head again. An answer's is not whole before the answer."""
        head = self._first
        end = data.find(HEAD_END) + 4
        if head is None or data[:1] in b"\r\n":
            return
        if head is self._head and (self._in_message if head.status else self._in_head):
            return
        if head.secret or head.chunked or head.expect_continue or not 4 <= end <= MAX_KNOWN_BYTES:
            return
        if head.status and (head.close or head.length is None or head.status < 200 or head.status in (204, 304)):
            return  # where such an answer ends is more than its length, or nothing may follow it
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[data[:end]] = head

    def _feed(self, parser: httptools.HttpRequestParser | httptools.HttpResponseParser, data: bytes) -> None:
        # A field, a trailer or a chunk's extension shows in no callback before its end, and httptools keeps it all.
        self._hidden_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._refusal is None:
                raise
        except httptools.HttpParserCallbackError:
            raise  # a fault of ours, not of the peer's
        except httptools.HttpParserError as error:
            if not self._closed:
                reason = error.args[0] if error.args and isinstance(error.args[0], str) else "not HTTP/1.1"
                self._refuse(Code.INVALID_ARGUMENT, "malformed_http", f"Malformed HTTP message: {reason}")
        if self._hidden_bytes + (self._head_bytes if self._in_head else 0) > self._max_head_bytes:
            self._refuse_size()
        if self._refusal is not None:
            raise self._refusal
