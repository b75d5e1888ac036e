"""Model servers that break HTTP/2 or gRPC, by raw frames: what the caller gets, and at how many attempts. See
`test_grpc_answers.py` for answers that are only not whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.protocols.grpc_message import frame as message
from gateway.refusal import Code
from gateway.wire.http2 import frames
from gateway.wire.http2.fields import encode, encode_all
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.gateway import Gateway, table
from tests.fakes.grpc_client import PREDICT, predict
from tests.fakes.grpc_servers import GrpcServer, Script, ServerCall
from tests.fakes.parent_process import eventually

GrpcServers = Callable[..., GrpcServer]
Start = Callable[..., Gateway]
Frames = Callable[[int], bytes]

HEAD = encode_all((b":status", b"200"), (b"content-type", b"application/grpc"))
END = encode(b"grpc-status", b"0")
MESSAGE = message(b"ok")


def head(stream: int, block: bytes = HEAD, *, end: bool = False) -> bytes:
    return frames.header_frames(stream, block, end)


def data(stream: int, payload: bytes = MESSAGE, *, end: bool = False) -> bytes:
    return frames.frame(frames.DATA, frames.END_STREAM if end else 0, stream, payload)


def whole(stream: int, more: bytes = b"", trailers: bytes = END) -> bytes:
    return head(stream, HEAD + more) + data(stream) + head(stream, trailers, end=True)


def sending(made: Frames) -> Script:
    """Answers with these bytes."""
    return lambda call: call.peer.transport.write(made(call.stream))


def endless(made: Frames, start: Frames = lambda stream: b"") -> Script:
    """Goes on with these bytes for as long as the connection is there, and takes them."""

    def script(call: ServerCall) -> None:
        call.peer.transport.write(start(call.stream))
        piece = made(call.stream)
        while not call.peer.transport.is_closing() and call.peer.transport.get_write_buffer_size() < 20 << 20:
            call.peer.transport.write(piece)

    return script


MALFORMED: dict[str, Frames] = {
    "CRLF in a value": lambda s: head(s, HEAD + END + encode(b"grpc-message", b"a\r\nb"), end=True),
    "pseudo-field in trailers": lambda s: whole(s, trailers=encode(b":status", b"200") + END),
    "upper-case trailer": lambda s: whole(s, trailers=encode(b"Grpc-Status", b"0")),
    "two heads": lambda s: head(s) + whole(s),
    "data before a head": lambda s: data(s) + whole(s),
    "head of 70 KB": lambda s: whole(s, encode(b"x", b"a" * 70_000)),
}
"""What ends the stream alone, and is the server's own error."""

BREAKING: dict[str, Script] = {
    "answer on another stream": sending(lambda s: whole(s + 100)),
    "answer on a stream of its own": sending(lambda s: whole(2)),
    "push": sending(lambda s: frames.frame(5, 4, s, b"\0\0\0\2" + HEAD) + whole(s)),
    "frame too large": sending(lambda s: b"\x00\x40\x01\x00\x00" + s.to_bytes(4, "big") + bytes(16385)),
    "announcements without end": endless(lambda s: head(s, encode(b":status", b"103")) * 2000),
    "head without end": endless(
        lambda s: frames.frame(9, 0, s, b"\x00\x01a\x01b" * 3000), lambda s: frames.frame(1, 0, s, HEAD)
    ),
    "pings without end": endless(lambda s: frames.frame(frames.PING, 0, 0, bytes(8)) * 2000),
    "settings without end": endless(lambda s: frames.settings() * 5000),
    "credit without end": endless(lambda s: frames.window_update(s, 1) * 5000),
}
"""What ends the connection before an answer: it is asked for again, over others."""

TAKEN: dict[str, Frames] = {
    "an announcement": lambda s: head(s, encode(b":status", b"103")) + whole(s),
    "two answers": lambda s: whole(s) + whole(s),
    "going away": lambda s: frames.goaway(s, ErrorCode.NO_ERROR) + whole(s),
    "fields in its table": lambda s: (
        head(s, b"\x88\x40\x0ccontent-type\x10application/grpc")
        + data(s)
        + head(s, b"\x40\x0bgrpc-status\x010", end=True)
    ),
    "no window any more": lambda s: frames.settings((frames.INITIAL_WINDOW_SIZE, 0)) + whole(s),
    "versions of its own": lambda s: whole(
        s, encode(b"x-turnout-version", b"v9"), END + encode(b"x-turnout-assignment", b"a/b=c")
    ),
}

RESETS = {
    ErrorCode.INTERNAL_ERROR: Code.INTERNAL,
    ErrorCode.NO_ERROR: Code.INTERNAL,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_answer_is_its_servers_error(grpc_servers: GrpcServers, start_gateway: Start, name: str) -> None:
    server = grpc_servers(sending(MALFORMED[name]))
    gateway = start_gateway(table(v1=[server]))
    got = gateway.grpc_client().call(PREDICT, predict())
    assert (got.code, got.error) == (Code.INTERNAL, "the stream was reset: PROTOCOL_ERROR")
    assert (len(server.calls), server.connections) == (1, 1)
    assert gateway.outcomes("v1") == {"server_error": 1}


@pytest.mark.parametrize("name", BREAKING)
def test_who_breaks_the_connections_rules_is_given_up(
    grpc_servers: GrpcServers, start_gateway: Start, name: str
) -> None:
    server = grpc_servers(BREAKING[name])
    gateway = start_gateway(table(v1=[server]))
    got = gateway.grpc_client().call(PREDICT, predict())
    assert (got.code, got.error) == (Code.UNAVAILABLE, "default/m version v1: what it sent is not the protocol")
    assert (len(server.calls), gateway.retries("v1")) == (3, {"reset": 2})
    assert gateway.outcomes("v1") == {"unavailable": 1}


@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_answer_is_passed_on(grpc_servers: GrpcServers, start_gateway: Start, name: str) -> None:
    server = grpc_servers(sending(TAKEN[name]))
    gateway = start_gateway(table(v1=[server]))
    got = gateway.grpc_client().call(PREDICT, predict())
    assert (got.code, got.message, got.version) == (Code.OK, b"ok", "v1")
    assert not got.trailers or not any("turnout" in field for field in got.trailers)
    assert len(server.calls) == 1


@pytest.mark.parametrize("code", RESETS)
def test_a_reset_is_an_answer(grpc_servers: GrpcServers, start_gateway: Start, code: ErrorCode) -> None:
    """However often it comes."""
    server = grpc_servers(sending(lambda stream: frames.rst_stream(stream, code) * 100))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    assert [client.call(PREDICT, predict()).code for _ in range(2)] == [RESETS[code]] * 2
    assert len(server.calls) == 2


@pytest.mark.parametrize("code", [ErrorCode.NO_ERROR, ErrorCode.ENHANCE_YOUR_CALM])
def test_what_a_server_that_goes_has_not_begun_is_asked_for_again(
    grpc_servers: GrpcServers, start_gateway: Start, code: ErrorCode
) -> None:
    server = grpc_servers(sending(lambda stream: frames.goaway(0, code)))
    gateway = start_gateway(table(v1=[server]))
    got = gateway.grpc_client().call(PREDICT, predict())
    assert (got.code, got.error) == (Code.UNAVAILABLE, "default/m version v1: it refused the stream")
    assert gateway.retries("v1") == {"refused_stream": 2}


def test_an_answer_beyond_its_window_is_cut_off(grpc_servers: GrpcServers, start_gateway: Start) -> None:
    server = grpc_servers(endless(lambda stream: data(stream, bytes(16384)) * 4, head))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    stream = client.start(PREDICT, predict())
    # While the client takes nothing, the server gets no credit.
    eventually(lambda: gateway.outcomes("v1"), lambda now: now == {"server_error": 1})
    got = client.answer(stream)
    assert (got.code, got.error) == (Code.INTERNAL, "the stream was reset: FLOW_CONTROL_ERROR")
    assert len(server.calls) == 1
