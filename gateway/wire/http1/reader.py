"""HTTP/1.1 as bytes in, events out, over httptools (llhttp, strict). No sockets, no clock.

Heads repeat: those met of late are known by their bytes, and a message whose head is known and whose body is there is
told without the parser, by the same events.

What llhttp lets pass and a forwarder must not (RFC 9112, section 11) is refused here: any transfer coding but a single
`chunked`, a transfer coding in HTTP/1.0, versions other than 1.0 and 1.1, a missing or repeated Host, a target that is
neither origin nor absolute form. Heads are bounded here; bodies by whoever gathers them.
"""

from __future__ import annotations

import re
from typing import Protocol

import httptools

from gateway.contract.headers import OWN, REQUEST_ID, REQUEST_ID_PATTERN, SECRET, is_own
from gateway.refusal import Code, Refusal
from gateway.wire.http1.heads import Head, authority, origin_form
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

_ID = re.compile(REQUEST_ID_PATTERN)
_HEAD_END = b"\r\n\r\n"


_known_requests: dict[bytes, Head] = {}
_known_answers: dict[bytes, Head] = {}


class Handler(Protocol):
    """Who is told. One `receive` may bring the events of several messages, in order."""

    def on_head(self, head: Head) -> None: ...
    def on_body(self, data: bytes) -> None: ...
    def on_end(self) -> None: ...


class _Reader:
    """What requests and answers share. httptools calls the `on_*` methods, some of them several times a message."""

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
        if not self._in_head:
            return  # a trailer: no model server needs one, and merging it into the head is a known hole
        self._head_bytes += len(name) + len(value) + 4
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
            end = data.find(_HEAD_END) + 4
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
            self._closed = head.close and not head.status
            handler.on_end()
            data = data[stop:]
        return data

    def _remember(self, data: bytes) -> None:
        """`data` was fed and began with a message: if that is whole, know its head again."""
        head = self._first
        end = data.find(_HEAD_END) + 4
        if head is None or (head is self._head and self._in_message) or data[:1] in b"\r\n":
            return
        if head.secret or head.chunked or head.expect_continue or not 4 <= end <= MAX_KNOWN_BYTES:
            return
        if head.status and (head.length is None or head.status < 200 or head.status in (204, 304)):
            return  # where such an answer ends is more than its length
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


class RequestReader(_Reader):
    """The requests of one connection, in order."""

    _parser: httptools.HttpRequestParser

    def __init__(self, handler: Handler, max_head_bytes: int) -> None:
        super().__init__(handler, max_head_bytes, _known_requests)
        self._hosts = self._fields = 0
        self._bodiless = False  # the parser leaves out the body of the request that it is at
        self._head_known = False  # the head that the parser is at has been told
        self._parser = httptools.HttpRequestParser(self)

    def receive(self, data: bytes) -> None:
        """Raises Refusal where this connection can't be read on; events of earlier requests have been told by then."""
        while True:
            between = not self._in_message
            if between:
                data = self._tell_known(data)
            if not data or self._closed:
                return
            self._first = None
            try:
                self._feed(self._parser, data)
            except httptools.HttpParserUpgrade as upgrade:
                # Not taken up, as RFC 9110 7.8 lets us; what follows is this request's body, or the next request.
                self._parser = httptools.HttpRequestParser(self)
                if self._bodiless:
                    self._go_on_with_the_body()
                data = data[upgrade.args[0] :]
            else:
                if between:
                    self._remember(data)
                return

    def _go_on_with_the_body(self) -> None:
        """Java's clients and `curl --http2` offer an upgrade with each POST, and httptools stops after such a head: a
        parser that has had one without the offer takes what follows for its body."""
        head = self._head
        framing = b"Transfer-Encoding: chunked" if head.chunked else b"Content-Length: %d" % (head.length or 0)
        self._head_known = True
        self._parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % framing)
        self._head_known = self._bodiless = False

    def on_message_begin(self) -> None:
        if not self._head_known:
            super().on_message_begin()
            self._hosts = self._fields = 0

    def on_url(self, url: bytes) -> None:
        if not self._head_known:
            self._start_line(url)
            self._head.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_known:
            super().on_header(name, value)
            self._fields += 1
            if self._fields > MAX_FIELDS:
                self._refuse_size()

    def _field(self, key: bytes, line: bytes) -> None:
        if key == b"host":
            self._hosts += 1
        elif key == b"origin":
            self._head.origin = line[8:-2].strip(b" \t")
        elif key == REQUEST_ID:
            value = line[14:-2].strip(b" \t")
            if self._head.request_id or not _ID.fullmatch(value):
                return  # it is fit for no log
            self._head.request_id = value
        self._head.lines.append(line)

    def on_headers_complete(self) -> None:
        if self._head_known:
            return
        head = self._headed()
        parser = self._parser
        self._bodiless = parser.should_upgrade() and (head.chunked or bool(head.length))
        head.method = parser.get_method()
        version = parser.get_http_version()
        head.minor = 0 if version == "1.0" else 1
        head.close = not parser.should_keep_alive()
        if version not in ("1.0", "1.1"):
            self._refuse(Code.INVALID_ARGUMENT, "malformed_http", f"HTTP/{version} is not supported here", 505)
        if self._hosts > 1 or (self._hosts == 0 and head.minor):
            self._refuse(Code.INVALID_ARGUMENT, "malformed_http", "exactly one Host field is needed")
        elif self._hosts == 0:
            head.lines.append(b"Host: turnout\r\n")  # it goes on as HTTP/1.1, which needs one
        if head.chunked and not head.minor:
            self._refuse(Code.INVALID_ARGUMENT, "malformed_http", "HTTP/1.0 has no Transfer-Encoding")
        if head.method == b"CONNECT":
            self._refuse(Code.UNIMPLEMENTED, "connect", "CONNECT is not supported")
        if not head.target.startswith(b"/"):
            host = authority(head.target)
            if host is not None:  # it stands above Host (RFC 9112, 3.2.2)
                head.lines = [line for line in head.lines if line[:5].lower() != b"host:"]
                head.lines.append(b"Host: %b\r\n" % host)
            head.target = origin_form(head.target)
        if b"#" in head.target:
            self._refuse(Code.INVALID_ARGUMENT, "malformed_http", "the request target has a fragment")
        if self._refusal is None:
            self._handler.on_head(head)

    def on_message_complete(self) -> None:
        if self._bodiless:
            return
        self._in_message = False
        if self._refusal is None:
            self._closed = self._head.close
            self._handler.on_end()


class AnswerReader(_Reader):
    """The answers on one connection. Informational ones (1xx) are passed over."""

    _parser: httptools.HttpResponseParser

    def __init__(self, handler: Handler, max_head_bytes: int) -> None:
        super().__init__(handler, max_head_bytes, _known_answers)
        self.bodiless = False
        """The next answer ends with its head whatever that says, as one to HEAD does, and is the last."""
        self._parser = httptools.HttpResponseParser(self)

    def receive(self, data: bytes) -> None:
        """Raises Refusal where what came is no answer that can be passed on."""
        between = not self._in_message
        if between and not self.bodiless:
            data = self._tell_known(data)
            if not data:
                return
        self._first = None
        try:
            self._feed(self._parser, data)
        except httptools.HttpParserUpgrade:
            raise Refusal(Code.INTERNAL, "upstream_garbage", "the model server changed protocols unasked") from None
        if between:
            self._remember(data)

    def end_of_stream(self) -> bool:
        """The connection has ended. True where that is the proper end of the answer, which is told then."""
        if self._in_message and not self._in_head and self._head.until_close:
            self.on_message_complete()
            return True
        return False

    def _field(self, key: bytes, line: bytes) -> None:
        if key != REQUEST_ID:  # the caller is told that of its request
            self._head.lines.append(line)

    def on_body(self, data: bytes) -> None:
        if not self.bodiless:
            super().on_body(data)

    @property
    def closing(self) -> bool:
        """No further answer comes on this connection."""
        return self._head.close

    def on_status(self, reason: bytes) -> None:
        self._start_line(reason)
        self._head.reason += reason

    def on_headers_complete(self) -> None:
        head = self._headed()
        head.status = self._parser.get_status_code()
        if head.status < 100 or (head.status < 200 and (head.length or head.chunked)):
            self._refuse(Code.INTERNAL, "upstream_garbage", f"no answer can have the status {head.status} and a body")
        if head.status >= 200 and self._refusal is None:
            self._handler.on_head(head)
            if self.bodiless:
                head.close = True
                self._handler.on_end()

    def on_message_complete(self) -> None:
        if self.bodiless and self._head.status >= 200:
            return
        self._in_message = False
        if self._head.status >= 200 and self._refusal is None:
            self._head.close = self._head.until_close or not self._parser.should_keep_alive()
            self._handler.on_end()
