"""The deployment and the pin in each of TensorFlow Serving's request messages."""

from __future__ import annotations

import random

import pytest
from google.protobuf.wrappers_pb2 import Int64Value
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import registry
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin
from protos.tfs_pb2 import ModelSpec, PredictRequest

PREDICTION = "/tensorflow.serving.PredictionService/"
PREDICT = PREDICTION.encode() + b"Predict"
MULTI_INFERENCE = PREDICTION.encode() + b"MultiInference"


def address(path: bytes, message: bytes | None) -> registry.Address:
    return registry.grpc(path).address(path, {}, message)


def field(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def spec(name: str = "digits", version: int | None = None, label: str | None = None) -> bytes:
    message = ModelSpec(name=name, signature_name="serving_default")
    if version is not None:
        message.version.value = version
    if label is not None:
        message.version_label = label
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("path", "label", "repeatable"),
    [
        (PREDICTION + "Predict", "predict", True),
        (PREDICTION + "Classify", "classify", True),
        (PREDICTION + "Regress", "regress", True),
        (PREDICTION + "GetModelMetadata", "metadata", True),
        ("/tensorflow.serving.ModelService/GetModelStatus", "status", True),
        ("/tensorflow.serving.SessionService/SessionRun", "session_run", False),
    ],
)
def test_methods(path: str, label: str, repeatable: bool) -> None:
    raw = path.encode()
    assert registry.grpc(raw).needs_message(raw)
    wanted = registry.Address("tfserving-grpc", None, "digits", None, raw, label, repeatable)
    assert address(raw, field(1, spec())) == wanted


@pytest.mark.parametrize(
    ("raw", "pin"),
    [
        (spec(), None),
        (spec(version=2), Pin("servable", "2")),
        (spec(version=0), Pin("servable", "0")),
        (spec(version=-(2**63)), Pin("servable", str(-(2**63)))),
        (spec(label="canary"), Pin("label", "canary")),
        (spec(label=""), Pin("label", "")),
        (spec(version=2) + spec(label="canary"), Pin("label", "canary")),  # the last of a oneof counts
    ],
)
def test_pins(raw: bytes, pin: Pin | None) -> None:
    assert address(PREDICT, field(1, raw)).pin == pin


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"", "Missing ModelSpec"),
        (None, "Missing ModelSpec"),
        (field(2, b"inputs"), "Missing ModelSpec"),
        (b"\x08\x01", "Missing ModelSpec"),  # field 1, but a number
        (field(1, spec()) + field(2, b"") + field(1, spec()), "model_spec appears twice"),
        (field(1, b""), "ModelSpec has no name specified."),
        (field(1, field(3, b"serving_default")), "ModelSpec has no name specified."),
        (field(1, b"\x0a\xff"), "model_spec is no ModelSpec message"),
        (field(1, field(1, b"\xff")), "model_spec is no ModelSpec message"),  # not UTF-8
        (field(1, spec())[:-1], "The request is no protobuf message: it is cut off"),
    ],
)
def test_messages_that_name_no_model(message: bytes | None, error: str) -> None:
    with pytest.raises(Refusal) as caught:
        address(PREDICT, message)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == error


def test_a_long_name_is_found_too() -> None:
    assert (
        address(PREDICT, PredictRequest(model_spec=ModelSpec(name="d" * 5000)).SerializeToString()).name == "d" * 5000
    )


def task(raw: bytes) -> bytes:
    return field(1, field(1, raw) + field(2, b"tensorflow/serving/classify"))


def test_multi_inference() -> None:
    other_signature = ModelSpec(name="digits", version=Int64Value(value=2), signature_name="other").SerializeToString()
    message = task(spec(version=2)) + field(2, b"input") + task(other_signature)
    assert address(MULTI_INFERENCE, message) == registry.Address(
        "tfserving-grpc", None, "digits", Pin("servable", "2"), MULTI_INFERENCE, "multi_inference", True
    )


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"", "no tasks"),
        (task(spec()) + task(spec("letters")), "the same model"),
        (task(spec()) + task(spec(version=2)), "the same version"),
        (task(spec()) + field(1, b""), "Missing ModelSpec"),
        (field(1, field(1, spec()) * 2), "appears twice"),
        (field(1, b"\x0a\x09x"), "cut off"),
        (task(spec()) * 2_000, "over 65536 bytes"),
    ],
)
def test_multi_inference_for_several_models(message: bytes, error: str) -> None:
    with pytest.raises(Refusal, match=error) as caught:
        address(MULTI_INFERENCE, message)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_servers_are_not_reconfigured_through_the_gateway() -> None:
    path = b"/tensorflow.serving.ModelService/HandleReloadConfigRequest"
    assert not registry.grpc(path).needs_message(path)
    with pytest.raises(Refusal, match="ModelDeployment") as caught:
        address(path, None)
    assert caught.value.code is Code.PERMISSION_DENIED


@pytest.mark.parametrize(
    "path", [PREDICT + b"Stream", b"/tensorflow.serving.PredictionService/", b"/tensorflow.serving.X/Predict"]
)
def test_an_unknown_method(path: bytes) -> None:
    assert not registry.grpc(path).needs_message(path)
    with pytest.raises(Refusal, match=r"known: /tensorflow\.serving\.PredictionService/Predict, ") as caught:
        address(path, None)
    assert caught.value.code is Code.UNIMPLEMENTED


specs = st.builds(
    lambda name, choice, signature: ModelSpec(name=name, signature_name=signature, **choice),
    st.text(max_size=20),
    st.one_of(
        st.just({}),
        st.integers(-(2**63), 2**63 - 1).map(lambda value: {"version": Int64Value(value=value)}),
        st.text(max_size=20).map(lambda value: {"version_label": value}),
    ),
    st.text(max_size=20),
)


@given(specs, st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=400)), max_size=4), st.randoms())
def test_equal_to_protobufs_own_parse(model: ModelSpec, tensors: list[tuple[str, bytes]], order: random.Random) -> None:
    parts = [PredictRequest(model_spec=model).SerializeToString()]
    for name, content in tensors:
        part = PredictRequest(output_filter=[name])
        part.inputs[name].tensor_content = content
        parts.append(part.SerializeToString())
    order.shuffle(parts)
    message = b"".join(parts)
    wanted = PredictRequest.FromString(message).model_spec
    if not wanted.name:
        with pytest.raises(Refusal, match="no name"):
            address(PREDICT, message)
        return
    found = address(PREDICT, message)
    pins = {
        None: None,
        "version": Pin("servable", str(wanted.version.value)),
        "version_label": Pin("label", wanted.version_label),
    }
    assert (found.name, found.pin) == (wanted.name, pins[wanted.WhichOneof("version_choice")])


@given(st.sampled_from([PREDICT, MULTI_INFERENCE, b"/tensorflow.serving.\xff"]), st.binary(max_size=100))
def test_nothing_but_a_refusal_is_raised(path: bytes, message: bytes) -> None:
    for tried in (message, field(1, message), field(1, field(1, message))):
        error = ""
        try:
            address(path, tried)
        except Refusal as refusal:
            error = refusal.message
        assert error.isprintable()
