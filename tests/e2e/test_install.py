"""What `pip install turnout` brings, in an empty environment."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HEAVY = {"tensorflow", "tensorflow-cpu", "tensorflow-serving-api", "seldon-core", "kubernetes", "scikit-learn", "scipy"}
"""What the base install must do without: gigabytes, or what the runtimes' environments and extras are for."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds Turnout and what it requires."""
    folder = tmp_path_factory.mktemp("install") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    options = ("--quiet", "--disable-pip-version-check", "--no-input")
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", *options, ROOT], check=True, cwd=folder)
    return folder / "bin"


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_brings_nothing_heavy(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packages = json.loads(_run(installed / "python", "-m", "pip", "list", "--format=json"))
    names = {package["name"].lower() for package in packages}
    size = sum(file.stat().st_size for file in (installed.parent / "lib").rglob("*") if file.is_file())
    timed = "from time import perf_counter as now; began = now(); import gateway; print(f'{now() - began:.4f} s')"
    with capsys.disabled():  # to be read in CI's log
        print(f"\nthe base install: {len(names)} packages, {size / 1e6:.0f} MB: {', '.join(sorted(names))}")
        print(f"import gateway: {_run(installed / 'python', '-c', timed).strip()}")
    assert "turnout" in names
    assert not names & HEAVY


def test_its_commands_run(installed: Path) -> None:
    assert _run(installed / "turnout", "--version").strip() == f"turnout, version {version('turnout')}"
    assert "--admin-port" in _run(installed / "turnout-gateway", "--help")
    assert "ModelDeployment" in _run(installed / "turnout", "schema")


def test_it_has_all_its_files(installed: Path) -> None:
    """What is not Python too, such as the locks of the runtimes."""
    site = Path(_run(installed / "python", "-c", "import deployer; print(deployer.__file__)").strip()).parent.parent
    for package in ("gateway", "deployer", "protos"):
        ours = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*") if path.is_file()}
        missing = {path for path in ours if "__pycache__" not in path.parts and not (site / path).is_file()}
        assert not missing


def test_importing_the_gateway_loads_nothing_else(installed: Path) -> None:
    """So it takes no time, whatever the gateway needs when it runs."""
    program = "import sys; before = set(sys.modules); import gateway; print(*(set(sys.modules) - before))"
    assert _run(installed / "python", "-c", program).split() == ["gateway"]


def test_a_worker_loads_no_client_and_no_server_of_others(installed: Path) -> None:
    """A data process is small, and starts soon."""
    program = "import sys, gateway.worker; print(*(name for name in sys.modules if '.' not in name))"
    loaded = set(_run(installed / "python", "-c", program).split())
    assert "uvloop" in loaded
    assert not loaded & {"grpc", "httpx", "prometheus_client", "rich", "ruamel", "starlette", "uvicorn", "deployer"}
