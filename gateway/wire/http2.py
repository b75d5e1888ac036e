"""HTTP/2 (RFC 9113) without sockets: bytes in, calls of a handler out; both roles.

One use of a connection, by its owner:

    connection = Connection(handler, client=False)
    connection.start()
    transport.write(connection.take())
    ...
    connection.receive(data, loop.time())      # calls the handler, which calls open/headers/data/reset/consumed
    if out := connection.take():
        transport.write(out)
    if connection.closed:                      # the peer broke the protocol: `connection.reason` says how
        transport.close()

What the owner still has to do: stop reading while its transport can't write (the answers to PING and SETTINGS queue up in it), and tell its own streams when the transport is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.wire.fields import Field


class Limits(NamedTuple):
    """What a connection grants its peer."""

    max_head_bytes: int = 65_536
    """Of one header list, as RFC 9113 6.5.2 counts: names, values, and 32 for each field. Announced."""
    max_streams: int = 1_000
    """Open at once, of the peer's making (a server's limit). Announced; those above it are refused, which is safe to retry."""
    stream_window: int = 1 << 20
    """Bytes of one stream's DATA that may be under way or not yet `consumed`. 65,535 at least."""
    connection_window: int = 16 << 20
    """The same for all streams of the connection together. 65,535 at least."""


class Handler(Protocol):
    """What a connection calls from within `receive`. It may call the connection back at once.

    A stream's calls come in this order: on_headers or on_oversize, on_data any number of times, on_trailers; or on_reset at any time.
    The last one, told by `end_stream` or by being on_trailers or on_reset, is the last.
    """

    def on_headers(self, stream_id: int, fields: Sequence[Field], end_stream: bool) -> None:
        """The head of a request (server) or of a final answer (client), valid by RFC 9113 8.2 and 8.3. `fields` may be shared: don't change it.

        A request has exactly one `:method`, `:scheme` and `:path` and perhaps an `:authority`, before all others; an answer has `:status`.
        CONNECT never comes here: it is reset. `end_stream` on an answer is gRPC's Trailers-Only.
        """

    def on_oversize(self, stream_id: int) -> None:
        """Server: the head was above `max_head_bytes`, and is dropped. Answer now, with end_stream; nothing else comes for this stream."""

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        """Call `consumed(stream_id, len(data))` once they no longer take up memory. `data` is empty only with end_stream."""

    def on_trailers(self, stream_id: int, fields: Sequence[Field]) -> None:
        """The stream's end."""

    def on_reset(self, stream_id: int, code: int, refused: bool) -> None:
        """The stream ended before its time: the peer reset it, made an error on it (code is ours then), or will not handle it (GOAWAY).

        `refused`: the peer has certainly done nothing for it (REFUSED_STREAM, or above GOAWAY's last id): safe to retry.
        What was queued on it is dropped; DATA not yet consumed is credited.
        """

    def on_writable(self, stream_id: int) -> None:
        """`buffered(stream_id)` had been above LOW_MARK and no longer is."""

    def on_goaway(self, last_id: int, code: int) -> None:
        """The peer will take no more streams (can_open is false). Comes after on_reset of those above last_id; the others go on."""

    def on_settings(self) -> None:
        """The peer's SETTINGS came: can_open may have changed."""

    def on_pong(self) -> None:
        """The answer to `ping`."""


LOW_MARK = 65_536


class Connection:
    """One HTTP/2 connection, as a server or as a client.

    Never raises because of the peer. What is sent on a stream that is gone (reset, ended, GOAWAY) is dropped silently, since the owner learns of that in its own time.
    An early end is settled here: a server that ends its answer before the request has ended resets with NO_ERROR, a client whose answer has ended before its request resets with CANCEL;
    the handler hears no on_reset for that.
    """

    closed: bool
    """A connection error was found or sent: write `take()`, then close. Nothing is received any more."""
    reason: str
    """Of `closed`: one line for the log."""

    def __init__(self, handler: Handler, *, client: bool, limits: Limits = Limits()) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Queue the preface (client) and our SETTINGS."""

    def receive(self, data: bytes, now: float) -> None:
        """Take in what came from the peer, cut anywhere. `now`: seconds of any monotonic clock (only the flood guard reads it)."""

    def take(self) -> bytes:
        """What is to be written now; b"" if nothing."""

    @property
    def can_open(self) -> bool:
        """Client: a further stream may be opened now: under the peer's MAX_CONCURRENT_STREAMS, ids left, no GOAWAY either way, not closed."""

    @property
    def active(self) -> int:
        """Streams that are not over."""

    @property
    def exhausted(self) -> bool:
        """Client: this connection will never open a stream again (GOAWAY, ids used up, closed): open another, drop this one once `active` is 0."""

    def open(self, block: bytes, end_stream: bool) -> int:
        """Client: start a stream with this header block (joined `Field.raw`); its id. Call only if `can_open`."""

    def headers(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        """Server: the head of the answer; either: trailers (end_stream True), sent after all data queued before them."""

    def data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        """Send, as far as both flow-control windows allow; the rest waits in order (see `buffered`)."""

    def buffered(self, stream_id: int) -> int:
        """Bytes given to `data` that the windows hold back; 0 for a stream that is gone."""

    def reset(self, stream_id: int, code: int) -> None:
        """End the stream now, dropping what is queued. No on_reset follows."""

    def consumed(self, stream_id: int, n: int) -> None:
        """The handler is done with n bytes of on_data: give the peer credit for them. Harmless on a stream that is gone."""

    def ping(self) -> None:
        """Queue a PING; on_pong tells of its answer."""

    def goaway(self, final: bool) -> None:
        """Server: drain, in two steps. False: the peer should open no more, but what is under way is still taken. True (a round trip later): streams not yet seen are ignored."""
