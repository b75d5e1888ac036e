"""One framed message, compressed or not; bodies that are none; and inflation that is bounded."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.grpc_message import _COPIED_BYTES, ACCEPT_ENCODING, INFLATED_BYTES, frame, payload
from gateway.protocols.protobuf_scan import Beginning
from gateway.refusal import Code, Refusal


def compressed(message: bytes) -> bytes:
    return b"\1" + frame(message)[1:]


@given(st.binary(max_size=2000))
def test_what_was_framed_comes_out(message: bytes) -> None:
    assert payload(frame(message), None) == message
    assert payload(frame(message), b"gzip") == message  # an encoding binds only where the flag is set
    assert payload(frame(message), b"snappy") == message
    assert payload(compressed(gzip.compress(message)), b"gzip") == message
    assert payload(compressed(zlib.compress(message)), b"deflate") == message


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
        payload(body, encoding)
    assert caught.value.code is code


def test_the_encodings_that_are_told_are_those_that_are_known() -> None:
    assert ACCEPT_ENCODING.split(b",") == [b"identity", b"deflate", b"gzip"]
    for encoding in ACCEPT_ENCODING.split(b","):
        with pytest.raises(Refusal) as caught:
            payload(compressed(b"abc"), encoding)
        assert caught.value.code is not Code.UNIMPLEMENTED


@pytest.mark.parametrize(("compress", "encoding"), [(gzip.compress, b"gzip"), (zlib.compress, b"deflate")])
def test_of_a_bomb_the_beginning_is_inflated(compress: Callable[[bytes], bytes], encoding: bytes) -> None:
    bomb = compressed(compress(bytes(64 << 20)))
    tracemalloc.start()
    try:
        found = payload(bomb, encoding)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert isinstance(found, Beginning)
    assert len(found) == INFLATED_BYTES + 1
    whole = payload(compressed(compress(bytes(INFLATED_BYTES))), encoding)
    assert not isinstance(whole, Beginning)
    assert len(whole) == INFLATED_BYTES


@given(st.binary(max_size=100), st.sampled_from([None, b"", b"gzip", b"deflate", b"\xff"]))
def test_nothing_but_a_refusal_is_raised(body: bytes, encoding: bytes | None) -> None:
    for tried in (body, compressed(body)):
        message = ""
        try:
            payload(tried, encoding)
        except Refusal as refusal:
            message = refusal.message
        assert message.isprintable()


def test_a_large_message_is_not_copied() -> None:
    message = bytes(_COPIED_BYTES + 1)
    body = frame(message)
    found = payload(body, None)
    assert isinstance(found, memoryview)
    assert found.obj is body
    assert found == message
    assert isinstance(payload(frame(message[1:]), None), bytes)
