"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from loadtests import tools


def facts() -> dict[str, str]:
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    module = (tools.PROGRAMS / "go.mod").read_text()
    grpc_go = re.search(r"google\.golang\.org/grpc (v\S+)", module)
    return {
        "processor": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "uvloop": importlib.metadata.version("uvloop"),
        "envoy": _first([str(tools.envoy()), "--version"], r"version: \S*?/([\d.]+)"),
        "wrk": _first([tools.wrk(), "-v"], r"wrk \S*?([\d.]+\S*)"),
        "go": _first([tools.go(), "version"], r"go([\d.]+)"),
        "grpc-go": grpc_go[1] if grpc_go else "?",
    }


def _first(command: Sequence[str], pattern: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "?"
