"""The messages that clients may send wrong, and what comes back; what is odd but right goes through."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest

from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from protos.tfs_pb2 import PredictRequest, TensorProto
from tests.fakes.gateway import Gateway
from tests.fakes.grpc_client import PREDICT, SELDON_PREDICT, GrpcClient, field, predict, spec
from tests.fakes.grpc_servers import GrpcServer

SPEC = spec("m").SerializeToString()
INPUTS = PredictRequest(inputs={"x": TensorProto(float_val=[1, 2])}).SerializeToString()


@pytest.mark.parametrize(
    ("message", "version"),
    [
        (predict(version=1), "v1"),
        (predict(version=2), "v2"),
        (predict(label="stable"), "v1"),
        (predict(label="canary"), "v2"),
        (INPUTS + field(1, spec("m", 2).SerializeToString()), "v2"),  # model_spec after the inputs
        (b"\x98\x06\x01" + field(1, spec("m", 2).SerializeToString()), "v2"),  # after a field that nobody knows
    ],
)
def test_pins(client: GrpcClient, gateway: Gateway, message: bytes, version: str) -> None:
    answer = client.call(PREDICT, message)
    assert (answer.code, answer.version) == (Code.OK, version)
    assert gateway.outcomes(version, assignment="pin") == {"success": 1}


@pytest.mark.parametrize(
    ("message", "code", "error", "reason"),
    [
        (predict("nobody"), Code.NOT_FOUND, "no deployment nobody", "unknown_deployment"),
        (predict(version=7), Code.NOT_FOUND, "Could not find version 7 of model m; known: 1, 2", "unknown_version"),
        (predict(label="best"), Code.INVALID_ARGUMENT, "Unrecognized servable version label: best", "unknown_label"),
        (predict("s"), Code.UNIMPLEMENTED, "default/s speaks Seldon's protocols", "other_protocol"),
        (predict(""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified.", "malformed_message"),
        (INPUTS, Code.INVALID_ARGUMENT, "Missing ModelSpec", "malformed_message"),
        (b"", Code.INVALID_ARGUMENT, "Missing ModelSpec", "malformed_message"),
        (field(1, SPEC) * 2, Code.INVALID_ARGUMENT, "model_spec appears twice", "malformed_message"),
        (field(1, SPEC) + INPUTS + field(1, SPEC), Code.INVALID_ARGUMENT, "twice", "malformed_message"),
        (b"\x0a\x7f", Code.INVALID_ARGUMENT, "", "malformed_message"),  # a field longer than the message
        (field(1, b"\x0a\x7f"), Code.INVALID_ARGUMENT, "no ModelSpec message", "malformed_message"),
        (b"\xff" * 20, Code.INVALID_ARGUMENT, "", "malformed_message"),
    ],
)
def test_messages_that_name_no_version(
    client: GrpcClient, gateway: Gateway, message: bytes, code: Code, error: str, reason: str
) -> None:
    answer = client.call(PREDICT, message)
    assert answer.code == code
    assert error in answer.error
    assert answer.version is None
    assert gateway.refusals() == {("tfserving-grpc", reason): 1}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "there is none"),
        (b"\0\0\0", "it is cut off"),
        (frame(predict())[:-1], "its prefix says"),
        (frame(predict()) + b"!", "its prefix says"),
        (frame(predict()) * 2, "exactly one message"),
        (b"\7" + frame(predict())[1:], "its first byte is 7"),
    ],
)
def test_bodies_that_are_not_one_message(client: GrpcClient, gateway: Gateway, body: bytes, error: str) -> None:
    stream = client.open(PREDICT)
    client.data(stream, body, end=True)
    answer = client.answer(stream)
    assert answer.code == Code.INVALID_ARGUMENT
    assert error in answer.error
    assert gateway.refusals() == {("tfserving-grpc", "malformed_message"): 1}


def test_no_body_at_all(client: GrpcClient, gateway: Gateway) -> None:
    answer = client.answer(client.open(PREDICT, end=True))
    assert (answer.code, answer.error) == (Code.INVALID_ARGUMENT, "the request has no message")
    assert gateway.refusals() == {("tfserving-grpc", "malformed_message"): 1}


def test_message_in_many_pieces(client: GrpcClient, v1: GrpcServer) -> None:
    body = frame(predict(size=300))
    stream = client.open(PREDICT)
    for byte in body:
        client.data(stream, bytes([byte]))
    client.data(stream, b"", end=True)
    assert client.answer(stream).message == b"one"
    assert v1.calls[0].body == body


@pytest.mark.parametrize("size", [5_000, 500_000])
@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_known_compression_is_forwarded_as_it_came(
    client: GrpcClient, v2: GrpcServer, encoding: str, compress: Callable[[bytes], bytes], size: int
) -> None:
    message = compress(predict(label="canary", size=size))
    body = b"\1" + frame(message)[1:]
    stream = client.open(PREDICT, {"grpc-encoding": encoding})
    client.data(stream, body, end=True)
    assert client.answer(stream).version == "v2"
    assert v2.calls[0].body == body
    assert v2.calls[0].metadata["grpc-encoding"] == encoding


@pytest.mark.parametrize(
    ("message", "encoding", "code", "reason"),
    [
        (b"?", "br", Code.UNIMPLEMENTED, "unknown_encoding"),
        (b"?", "gzip", Code.INVALID_ARGUMENT, "malformed_message"),
        (gzip.compress(predict(), mtime=0)[:-9], "gzip", Code.INVALID_ARGUMENT, "malformed_message"),
        (
            gzip.compress(bytes([18, 255, 255, 3]) + bytes(65_535) + predict()),
            "gzip",
            Code.INVALID_ARGUMENT,
            "malformed_message",
        ),
        (b"?", "identity", Code.INTERNAL, "malformed_message"),
    ],
)
def test_compression_that_can_not_be_read(
    client: GrpcClient, gateway: Gateway, message: bytes, encoding: str, code: Code, reason: str
) -> None:
    stream = client.open(PREDICT, {"grpc-encoding": encoding})
    client.data(stream, b"\1" + frame(message)[1:], end=True)
    answer = client.answer(stream)
    assert answer.code == code
    known = "identity,deflate,gzip" if reason == "unknown_encoding" else None
    assert (answer.trailers or {}).get("grpc-accept-encoding") == known
    assert gateway.refusals() == {("tfserving-grpc", reason): 1}


def test_seldon_needs_no_message_to_be_routed(client: GrpcClient, v1: GrpcServer) -> None:
    body = b"\1" + frame(b"in a form that only the server knows")[1:]
    stream = client.open(SELDON_PREDICT, {"seldon": "s", "namespace": "default", "grpc-encoding": "br"})
    client.data(stream, body, end=True)
    assert client.answer(stream).message == b"one"
    assert v1.calls[0].body == body
