"""grpc.health.v1 as the gateway answers it. The bytes are those of health.proto: service = 1; status = 1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import health
from gateway.errors import Code, Refusal

CHECK = b"/grpc.health.v1.Health/Check"


@pytest.mark.parametrize("service", [b"", b"tensorflow.serving.PredictionService", b"seldon.protos.Seldon"])
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
    assert path.startswith(health.SERVICE)
    with pytest.raises(Refusal) as caught:
        health.answer(path, message, True)
    assert caught.value.code is code


@given(st.binary(max_size=50))
def test_nothing_but_a_refusal_is_raised(message: bytes) -> None:
    said = ""
    try:
        health.answer(CHECK, message, True)
    except Refusal as refusal:
        said = refusal.message
    assert said.isprintable()
