"""Health as the gateway answers it. The bytes are those of health.proto: service = 1; status = 1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import health, registry
from gateway.refusal import Code, Refusal

CHECK = b"/grpc.health.v1.Health/Check"


@pytest.mark.parametrize(
    "service",
    [b"", b"tensorflow.serving.PredictionService", b"seldon.protos.Seldon", b"inference.GRPCInferenceService"],
)
def test_check(service: bytes) -> None:
    message = bytes([0x0A, len(service)]) + service if service else b""
    assert health.answer(CHECK, message, True) == b"\x08\x01"
    assert health.answer(CHECK, message, False) == b"\x08\x02"


@pytest.mark.parametrize(
    ("path", "message", "code"),
    [
        (CHECK, b"\x0a\x03a.B", Code.NOT_FOUND),
        (CHECK, b"\x0a\x03a", Code.INVALID_ARGUMENT),
        (b"/grpc.health.v1.Health/Watch", b"", Code.UNIMPLEMENTED),
        (b"/grpc.health.v1.Health/\xff", b"", Code.UNIMPLEMENTED),
    ],
)
def test_refusals(path: bytes, message: bytes, code: Code) -> None:
    assert health.asked(path, {})
    with pytest.raises(Refusal) as caught:
        health.answer(path, message, True)
    assert caught.value.code is code


@given(st.binary(max_size=50))
def test_nothing_but_a_refusal_is_raised(message: bytes) -> None:
    error = ""
    try:
        health.answer(CHECK, message, True)
    except Refusal as refusal:
        error = refusal.message
    assert error.isprintable()


@pytest.mark.parametrize(
    ("name", "serving", "message"),
    [("Live", True, b"\x08\x01"), ("Live", False, b"\x08\x01"), ("Ready", True, b"\x08\x01"), ("Ready", False, b"")],
)
def test_open_inference_over_grpc(name: str, serving: bool, message: bytes) -> None:
    path = f"/inference.GRPCInferenceService/Server{name}".encode()
    assert health.asked(path, {})
    assert health.answer(path, b"", serving) == message


@pytest.mark.parametrize("fields", [{b"x-turnout-deployment": b"d"}, {b"seldon": b"d"}])
def test_a_servers_health_over_grpc(fields: dict[bytes, bytes]) -> None:
    assert not health.asked(b"/inference.GRPCInferenceService/ServerReady", fields)


@pytest.mark.parametrize(
    ("target", "serving", "status", "body"),
    [
        (b"/v2/health/live", True, 200, b'{"live": true}'),
        (b"/v2/health/live", False, 200, b'{"live": true}'),
        (b"/v2/health/ready", True, 200, b'{"ready": true}'),
        (b"/v2/health/ready?x", False, 503, b'{"ready": false}'),
    ],
)
def test_open_inference_over_rest(target: bytes, serving: bool, status: int, body: bytes) -> None:
    address = registry.rest(target).address(b"GET", target)
    assert health.asked_over_rest(address)
    assert health.rest_answer(address.method, serving) == (status, body)


@pytest.mark.parametrize("target", [b"/seldon/ns/d/v2/health/ready", b"/v2", b"/v2/models/d/ready"])
def test_what_is_for_a_server_over_rest(target: bytes) -> None:
    assert not health.asked_over_rest(registry.rest(target).address(b"GET", target))
