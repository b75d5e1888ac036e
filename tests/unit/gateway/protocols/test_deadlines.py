"""Deadlines as headers say them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import deadlines
from gateway.refusal import Code, Refusal


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600),
        (b"2M", 120),
        (b"3S", 3),
        (b"250m", 0.25),
        (b"250000u", 0.25),
        (b"99999999n", 0.099999999),
        (b"0S", 0),
        (b"00000001S", 1),
    ],
)
def test_from_grpc(value: bytes, seconds: float) -> None:
    assert deadlines.from_grpc(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", [b"", b"S", b"1", b"123456789S", b"-1S", b"1.5S", b" 1S", b"1s", b"1 S", b"1S\n", b"\xff"]
)
def test_malformed_grpc_timeouts(value: bytes) -> None:
    with pytest.raises(Refusal, match=r"^grpc-timeout: ") as caught:
        deadlines.from_grpc(value)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_from_milliseconds() -> None:
    assert deadlines.from_milliseconds(b"250") == 0.25
    assert deadlines.from_milliseconds(b"0") == 0


@pytest.mark.parametrize("value", [b"", b"1.5", b"-1", b"1s", b"+1", b"1_0", b"123456789", b"\xb2"])
def test_malformed_milliseconds(value: bytes) -> None:
    with pytest.raises(Refusal, match=r"^x-turnout-timeout-ms: ") as caught:
        deadlines.from_milliseconds(value)
    assert caught.value.code is Code.INVALID_ARGUMENT


@given(st.floats(-10, 1e12))
def test_to_grpc_is_legal_and_never_longer_than_what_is_left(seconds: float) -> None:
    value = deadlines.to_grpc(seconds)
    assert re.fullmatch(rb"[1-9][0-9]{0,7}[umS]", value)
    if 1e-6 <= seconds < 99_999_999:
        parsed = deadlines.from_grpc(value)
        assert parsed <= seconds * (1 + 1e-9)
        assert parsed >= seconds * 0.999 - 1e-6


@pytest.mark.parametrize(
    ("seconds", "value"),
    [
        (-1, b"1u"),
        (1e-7, b"1u"),
        (98.9999999, b"98999999u"),
        (99, b"99000m"),
        (99_998.9999, b"99998999m"),
        (99_999, b"99999S"),
        (1e12, b"99999999S"),
    ],
)
def test_to_grpc_takes_the_finest_unit_of_eight_digits(seconds: float, value: bytes) -> None:
    assert deadlines.to_grpc(seconds) == value
