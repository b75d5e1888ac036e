"""The demo as people run it, in a copy of `examples/` so that it finds nothing made before and leaves nothing here."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from deployer.local.state_folder import StateFolder
from examples.demo.up import Up
from tests.fakes.turnout import until

ROOT = Path(__file__).resolve().parents[2]
DEMO = (sys.executable, "-m", "examples.demo")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with `examples/` as it is in a fresh clone."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("models", "*.npz"))
    return tmp_path


@pytest.fixture
def short(checkout: Path, demo_models: Path) -> Path:
    """The same with trained models, and few digits to ask for."""
    shutil.copytree(demo_models / "models", checkout / "examples" / "models")
    with np.load(demo_models / "digits.npz") as digits:
        few = {name: digits[name][:40] for name in digits}
    np.savez(checkout / "examples" / "digits.npz", **few)
    return checkout


def _left(checkout: Path) -> list[list[str]]:
    """What still runs of it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TURNOUT_STATE") == str(checkout / ".turnout" / "demo"):
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


@contextmanager
def _demo(checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    with open(checkout / "output", "wb") as output:
        process = subprocess.Popen(DEMO, cwd=checkout, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def test_once_it_ends_by_itself_and_all_was_right(checkout: Path) -> None:
    done = subprocess.run([*DEMO, "--once"], cwd=checkout, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "no error; each answer equals its version's own; each share is within its bounds" in done.stdout
    steps = done.stdout.split("\nstep ")[1:]
    shares = {
        re.match(r"\d of 4: v2 gets (\d+) %", step)[1]: re.findall(r"v2 +([\d.]+)% ", step)  # type: ignore[index]
        for step in steps
    }
    assert shares.keys() == {"0", "10", "50", "100"}
    assert all(len(of_api) == 4 for of_api in shares.values())
    assert set(shares["0"]) == {"0.0"}
    assert set(shares["100"]) == {"100.0"}
    assert _left(checkout) == []
    assert not (checkout / ".turnout" / "demo").exists()


def test_it_stays_up_its_commands_work_as_printed_and_ctrl_c_leaves_nothing(short: Path) -> None:
    with _demo(short) as process:
        output = short / "output"
        until(lambda: "Ctrl-C ends all." in output.read_text() or process.poll() is not None, "the demo is up", 600)
        text = output.read_text()
        print(text)
        block = text.partition("in this folder:\n")[2].partition("Ctrl-C ends all.")[0].replace("\\\n", "")
        commands = [line.strip() for line in block.splitlines() if line.strip()]
        assert [command.split()[0] for command in commands] == ["export", *["turnout"] * 4, *["curl"] * 3]
        exported, _, *others = commands
        # In a checkout .venv is made by make; here the Python that runs the tests has the command.
        here = exported.replace("$PWD/.venv/bin", str(Path(sys.executable).parent))
        answers = [
            subprocess.run(
                ["bash", "-c", f"{here}; {command}"], cwd=short, capture_output=True, text=True, env=_plain()
            )
            for command in others
        ]
        for answer in answers:
            print(answer.args[-1], answer.stdout[:500], answer.stderr, sep="\n")
        assert [answer.returncode for answer in answers] == [0] * len(others)
        traffic, tfserving, seldon, curl_tfserving, curl_seldon, metrics = (answer.stdout for answer in answers)
        assert "v1 70 %, v2 30 %" in traffic
        assert "predictions" in tfserving
        assert "ndarray" in seldon
        for curled in (curl_tfserving, curl_seldon):
            assert curled.startswith("HTTP/1.1 200 OK")
            assert re.search(r"^x-turnout-version: v[12]", curled, re.MULTILINE)
        assert "turnout_requests_total{" in metrics
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert _left(short) == []
    assert not (short / ".turnout" / "demo").exists()


def test_ctrl_c_while_the_servers_start_leaves_nothing(short: Path) -> None:
    with _demo(short) as process:
        records = short / ".turnout" / "demo" / "processes"
        until(lambda: len(list(records.glob("*.json"))) == 5, "four model servers and the gateway were started")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert "Traceback" not in (short / "output").read_text()
    assert _left(short) == []


def test_a_model_that_can_not_be_served_is_told(short: Path) -> None:
    (short / "examples" / "models" / "digits-seldon" / "v2" / "Network.py").write_text("class Other: ...")
    done = subprocess.run(DEMO, cwd=short, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("demo: digits-seldon v2 can't be run: ")
    assert "Traceback" not in done.stderr
    assert (short / ".turnout" / "demo" / "logs").is_dir()
    assert _left(short) == []


def test_a_second_demo_says_that_one_runs(short: Path) -> None:
    state = short / ".turnout" / "demo"
    with Up(state, ()):
        until(StateFolder(state).supervisor, "the first one supervises")
        with _demo(short) as process:
            assert process.wait() == 1
        assert "demo: `turnout up` has ended: `turnout up` runs already (process " in (short / "output").read_text()


def _plain() -> dict[str, str]:
    """Our environment without a proxy, which curl would use."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
