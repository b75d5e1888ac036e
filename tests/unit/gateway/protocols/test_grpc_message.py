"""One framed message, compressed or not; bodies that are none; and inflation that is bounded."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.grpc_message import _COPIED_BYTES, ACCEPT_ENCODING, frame, payload
from gateway.refusal import Code, Refusal

LIMIT = 1 << 20


def compressed(message: bytes) -> bytes:
    return b"\1" + frame(message)[1:]


@given(st.binary(max_size=2000))
def test_what_was_framed_comes_out(message: bytes) -> None:
    assert payload(frame(message), None, LIMIT) == message
    assert payload(frame(message), b"gzip", LIMIT) == message  # an encoding binds only where the flag is set
    assert payload(frame(message), b"snappy", LIMIT) == message
    assert payload(compressed(gzip.compress(message)), b"gzip", LIMIT) == message
    assert payload(compressed(zlib.compress(message)), b"deflate", LIMIT) == message


@pytest.mark.parametrize(
    ("body", "encoding", "code", "error"),
    [
        (b"", None, Code.INVALID_ARGUMENT, "there is none"),
        (b"\0\0\0\0", None, Code.INVALID_ARGUMENT, "cut off"),
        (frame(b"abc")[:-1], None, Code.INVALID_ARGUMENT, "says 3 bytes, but 2 follow"),
        (frame(b"abc") * 2, None, Code.INVALID_ARGUMENT, "exactly one message"),
        (frame(b"abc") + b"x", None, Code.INVALID_ARGUMENT, "says 3 bytes, but 4 follow"),
        (b"\2" + frame(b"abc")[1:], None, Code.INVALID_ARGUMENT, "first byte is 2"),
        (compressed(b"abc"), None, Code.INTERNAL, "Compressed-Flag"),
        (compressed(b"abc"), b"identity", Code.INTERNAL, "Compressed-Flag"),
        (compressed(b"abc"), b"snappy", Code.UNIMPLEMENTED, "'snappy' is not known here; known: identity,deflate,gzip"),
        (compressed(b"abc"), b"gzip", Code.INVALID_ARGUMENT, "does not inflate"),
        (compressed(b""), b"gzip", Code.INVALID_ARGUMENT, "cut off"),
        (compressed(gzip.compress(b"abc" * 99, mtime=0)[:-9]), b"gzip", Code.INVALID_ARGUMENT, "cut off"),
        (compressed(gzip.compress(b"abc", mtime=0) + b"x"), b"gzip", Code.INVALID_ARGUMENT, "something follows"),
        (compressed(zlib.compress(b"abc")), b"gzip", Code.INVALID_ARGUMENT, "does not inflate"),
    ],
)
def test_bodies_that_are_not_one_message(body: bytes, encoding: bytes | None, code: Code, error: str) -> None:
    with pytest.raises(Refusal, match=error) as caught:
        payload(body, encoding, LIMIT)
    assert caught.value.code is code


def test_the_encodings_that_are_told_are_those_that_are_known() -> None:
    assert ACCEPT_ENCODING.split(b",") == [b"identity", b"deflate", b"gzip"]
    for encoding in ACCEPT_ENCODING.split(b","):
        with pytest.raises(Refusal) as caught:
            payload(compressed(b"abc"), encoding, LIMIT)
        assert caught.value.code is not Code.UNIMPLEMENTED


@pytest.mark.parametrize(("compress", "encoding"), [(gzip.compress, b"gzip"), (zlib.compress, b"deflate")])
def test_a_bomb_is_refused_without_being_held(compress: object, encoding: bytes) -> None:
    bomb = compressed(compress(bytes(64 * LIMIT)))  # type: ignore[operator]
    tracemalloc.start()
    try:
        with pytest.raises(Refusal, match=f"inflates to more than {LIMIT} bytes") as caught:
            payload(bomb, encoding, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    finally:
        tracemalloc.stop()
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert len(payload(compressed(compress(bytes(LIMIT))), encoding, LIMIT)) == LIMIT  # type: ignore[operator]


@given(st.binary(max_size=100), st.sampled_from([None, b"", b"gzip", b"deflate", b"\xff"]))
def test_nothing_but_a_refusal_is_raised(body: bytes, encoding: bytes | None) -> None:
    for tried in (body, compressed(body)):
        message = ""
        try:
            payload(tried, encoding, LIMIT)
        except Refusal as refusal:
            message = refusal.message
        assert message.isprintable()


def test_a_large_message_is_not_copied() -> None:
    message = bytes(_COPIED_BYTES + 1)
    body = frame(message)
    found = payload(body, None, LIMIT)
    assert isinstance(found, memoryview)
    assert found.obj is body
    assert found == message
    assert isinstance(payload(frame(message[1:]), None, LIMIT), bytes)
