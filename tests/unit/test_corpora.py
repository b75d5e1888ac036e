"""What fuzzing found worth keeping, given again."""

from __future__ import annotations

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found_does_no_harm(target: str) -> None:
    inputs = corpus.read(target)
    assert inputs
    for data in inputs:
        TARGETS[target](data)
