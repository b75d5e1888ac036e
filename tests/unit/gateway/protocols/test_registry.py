"""What the headers add to an address, and which protocol a path belongs to."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import registry
from gateway.protocols.registry import Address, with_headers
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin

DIGITS = Address("tfserving-grpc", None, "digits", None, b"/x", "predict", True)
VISION = Address("seldon-rest", "vision", "digits", None, b"/x", "predict", True)
NAMELESS = Address("seldon-rest", None, "", None, b"/x", "predict", True)


@pytest.mark.parametrize(
    ("address", "deployment", "version", "wanted"),
    [
        (DIGITS, None, None, DIGITS),
        (DIGITS, b"digits", None, DIGITS),
        (DIGITS, b"vision/digits", None, DIGITS._replace(namespace="vision")),
        (DIGITS, None, b"v2", DIGITS._replace(pin=Pin("name", "v2"))),
        (VISION, b"vision/digits", None, VISION),
        (VISION, b"digits", None, VISION),
        (NAMELESS, b"digits", None, NAMELESS._replace(name="digits")),
        (NAMELESS, b"vision/digits", b"v1", VISION._replace(pin=Pin("name", "v1"))),
    ],
)
def test_headers_complete_the_address(
    address: Address, deployment: bytes | None, version: bytes | None, wanted: Address
) -> None:
    assert with_headers(address, deployment, version) == wanted


@pytest.mark.parametrize(
    ("address", "deployment", "version", "message"),
    [
        (DIGITS, b"letters", None, "x-turnout-deployment says letters, the request says digits: they must agree"),
        (VISION, b"other/digits", None, "says other/digits, the request says vision/digits"),
        (DIGITS, b"", None, "x-turnout-deployment: '' is not"),
        (DIGITS, b"a/b/c", None, "x-turnout-deployment: 'a/b/c' is not"),
        (DIGITS, b"/digits", None, "x-turnout-deployment: '/digits' is not"),
        (DIGITS, b"d\xc3\xa9", None, "is not"),
        (DIGITS, None, b"", "x-turnout-version: '' is not the name of a version"),
        (DIGITS, None, b"v 2", "x-turnout-version: 'v 2' is not the name of a version"),
        (DIGITS._replace(pin=Pin("label", "canary")), None, b"v2", "pins label canary already"),
        (NAMELESS, None, None, "names no deployment: send it to /seldon/<namespace>/<deployment>/"),
        (NAMELESS._replace(protocol="seldon-grpc"), None, b"v2", "send the metadata seldon: <deployment>"),
    ],
)
def test_headers_that_do_not_fit(
    address: Address, deployment: bytes | None, version: bytes | None, message: str
) -> None:
    with pytest.raises(Refusal) as caught:
        with_headers(address, deployment, version)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert message in caught.value.message


@given(
    st.sampled_from([DIGITS, VISION, NAMELESS]),
    st.none() | st.binary(max_size=600),
    st.none() | st.binary(max_size=600),
)
def test_nothing_but_a_refusal_is_raised(address: Address, deployment: bytes | None, version: bytes | None) -> None:
    message = ""
    try:
        with_headers(address, deployment, version)
    except Refusal as refusal:
        message = refusal.message
    assert message.isprintable()
    assert len(message) < 1500


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/v1/models/d:predict", "tfserving-rest"),
        (b"/V1/MODELS/d", "tfserving-rest"),
        (b"/seldon/ns/d/v1/models/d:predict", "tfserving-rest"),
        (b"/seldon/ns/d/v1/models", "tfserving-rest"),
        (b"/seldon/ns/d/api/v1.0/predictions", "seldon-rest"),
        (b"/seldon/ns/d/api/v1.0/predictions?/v1/models/", "seldon-rest"),
        (b"/api/v0.1/predictions", "seldon-rest"),
        (b"/", "unknown"),
        (b"*", "unknown"),
        (b"", "unknown"),
        (b"/v2/models/d/infer", "oip-rest"),
        (b"/v2", "oip-rest"),
        (b"/v2?x", "oip-rest"),
        (b"/v2/", "oip-rest"),
        (b"/v20", "unknown"),
        (b"/seldon/ns/d/v2/models/d/infer", "oip-rest"),
        (b"/seldon/d/v2/models/d", "oip-rest"),
        (b"/seldon/ns/d/v2/health/ready?x", "oip-rest"),
        (b"/seldon/ns/d/v2", "oip-rest"),
        (b"/seldon/ns/v2/v2/models/d", "oip-rest"),
        (b"/seldon/ns/v2/v1/models/d", "tfserving-rest"),
        (b"/seldon/ns/v2/api/v1.0/predictions", "seldon-rest"),
        (b"/seldon/ns/v2/health/status", "seldon-rest"),
        (b"/seldon/ns/v2/metadata", "seldon-rest"),
        (b"/metrics", "unknown"),
    ],
)
def test_protocol_of_a_target(target: bytes, name: str) -> None:
    assert registry.rest(target).name == name
    assert name in registry.NAMES


def test_a_path_of_no_protocol_is_told_the_known_ones() -> None:
    protocol = registry.rest(b"/nowhere")
    with pytest.raises(Refusal) as caught:
        protocol.address(b"GET", b"/nowhere")
    assert caught.value.status == 404
    kind, body = protocol.error(caught.value.code, caught.value.status, caught.value.message)
    assert kind == b"application/json"
    for path in ("/nowhere", "/v1/models/", "/seldon/"):
        assert path in json.loads(body)["error"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/tensorflow.serving.PredictionService/Predict", "tfserving-grpc"),
        (b"/seldon.protos.Seldon/Predict", "seldon-grpc"),
        (b"/seldon.protos.Model/Predict", "seldon-grpc"),
        (b"/inference.GRPCInferenceService/ModelInfer", "oip-grpc"),
        (b"/inference.model_repository.ModelRepositoryService/RepositoryModelLoad", "oip-grpc"),
        (b"/inferences.A/B", "unknown"),
        (b"", "unknown"),
    ],
)
def test_protocol_of_a_grpc_path(path: bytes, name: str) -> None:
    assert registry.grpc(path).name == name
    assert name in registry.NAMES


def test_a_grpc_path_of_no_protocol_is_told_the_known_services() -> None:
    protocol = registry.grpc(b"/a.B/C")
    assert not protocol.needs_message(b"/a.B/C")
    with pytest.raises(
        Refusal, match=r"/a\.B/C.*tensorflow\.serving\.PredictionService.*seldon\.protos\.Seldon"
    ) as caught:
        protocol.address(b"/a.B/C", {}, None)
    assert caught.value.code is Code.UNIMPLEMENTED
