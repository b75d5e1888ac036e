"""The requests of one connection as bytes in, events out."""

from __future__ import annotations

import re

import httptools

from gateway.contract.headers import REQUEST_ID, REQUEST_ID_PATTERN
from gateway.refusal import Code
from gateway.wire.http1.heads import Head, authority, origin_form
from gateway.wire.http1.reader import HEAD_END, MAX_KNOWN_BYTES, Handler, Reader
from gateway.wire.limits import MAX_FIELDS

_ID = re.compile(REQUEST_ID_PATTERN)

_known: dict[bytes, Head] = {}


class RequestReader(Reader):
    """The requests of one connection, in order."""

    _parser: httptools.HttpRequestParser

    def __init__(self, handler: Handler, max_head_bytes: int) -> None:
        super().__init__(handler, max_head_bytes, _known)
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

    def known_size(self, data: bytes, begin: int) -> int:
        """Of the message that begins there, where its head is known; else 0."""
        end = data.find(HEAD_END, begin, begin + MAX_KNOWN_BYTES) + len(HEAD_END)
        head = _known.get(data[begin:end])
        return 0 if head is None else end - begin + (head.length or 0)

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
