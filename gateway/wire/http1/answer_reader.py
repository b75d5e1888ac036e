"""A model server's answers on one connection as bytes in, events out."""

from __future__ import annotations

import httptools

from gateway.contract.headers import REQUEST_ID
from gateway.refusal import Code, Refusal
from gateway.wire.http1.heads import Head
from gateway.wire.http1.reader import Handler, Reader

_known: dict[bytes, Head] = {}


class AnswerReader(Reader):
    """The answers on one connection. Informational ones (1xx) are passed over."""

    _parser: httptools.HttpResponseParser

    def __init__(self, handler: Handler, max_head_bytes: int) -> None:
        super().__init__(handler, max_head_bytes, _known)
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
        if between and not self.bodiless:
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
