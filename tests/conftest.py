"""What tests of several folders share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.shared import made_once

# A shell's background job ignores SIGINT, and so would all that the tests start, and then send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What takes long on a busy machine is not wrong for it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent


def pytest_xdist_auto_num_workers() -> int:
    """Tests wait more than they compute."""
    return min(2 * (os.cpu_count() or 1), 16)


@pytest.fixture(scope="session")
def demo_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `examples/demo/train.py` fills: digits.npz, models/digits/{1,2}, models/digits-seldon/{v1,v2},
    models/digits-oip/{v1,v2}.pickle, models/digits-triton/{1,2}."""

    def train(folder: Path) -> None:
        program = ROOT / "examples" / "demo" / "train.py"
        subprocess.run([sys.executable, program, folder], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)

    return made_once(tmp_path_factory, "demo", train)
