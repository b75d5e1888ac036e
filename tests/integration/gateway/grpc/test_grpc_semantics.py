"""Frames that a client of HTTP/2 may not send, through a whole gateway: what is malformed ends its stream alone, what
breaks the connection's rules ends that, and neither reaches a server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hpack import Decoder

from gateway.wire.http2 import frames
from gateway.wire.http2.fields import encode, encode_all
from gateway.wire.http2.frames import ErrorCode
from loadtests.attack.peer import BLOCK, PATH, call, data, head, message
from tests.fakes.gateway import Gateway, table
from tests.fakes.grpc_servers import GrpcServer, answering

MESSAGE = message("m")
FIELDS = {
    b":method": b"POST",
    b":scheme": b"http",
    b":path": PATH,
    b":authority": b"x",
    b"te": b"trailers",
    b"content-type": b"application/grpc",
}
LAST = 99
"""The stream of a call that must be answered still."""


def asked(*more: tuple[bytes, bytes]) -> bytes:
    """A call whose head has more fields."""
    return head(1, BLOCK + encode_all(*more)) + data(1, MESSAGE)


def but(**changed: bytes | None) -> bytes:
    """A call with another pseudo-field, or without it."""
    fields = FIELDS | {b":" + name.encode(): value for name, value in changed.items()}
    return head(1, encode_all(*[(k, v) for k, v in fields.items() if v is not None])) + data(1, MESSAGE)


MALFORMED = {
    "upper-case name": asked((b"X-Up", b"1")),
    "CR in a value": asked((b"x", b"a\rb")),
    "LF in a value": asked((b"x", b"a\nb")),
    "NUL in a value": asked((b"x", b"a\0b")),
    "colon in a name": asked((b"x:y", b"a")),
    "empty name": asked((b"", b"a")),
    "space in a name": asked((b"x y", b"a")),
    "connection": asked((b"connection", b"close")),
    "transfer-encoding": asked((b"transfer-encoding", b"chunked")),
    "upgrade": asked((b"upgrade", b"h2c")),
    "te: gzip": head(1, BLOCK.replace(encode(b"te", b"trailers"), encode(b"te", b"gzip"))) + data(1, MESSAGE),
    "pseudo-field after others": head(1, encode(b"x", b"1") + BLOCK) + data(1, MESSAGE),
    "two paths": head(1, encode(b":path", b"/a") + BLOCK) + data(1, MESSAGE),
    "no path": but(path=None),
    "empty path": but(path=b""),
    "relative path": but(path=b"a/b"),
    "a request within a path": but(path=b"/a b\r\nX: y"),
    "a request within an authority": but(authority=b"a\r\nb"),
    "scheme with a space": but(scheme=b"ht tp"),
    "scheme with an authority": but(scheme=b"http://evil/"),
    "method with a path": but(method=b"GET /x HTTP/1.1"),
    "CONNECT": head(1, encode_all((b":method", b"CONNECT"), (b":authority", b"evil:80"))),
    "extended CONNECT": head(1, encode(b":protocol", b"websocket") + BLOCK) + data(1, MESSAGE),
    "an answer's field": head(1, encode(b":status", b"200") + BLOCK) + data(1, MESSAGE),
    "unknown pseudo-field": head(1, encode(b":foo", b"1") + BLOCK) + data(1, MESSAGE),
    "pseudo-field in trailers": head(1) + data(1, MESSAGE, end=False) + head(1, encode(b":path", b"/"), end=True),
    "trailers that do not end": head(1) + data(1, MESSAGE, end=False) + head(1, encode(b"x", b"1")),
    "two heads": head(1) + head(1),
    "length too small": asked((b"content-length", b"3")),
    "length too large": asked((b"content-length", b"300")),
    "two lengths": asked(*[(b"content-length", b"%d" % len(MESSAGE))] * 2),
    "length with a sign": asked((b"content-length", b"+%d" % len(MESSAGE))),
    "length in other digits": asked((b"content-length", "²".encode())),
    "window of nothing": head(1) + frames.frame(frames.WINDOW_UPDATE, 0, 1, bytes(4)),
}

BREAKING = {
    "even stream": (call(2, "m"), ErrorCode.PROTOCOL_ERROR),
    "stream 0": (head(0), ErrorCode.PROTOCOL_ERROR),
    "data before a head": (data(1, MESSAGE), ErrorCode.PROTOCOL_ERROR),
    "reset of no stream": (frames.rst_stream(7, ErrorCode.CANCEL), ErrorCode.PROTOCOL_ERROR),
    "connection's window too large": (frames.window_update(0, 0x7FFFFFFF) * 2, ErrorCode.FLOW_CONTROL_ERROR),
    "first window too large": (frames.settings((4, 0x80000000)), ErrorCode.FLOW_CONTROL_ERROR),
    "frames of one byte": (frames.settings((5, 1)), ErrorCode.PROTOCOL_ERROR),
    "push of 2": (frames.settings((2, 2)), ErrorCode.PROTOCOL_ERROR),
    "settings of 5 bytes": (frames.frame(frames.SETTINGS, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),
    "settings on a stream": (frames.frame(frames.SETTINGS, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
    "frame too large": (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01" + bytes(16385), ErrorCode.FRAME_SIZE_ERROR),
    "push from a client": (frames.frame(5, 4, 1, b"\0\0\0\2" + BLOCK), ErrorCode.PROTOCOL_ERROR),
    "ping of 7 bytes": (frames.frame(frames.PING, 0, 0, b"1234567"), ErrorCode.FRAME_SIZE_ERROR),
    "stream that depends on itself": (frames.frame(2, 0, 3, b"\0\0\0\3\1"), ErrorCode.PROTOCOL_ERROR),
    "padding beyond its frame": (frames.frame(1, 12, 1, b"\xff" + BLOCK), ErrorCode.PROTOCOL_ERROR),
    "ping within a head": (
        frames.frame(1, 0, 1, BLOCK[:10]) + frames.frame(frames.PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "head that goes on elsewhere": (
        frames.frame(1, 0, 1, BLOCK[:10]) + frames.frame(9, 4, 3, BLOCK[10:]),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "continuation of nothing": (frames.frame(9, 4, 1, BLOCK), ErrorCode.PROTOCOL_ERROR),
    "index 0": (head(1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
    "index of nothing": (head(1, BLOCK + b"\xff\xff\xff\xff\x0f"), ErrorCode.COMPRESSION_ERROR),
    "endless integer": (head(1, BLOCK + b"\x7f" + b"\xff" * 12), ErrorCode.COMPRESSION_ERROR),
    "half a field": (head(1, BLOCK + b"\x00\x05ab"), ErrorCode.COMPRESSION_ERROR),
    "end of string within one": (head(1, BLOCK + b"\x00\x01x\x84\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
    "table's size after a field": (head(1, BLOCK + b"\x20"), ErrorCode.COMPRESSION_ERROR),
    "table of a gigabyte": (head(1, b"\x3f\xff\xff\xff\xff\x03" + BLOCK), ErrorCode.COMPRESSION_ERROR),
}

REFUSED = {
    "two messages": (head(1) + data(1, MESSAGE * 2), b"3"),
    "no message": (head(1, end=True), b"3"),
    "a length that lies": (head(1) + data(1, b"\0\xff\xff\xff\xff" + MESSAGE[5:]), b"3"),
    "compressed with nothing": (head(1) + data(1, b"\1" + MESSAGE[1:]), b"13"),
    "a deadline below 0": (asked((b"grpc-timeout", b"-1S")), b"3"),
    "a version that is not there": (asked((b"x-turnout-version", b"v9")), b"5"),
    "a head of 70 KB": (but(path=b"/" + b"a" * 70_000), b"8"),
    "channelz": (but(path=b"/grpc.channelz.v1.Channelz/GetServers"), b"12"),
    "another configuration": (but(path=b"/tensorflow.serving.ModelService/HandleReloadConfigRequest"), b"7"),
}
"""Whole calls that make no sense, with the status that they get."""

ANSWERED = {
    "as it should be": asked(),
    "table of no bound": frames.settings((1, 0xFFFFFFFF)) + asked(),
    "going away": frames.goaway(0, ErrorCode.NO_ERROR) + asked(),
    "padded data": head(1) + frames.frame(frames.DATA, 9, 1, b"\x05" + MESSAGE + bytes(5)),
    "frame of no known type": frames.frame(0xBE, 0xFF, 0x7FFFFFFF, b"x" * 100) + asked(),
    "reserved bit": head(1)[:5] + b"\x80" + head(1)[6:] + data(1, MESSAGE),
    "trailers": head(1) + data(1, MESSAGE, end=False) + head(1, encode(b"x-turnout-version", b"v9"), end=True),
    "another host": asked((b"host", b"evil")),
    "what looks like ours": asked((b"x_turnout_assignment", b"default/m=v7")),
    "the longest deadline": asked((b"grpc-timeout", b"99999999H")),
    "an expectation": asked((b"expect", b"100-continue")),
}


class Came(NamedTuple):
    resets: dict[int, ErrorCode]
    statuses: dict[int, bytes]
    """gRPC's, by stream."""
    goaway: ErrorCode | None


def exchanged(address: tuple[str, int], sent: bytes, until: int | None) -> Came:
    """What comes back: until that stream is answered, or to the connection's end."""
    resets: dict[int, ErrorCode] = {}
    statuses: dict[int, bytes] = {}
    goaway, decoder, buffer = None, Decoder(), b""
    with socket.create_connection(address, 30) as connection:
        connection.sendall(frames.PREFACE + frames.settings() + frames.frame(frames.SETTINGS, 1, 0, b"") + sent)
        while until not in statuses:
            more = connection.recv(1 << 16)
            if not more:
                break
            buffer += more
            while len(buffer) >= 9 and len(buffer) >= 9 + (size := int.from_bytes(buffer[:3], "big")):
                kind, stream, payload = buffer[3], int.from_bytes(buffer[5:9], "big"), buffer[9 : 9 + size]
                buffer = buffer[9 + size :]
                if kind == frames.HEADERS:
                    fields = dict(decoder.decode(payload, raw=True))
                    if b"grpc-status" in fields:
                        statuses[stream] = bytes(fields[b"grpc-status"])
                elif kind == frames.RST_STREAM:
                    resets[stream] = ErrorCode(int.from_bytes(payload, "big"))
                elif kind == frames.GOAWAY:
                    goaway = ErrorCode(int.from_bytes(payload[4:8], "big"))
    return Came(resets, statuses, goaway)


@pytest.fixture
def server(grpc_servers: Callable[..., GrpcServer]) -> GrpcServer:
    return grpc_servers(answering(b"ok"))


@pytest.fixture
def address(start_gateway: Callable[..., Gateway], server: GrpcServer) -> tuple[str, int]:
    return start_gateway(table(v1=[server])).address


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_ends_its_stream_alone(address: tuple[str, int], server: GrpcServer, name: str) -> None:
    came = exchanged(address, MALFORMED[name] + call(LAST, "m"), LAST)
    assert came == Came({1: ErrorCode.PROTOCOL_ERROR}, {LAST: b"0"}, None)
    assert len(server.calls) == 1


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_the_rules_ends_the_connection(address: tuple[str, int], server: GrpcServer, name: str) -> None:
    sent, code = BREAKING[name]
    assert exchanged(address, sent + call(LAST, "m"), None) == Came({}, {}, code)
    assert server.calls == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_told_so(address: tuple[str, int], server: GrpcServer, name: str) -> None:
    sent, status = REFUSED[name]
    came = exchanged(address, sent + call(LAST, "m"), LAST)
    assert came.statuses == {1: status, LAST: b"0"}
    assert set(came.resets.values()) <= {ErrorCode.NO_ERROR}
    assert len(server.calls) == 1


@pytest.mark.parametrize("name", ANSWERED)
def test_what_is_only_odd_is_answered(address: tuple[str, int], server: GrpcServer, name: str) -> None:
    assert exchanged(address, ANSWERED[name], 1) == Came({}, {1: b"0"}, None)
    assert server.calls[0].metadata.keys() <= {name.decode() for name in FIELDS} | {
        "grpc-timeout",
        "x-request-id",
        "expect",
    }


def test_a_stream_that_has_ended_is_not_begun_again(address: tuple[str, int], server: GrpcServer) -> None:
    for again in (data(1, MESSAGE), call(1, "m")):
        came = exchanged(address, call(1, "m") + again + call(LAST, "m"), LAST)
        assert came.resets == {1: ErrorCode.STREAM_CLOSED}
        assert came.statuses[LAST] == b"0"
    came = exchanged(address, call(5, "m") + call(3, "m"), None)
    assert came.goaway == ErrorCode.PROTOCOL_ERROR
