"""The load: closed loops over REST (wrk) and over gRPC (programs/calls) that check every answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from loadtests import payloads, tools
from loadtests.processes import pinned

CONNECTIONS = {"rest": 32, "grpc": 4}
STREAMS = 8
"""Calls at once on each gRPC connection: 32 requests are under way in both protocols."""


class Load(NamedTuple):
    """What one run saw. `versions` counts answers by x-turnout-version ("" without one); latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    versions: dict[str, int]
    wrong: int
    errors: dict[str, int]


def run(protocol: str, port: int, folder: Path, seconds: int, cpus: Sequence[int]) -> Load:
    """Sends requests to 127.0.0.1 for so long. `folder` is what payloads.write filled.

    Raises:
        RuntimeError: the generator failed, did not end within its time, or got no answer at all.
    """
    command = _wrk(port, folder, seconds) if protocol == "rest" else _calls(port, folder, seconds)
    try:
        done = subprocess.run(pinned(command, cpus), capture_output=True, text=True, timeout=seconds + 60)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]} ran on {60} s after its {seconds} s: the proxy holds its calls") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise RuntimeError(f"{command[0]} failed ({done.returncode}): {done.stderr.strip() or done.stdout.strip()}")
    saw = json.loads(lines[-1])
    if not saw["requests"]:
        raise RuntimeError(f"no {protocol} request was answered on port {port}: {saw['errors']}")
    return Load(
        requests=saw["requests"],
        seconds=saw["seconds"],
        p50=saw["p50_us"] / 1000,
        p99=saw["p99_us"] / 1000,
        versions={version: count for version, count in saw["versions"].items() if count},
        wrong=saw["wrong"],
        errors={kind: count for kind, count in saw["errors"].items() if count},
    )


def _wrk(port: int, folder: Path, seconds: int) -> list[str]:
    url = f"http://127.0.0.1:{port}/v1/models/{payloads.MODEL}:predict"
    script = str(Path(__file__).with_name("predict.lua"))
    # One thread: it has one core.
    shape = ["-t", "1", "-c", str(CONNECTIONS["rest"]), "-d", f"{seconds}s", "--timeout", "10s"]
    return [tools.wrk(), *shape, "-s", script, url, "--", str(folder)]


def _calls(port: int, folder: Path, seconds: int) -> list[str]:
    shape = ["-connections", str(CONNECTIONS["grpc"]), "-streams", str(STREAMS), "-duration", f"{seconds}s"]
    return [str(tools.program("calls")), "-address", f"127.0.0.1:{port}", "-folder", str(folder), *shape]
