"""What an HTTP/2 connection asks of its owner: what to grant the peer, and whom to call."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gateway.wire.http2.fields import Fields


class Limits(NamedTuple):
    """What a connection grants its peer."""

    max_head_bytes: int = 65_536
    """Of one header list, as RFC 9113 6.5.2 counts: names, values, and 32 for each field. Announced."""
    max_streams: int = 1_000
    """The peer's streams open at once (a server's limit). Announced; those above are refused: safe to retry."""
    stream_window: int = 1 << 20
    """Bytes of one stream's DATA that may be under way or not yet `consumed`. 65,535 at least."""
    connection_window: int = 16 << 20
    """The same for all streams of the connection together. 65,535 at least."""


class Handler(Protocol):
    """What a connection calls from within its methods. It may call the connection back at once.

    A stream's calls come in this order: on_headers, or on_oversize and then nothing; on_data any number of times;
    on_trailers. The last of them is the one with end_stream, or on_trailers, or on_reset, which may come at any time.
    """

    def on_headers(self, stream_id: int, fields: Fields, end_stream: bool) -> None:
        """The head of a request (server) or of a final answer (client), valid by RFC 9113 8.2 and 8.3.

        A request has one `:method`, `:scheme` and `:path` each and perhaps an `:authority`, before all others
        (CONNECT never comes here: it is reset); an answer has `:status`, first.
        `end_stream` on an answer is gRPC's Trailers-Only.
        """

    def on_oversize(self, stream_id: int) -> None:
        """Server: a head above `max_head_bytes`, dropped. Answer at once, with end_stream; nothing more is told."""

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> bool:
        """Whether they are consumed; if not, call `consumed(stream_id, len(data))` when they take up no more memory.

        Empty only with end_stream.
        """
        ...

    def on_request(self, stream_id: int, fields: Fields, data: bytes) -> None:
        """Server: on_headers and on_data with end_stream in one, for a request that came whole in one read."""

    def on_answer(self, stream_id: int, fields: Fields, data: bytes, trailers: Fields) -> None:
        """Client: on_headers, on_data and on_trailers in one, likewise."""

    def on_trailers(self, stream_id: int, fields: Fields) -> None:
        """The stream's end."""

    def on_reset(self, stream_id: int, code: int, refused: bool) -> None:
        """The stream is over before its end: the peer reset it, or made an error on it, or its GOAWAY leaves it out.

        `code` is the peer's, or the one that we reset with for its error. `refused`: the peer has certainly done
        nothing for it, so that it is safe to retry. What was queued is dropped, what was not consumed is credited.
        """

    def on_writable(self, stream_id: int) -> None:
        """`buffered(stream_id)` had been above LOW_MARK, and no longer is."""

    def on_goaway(self, last_id: int, code: int) -> None:
        """The peer takes no more streams. Comes after on_reset of those that it leaves out; the others go on."""

    def on_settings(self) -> None:
        """The peer's SETTINGS came: `can_open` may have changed."""

    def on_pong(self) -> None:
        """The answer to `ping`."""
