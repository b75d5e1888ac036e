"""What a request's header block says, where blocks begin alike: as if each were the first."""

from __future__ import annotations

import pytest

from gateway.downstream.grpc_request_head import RequestHead, read
from gateway.wire.http2.fields import Fields, encode, encode_all
from gateway.wire.http2.header_blocks import Decoder
from gateway.wire.limits import MAX_FIELDS

BEGIN = encode_all(
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/seldon.protos.Seldon/Predict"),
    (b":authority", b"gateway"),
    (b"content-type", b"application/grpc"),
)


def decoded(ends: list[bytes]) -> list[Fields]:
    """Blocks of one connection that begin alike, after the first two, by which their beginning is known."""
    decoder = Decoder(65_536, MAX_FIELDS)
    decoder.table_off()
    decoder.decode(b"\x20")
    both = [decoder.decode(BEGIN + end)[0] for end in (*ends[:1] * 2, *ends)][2:]
    assert all(fields.base is not None for fields in both)
    return both


def test_of_two_deadlines_the_first_counts() -> None:
    ends = [encode_all((b"grpc-timeout", first), (b"grpc-timeout", b"5m")) for first in (b"1S", b"2S", b"3S")]
    for fields, first in zip(decoded(ends), (b"1S", b"2S", b"3S"), strict=True):
        assert read(fields)[1] == RequestHead(fields).meta[b"grpc-timeout"] == first


def test_what_is_never_indexed_is_never_remembered() -> None:
    secrets = [encode(b"authorization", b"hunter2"), encode(b"x-key", b"hunter2", never_index=True)]
    for fields in decoded([encode(b"grpc-timeout", b"1S") + secret for secret in secrets]):
        head, _ = read(fields)
        assert b"hunter2" in head.onward
        assert fields.base is not None
        assert not fields.base.note


@pytest.mark.parametrize("sent", [(), ((b"te", b"trailers"),), ((b"te", b"gzip"),)])
def test_servers_are_asked_for_trailers_whatever_the_client_says(sent: tuple[tuple[bytes, bytes], ...]) -> None:
    fields, _ = Decoder(65_536, MAX_FIELDS).decode(BEGIN + encode_all(*sent))
    onward = RequestHead(fields).onward
    assert onward.count(encode(b"te", b"trailers")) == 1
    assert b"gzip" not in onward


@pytest.mark.parametrize(
    ("sent", "request_id"),
    [((b"a-1",), b"a-1"), ((b"two words",), b""), ((b"a", b"two words"), b"a"), ((), b"")],
)
def test_an_id_goes_on_where_it_is_fit_for_a_log(sent: tuple[bytes, ...], request_id: bytes) -> None:
    block = BEGIN + encode_all(*((b"x-request-id", value) for value in sent))
    head = RequestHead(Decoder(65_536, MAX_FIELDS).decode(block)[0])
    assert head.request_id == request_id
    assert (encode(b"x-request-id", request_id) in head.onward) is bool(request_id)
    assert b"two words" not in head.onward
