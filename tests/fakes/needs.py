"""What a test needs of the machine and may lack."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Leave the test out, and say why; in CI, where everything has to be there, it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def needed(program: str, how: str) -> None:
    """`program` has to be on PATH; `how` says how to get it."""
    if shutil.which(program) is None:
        lacking(f"{program} is not on PATH: {how}")
