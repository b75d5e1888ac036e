"""The environments of runtimes, on a lock of one tiny package that pip really installs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deployer.local import environments
from deployer.runtimes.registry import RUNTIMES

ROOT = Path(__file__).resolve().parents[4]
MAIN = Path(__file__).resolve().parents[3] / "fakes" / "programs" / "environment_main.py"
SIX = (
    "six==1.17.0 \\\n"
    "    --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274 \\\n"
    "    --hash=sha256:ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81\n"
)
pytestmark = pytest.mark.slow


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.txt"
    path.write_text(SIX)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "environments"


def start(lock: Path, root: Path, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(MAIN), "tiny", str(lock), str(root)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def begun(root: Path) -> bool:
    return any(root.glob("tiny-*/pyvenv.cfg"))


def folders(root: Path) -> list[Path]:
    return [path for path in root.glob("tiny-*") if path.is_dir()]


def imports_six(python: Path) -> bool:
    return subprocess.run([python, "-I", "-c", "import six; assert six.__version__ == '1.17.0'"]).returncode == 0


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_is_made_once_then_found_unless_its_marker_is_missing(
    lock: Path, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    python = environments.environment("tiny", lock, root)
    folder = python.parent.parent
    assert imports_six(python)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == f"making the environment of tiny: 1 packages, once; in {folder}"
    assert lines[1] == "tiny: downloading 1 packages"
    assert lines[-1].startswith("the environment of tiny is made, in ")
    assert not (folder / "tmp").exists()

    assert environments.environment("tiny", lock, root) == python
    assert capfd.readouterr().err == ""

    (folder / ".complete").unlink()
    (folder / "leftover").touch()
    assert environments.environment("tiny", lock, root) == python
    assert not (folder / "leftover").exists()
    assert imports_six(python)

    lock.write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(environments.EnvironmentFailed, match=r"could not be made: pip ended .*HASHES"):
        environments.environment("tiny", lock, root)  # another lock is another environment, and this one can't be
    assert folders(root) == [folder]
    assert imports_six(python)


def test_of_two_at_once_the_second_waits_and_says_for_what(lock: Path, root: Path) -> None:
    first = start(lock, root)
    wait_until(lambda: begun(root))
    second = start(lock, root)
    (out_first, err_first), (out_second, err_second) = first.communicate(), second.communicate()
    assert (first.returncode, second.returncode) == (0, 0), err_first + err_second
    assert out_first == out_second
    assert f"the environment of tiny is being made by process {first.pid}; waiting for it" in err_second
    assert "making the environment" not in err_second
    assert imports_six(Path(out_first.strip()))


def test_ctrl_c_ends_the_child_and_leaves_nothing_half_made(lock: Path, root: Path) -> None:
    made = start(lock, root)
    wait_until(lambda: begun(root))
    children = psutil.Process(made.pid).children(recursive=True)
    assert children
    made.send_signal(signal.SIGINT)
    _, err = made.communicate(timeout=60)
    assert made.returncode == 1
    assert err.endswith("interrupted\n")
    assert "Traceback" not in err
    wait_until(lambda: not any(lives(child) for child in children))
    assert folders(root) == []


def test_what_a_killed_one_left_is_made_anew_and_never_by_two(lock: Path, root: Path) -> None:
    killed = start(lock, root)
    wait_until(lambda: begun(root))
    children = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate()
    again = start(lock, root)
    out, err = again.communicate()
    assert again.returncode == 0, err
    # What the killed one had started holds the lock until it has ended, so nobody writes into the new one.
    assert not any(lives(child) for child in children)
    assert "making the environment of tiny" in err
    assert imports_six(Path(out.strip()))


def test_a_lost_network_is_told_as_such(lock: Path, root: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens: connections are refused
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        made = start(lock, root, PIP_INDEX_URL=address, PIP_RETRIES="1", PIP_FIND_LINKS="", PIP_NO_INDEX="0")
        _, err = made.communicate()
    assert made.returncode == 1
    assert "the package index can't be reached; check the network" in err
    assert "the same command tries again" in err
    assert "Traceback" not in err
    assert folders(root) == []


def test_a_folder_that_can_not_be_had_is_named(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(environments.EnvironmentFailed, match=r"can't be made in .*file/environments"):
        environments.environment("tiny", lock, tmp_path / "file" / "environments")


def test_the_real_server_is_used_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = tmp_path / "tensorflow_model_server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environments.program("tfserving") == server


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_locks_hold_versions_and_hashes_and_no_address(runtime: str) -> None:
    text = environments.lock(runtime).read_text()
    assert "://" not in text.replace("\n", " ")
    packages = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert packages
    assert all("==" in line for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
