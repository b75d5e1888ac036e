"""The Open Inference Protocol, as Triton takes it."""

from __future__ import annotations

import pytest

from deployer.errors import TurnoutError
from deployer.runtimes.triton.protocol import PROTOCOL


def test_rows_alone_are_no_prediction() -> None:
    with pytest.raises(TurnoutError, match="Triton takes inputs by name and type"):
        PROTOCOL.body([[1, 2]])


def test_the_rest_is_the_protocols() -> None:
    assert (PROTOCOL.name, PROTOCOL.path("lab", "digits")) == ("oip", "/v2/models/digits/infer")
