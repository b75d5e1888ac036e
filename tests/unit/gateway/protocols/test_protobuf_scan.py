"""The scan finds what google.protobuf's own parser finds, in any order of fields, and ends cleanly on any bytes."""

from __future__ import annotations

import itertools
import random

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.protocols.protobuf_scan import MAX_FIELDS, Beginning, values
from gateway.refusal import Code, Refusal
from protos.tfs_pb2 import BytesList, PredictRequest


def varint(value: int, pad: int = 0) -> bytes:
    """`value`, with `pad` bytes more than it needs."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    for byte in [value, *[0] * pad]:
        if out and out[-1] < 0x80:
            out[-1] |= 0x80
        out.append(byte)
    return bytes(out)


numbers = st.sampled_from([1, 2, 15, 16, 2047, 2**29 - 1])
fields = st.one_of(
    st.tuples(numbers, st.just(0), st.integers(0, 2**64 - 1).map(varint)),
    st.tuples(numbers, st.just(1), st.binary(min_size=8, max_size=8)),
    st.tuples(numbers, st.just(5), st.binary(min_size=4, max_size=4)),
    st.tuples(numbers, st.just(2), st.binary(max_size=200).map(lambda value: varint(len(value)) + value)),
    st.tuples(numbers, st.just(2), st.binary(max_size=20).map(lambda value: varint(len(value), pad=2) + value)),
).map(lambda field: varint(field[0] << 3 | field[1], pad=field[0] < 2**28 and field[0] % 2) + field[2])


@given(st.lists(fields, max_size=12).map(b"".join))
def test_equal_to_protobufs_own_parse(message: bytes) -> None:
    wanted = list(BytesList.FromString(message).value)  # BytesList is `repeated bytes value = 1`: any field 1 of type 2
    assert values(message, 1) == wanted
    assert values(memoryview(message), 1) == wanted


@given(st.lists(fields, min_size=1, max_size=4).map(b"".join), st.data())
def test_a_message_cut_off_is_refused_where_protobuf_refuses_it(message: bytes, data: st.DataObject) -> None:
    cut = message[: data.draw(st.integers(0, len(message) - 1))]
    try:
        wanted = list(BytesList.FromString(cut).value)
    except DecodeError:
        with pytest.raises(Refusal) as caught:
            values(cut, 1)
        assert caught.value.code is Code.INVALID_ARGUMENT
    else:
        assert values(cut, 1) == wanted


@given(st.binary(max_size=60))
@example(b"\x0a\x80\x80\x80\x80\x80\x00")
@example(b"\x8a\x80\x80\x80\x10\x00")
def test_on_any_bytes_it_is_at_least_as_strict_as_protobuf(message: bytes) -> None:
    try:
        found = values(message, 1)
    except Refusal:
        return
    assert found == list(BytesList.FromString(message).value)


def test_a_spec_is_found_before_between_and_after_the_inputs() -> None:
    request = PredictRequest()
    request.model_spec.name = "digits"
    for name in ("a", "b"):
        request.inputs[name].tensor_content = random.Random(name).randbytes(100_000)
    first = PredictRequest(model_spec=request.model_spec).SerializeToString()
    rest = [PredictRequest(inputs={name: tensor}).SerializeToString() for name, tensor in request.inputs.items()]
    for order in itertools.permutations([first, *rest]):
        assert values(b"".join(order), 1) == [request.model_spec.SerializeToString()]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0f", "wire type 7"),
        (b"\x02\x00", "field number"),
        (b"\xff\xff\xff\xff\x7f\x00", "field number"),
        (b"\x80" * 6, "too long"),
        (b"\x08" + b"\x80" * 11, "too long"),
        (b"\x0a" + b"\x80" * 5 + b"\x00", "too long"),
        (b"\x0a\xff\xff\xff\xff\x7f", "cut off"),
        (b"\x0a\x05abcd", "cut off"),
        (b"\x09" + b"\0" * 7, "cut off"),
        (b"\x0d" + b"\0" * 3, "cut off"),
        (b"\x1a\x00" * (MAX_FIELDS + 1), "more than"),
    ],
)
def test_malformed_messages(message: bytes, error: str) -> None:
    with pytest.raises(Refusal, match=error):
        values(message, 1)


def test_as_many_fields_as_allowed() -> None:
    assert values(b"\x1a\x00" * (MAX_FIELDS - 1) + b"\x0a\x01x", 1) == [b"x"]


def test_a_beginning_may_be_cut_off_anywhere() -> None:
    message = b"\x0a\x03abc" + b"\x12\x82\x01" + bytes(130) + b"\x1d\0\0\0\0" + b"\x0a\x01d"
    for end in range(len(message) + 1):
        found = values(Beginning(message[:end]), 1)
        assert found == [b"abc", b"d"][: (end >= 5) + (end == len(message))]
    with pytest.raises(Refusal, match="wire type 3"):
        values(Beginning(b"\x0b"), 1)
