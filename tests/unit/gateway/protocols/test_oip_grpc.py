"""The deployment and the pin in each of the Open Inference Protocol's request messages, and in Seldon's metadata."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import registry
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin
from protos.oip_pb2 import ModelInferRequest, ModelMetadataRequest, ModelReadyRequest

SERVICE = b"/inference.GRPCInferenceService/"
INFER = SERVICE + b"ModelInfer"


def address(path: bytes, message: bytes | None, **metadata: bytes) -> registry.Address:
    fields = {name.encode(): value for name, value in metadata.items()}
    return registry.grpc(path).address(path, fields, message)


def field(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


@pytest.mark.parametrize(
    ("method", "message", "label"),
    [
        (b"ModelInfer", ModelInferRequest(model_name="d", model_version="v2"), "infer"),
        (b"ModelReady", ModelReadyRequest(name="d", version="v2"), "ready"),
        (b"ModelMetadata", ModelMetadataRequest(name="d", version="v2"), "metadata"),
    ],
)
def test_methods_of_a_model(
    method: bytes, message: ModelInferRequest | ModelReadyRequest | ModelMetadataRequest, label: str
) -> None:
    path = SERVICE + method
    assert registry.grpc(path).needs_message(path)
    wanted = registry.Address("oip-grpc", None, "d", Pin("version", "v2"), path, label, True)
    assert address(path, message.SerializeToString()) == wanted


@pytest.mark.parametrize(
    ("method", "label"),
    [(b"ServerLive", "server_live"), (b"ServerReady", "server_ready"), (b"ServerMetadata", "server_metadata")],
)
def test_methods_of_a_server(method: bytes, label: str) -> None:
    path = SERVICE + method
    assert not registry.grpc(path).needs_message(path)
    assert address(path, None) == registry.Address("oip-grpc", None, "", None, path, label, True)
    assert address(path, None, seldon=b"d", namespace=b"ns").name == "d"


@pytest.mark.parametrize(
    ("metadata", "namespace", "name"),
    [
        ({}, None, "model"),
        ({"seldon": b"d", "namespace": b"ns"}, "ns", "d"),
        ({"seldon": b"d"}, None, "d"),
        ({"namespace": b"ns"}, None, "model"),  # anybody's: without the other it is not Seldon's
    ],
)
def test_seldons_metadata(metadata: dict[str, bytes], namespace: str | None, name: str) -> None:
    found = address(INFER, field(1, b"model") + field(2, b"v2"), **metadata)
    assert (found.namespace, found.name, found.pin) == (namespace, name, Pin("version", "v2"))


@pytest.mark.parametrize(
    ("message", "pin"),
    [
        (field(1, b"d"), None),
        (field(1, b"d") + field(2, b""), None),
        (field(2, b"2") + field(1, b"d"), Pin("version", "2")),
        (field(5, field(1, b"x")) * 3 + field(2, b"v2") + field(7, b"\0" * 9) + field(1, b"d"), Pin("version", "v2")),
        (field(1, b"d") + b"\x10\x01", None),  # field 2, but a number
    ],
)
def test_pins(message: bytes, pin: Pin | None) -> None:
    found = address(INFER, message)
    assert (found.name, found.pin) == ("d", pin)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"", "the request names no model"),
        (None, "the request names no model"),
        (field(1, b""), "the request names no model"),
        (field(2, b"v2"), "the request names no model"),
        (b"\x08\x01", "the request names no model"),  # field 1, but a number
        (field(1, b"d") + field(5, b"") + field(1, b"d"), "the model's name appears twice"),
        (field(1, b"d") + field(2, b"v1") + field(2, b"v2"), "the model's version appears twice"),
        (field(1, b"\xff"), "\\xff, which should name a model or its version, is not UTF-8"),
        (field(1, b"d") + field(2, b"\xff"), "\\xff, which should name a model or its version, is not UTF-8"),
        (field(1, b"d")[:-1], "The request is no protobuf message: it is cut off"),
    ],
)
def test_messages_that_name_no_model(message: bytes | None, error: str) -> None:
    with pytest.raises(Refusal) as caught:
        address(INFER, message)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == error


def test_a_long_name_is_found_too() -> None:
    assert address(INFER, ModelInferRequest(model_name="d" * 5000).SerializeToString()).name == "d" * 5000


@pytest.mark.parametrize(
    ("path", "code", "error"),
    [
        (SERVICE + b"ModelStatistics", Code.UNIMPLEMENTED, "known: /inference.GRPCInferenceService/ModelInfer, "),
        (b"/inference.\xff", Code.UNIMPLEMENTED, "known: "),
        (SERVICE + b"RepositoryModelLoad", Code.PERMISSION_DENIED, "ModelDeployment"),
        (
            b"/inference.model_repository.ModelRepositoryService/RepositoryModelUnload",
            Code.PERMISSION_DENIED,
            "ModelDeployment",
        ),
    ],
)
def test_methods_that_are_refused(path: bytes, code: Code, error: str) -> None:
    assert not registry.grpc(path).needs_message(path)
    with pytest.raises(Refusal, match=error) as caught:
        address(path, None)
    assert caught.value.code is code


@given(
    st.text(max_size=20),
    st.text(max_size=20),
    st.lists(st.binary(max_size=400), max_size=4),
    st.randoms(),
)
def test_equal_to_protobufs_own_parse(name: str, version: str, tensors: list[bytes], order: random.Random) -> None:
    parts = [
        ModelInferRequest(model_name=name).SerializeToString(),
        ModelInferRequest(model_version=version).SerializeToString(),
    ]
    for content in tensors:
        tensor = ModelInferRequest.InferInputTensor(name="x", shape=[len(content)])
        parts.append(ModelInferRequest(inputs=[tensor], raw_input_contents=[content]).SerializeToString())
    order.shuffle(parts)
    message = b"".join(parts)
    wanted = ModelInferRequest.FromString(message)
    if not wanted.model_name:
        with pytest.raises(Refusal, match="no model"):
            address(INFER, message)
        return
    found = address(INFER, message)
    assert found.name == wanted.model_name
    assert found.pin == (Pin("version", wanted.model_version) if wanted.model_version else None)


@given(st.sampled_from([INFER, SERVICE + b"ModelReady", SERVICE + b"ServerLive", SERVICE]), st.binary(max_size=100))
def test_nothing_but_a_refusal_is_raised(path: bytes, message: bytes) -> None:
    for tried in (message, field(1, message), field(1, b"d") + field(2, message)):
        error = ""
        try:
            address(path, tried, seldon=message)
        except Refusal as refusal:
            error = refusal.message
        assert error.isprintable()
