"""Triton's client, in the environment of MLServer, which needs it too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from deployer.local import environments

PROGRAM = Path(__file__).parents[1] / "e2e" / "programs" / "oip_calls.py"
GATEWAYS = ("server metadata", "load", "infer no model")
"""Questions that a gateway answers otherwise than a server does."""


def asked(
    transport: str, address: str, name: str, *versions: str, streams: bool = False, **headers: str
) -> dict[str, Any]:
    """What Triton's client is answered of the model `name`, by question and version. `streams`: asked for too, which
    MLServer never answers where its model has no stream of its own."""
    fields = {field.replace("_", "-"): value for field, value in headers.items()}
    arguments = [transport, address, name, json.dumps(versions), json.dumps(fields), json.dumps(streams)]
    command = [str(environments.python("oip")), "-I", str(PROGRAM), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers
