"""Real processes: known again, never mistaken, ended with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deployer.local.processes import MARKER, Identity, Processes, intended, survivors
from deployer.local.replicas import Replicas, Run
from deployer.local.state_folder import Record, StateFolder

SLEEP = "import time; time.sleep(600)"
PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); print('up', flush=True); "
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"

Start = Callable[..., Identity]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a Python program through `processes`; whatever is left of it at the end is killed."""
    started: list[tuple[Processes, Identity]] = []

    def start(processes: Processes, code: str, **env: str) -> Identity:
        identity = processes.start(intended(), [sys.executable, "-c", code], env, tmp_path, tmp_path / "log")
        started.append((processes, identity))
        return identity

    yield start
    for processes, identity in started:
        for process in survivors(identity):
            process.kill()
        until(lambda: processes.ending(identity) is not None)  # noqa: B023  # asked at once


def until(condition: Callable[[], object], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.02)


def test_what_a_process_writes_goes_to_its_log_in_a_session_of_its_own(start: Start, tmp_path: Path) -> None:
    processes = Processes()
    code = "import os, sys; print(os.environ['COLOUR'], os.getsid(0) == os.getpid()); sys.exit('no memory')"
    identity = start(processes, code, COLOUR="blue")
    until(lambda: processes.ending(identity) is not None)
    assert processes.ending(identity) == "ended with exit code 1"
    assert sorted((tmp_path / "log").read_text().split()) == ["True", "blue", "memory", "no"]


def test_a_signal_is_told_by_its_name(start: Start) -> None:
    processes = Processes()
    identity = start(processes, SLEEP)
    assert processes.ending(identity) is None
    os.kill(identity.pid, signal.SIGKILL)
    until(lambda: processes.ending(identity) is not None)
    assert processes.ending(identity) == "ended by SIGKILL"


def test_what_a_killed_replica_left_in_its_folder_is_not_there_for_the_next(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    record = Record(deployment="default/m", version="v1", index=0, ports={})
    folder = state.work / record.name
    run = Run((sys.executable, "-c", ""), {}, folder, {folder / "config": "new"}, {})
    (folder / "models" / "3").mkdir(parents=True)
    replicas = Replicas(state)
    replica = replicas.start(record, run, 0.0)
    until(lambda: replicas.ending(replica))
    assert [path.name for path in folder.iterdir()] == ["config"]


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="/nowhere/server"):
        Processes().start(intended(), ["/nowhere/server"], {}, tmp_path, tmp_path / "log")


def test_what_no_process_can_be_given_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no process can be given its environment: embedded null byte"):
        Processes().start(intended(), [sys.executable], {"A": "a\0b"}, tmp_path, tmp_path / "log")


def test_another_supervisor_adopts_it_and_sees_its_end(start: Start) -> None:
    identity = start(Processes(), SLEEP)
    second = Processes()
    assert second.adopt(identity) == identity
    assert second.ending(identity) is None
    second.signal(identity, signal.SIGTERM)
    until(lambda: second.ending(identity) is not None)
    assert Processes().adopt(identity) is None


def test_a_start_that_was_only_intended_is_found_by_its_marker(start: Start) -> None:
    identity = start(Processes(), SLEEP)
    assert Processes().adopt(Identity(marker=identity.marker)) == identity
    assert Processes().adopt(intended()) is None


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"marker": "another"}, id="another program, without the marker"),
        pytest.param({"started": 1.0}, id="started at another time"),
    ],
)
def test_a_reused_pid_is_neither_adopted_nor_ended(start: Start, wrong: dict[str, object]) -> None:
    processes = Processes()
    innocent = start(processes, SLEEP)
    stale = innocent.model_copy(update=wrong)
    assert Processes().adopt(stale) is None
    if "marker" in wrong:
        for leader_only in (True, False):
            Processes().signal(stale, signal.SIGKILL, leader_only=leader_only)
        assert survivors(stale) == []
    assert Processes().ending(stale) == "ended"
    assert psutil.Process(innocent.pid).status() != psutil.STATUS_ZOMBIE
    assert processes.ending(innocent) is None


def test_a_stale_record_spares_a_group_that_bears_its_number(tmp_path: Path) -> None:
    """A stranger leads a group whose number is a pid of ours from before."""
    with subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True) as stranger:
        stale = Identity(marker="m" * 32, pid=stranger.pid, started=1.0)
        assert survivors(stale) == []
        Processes().signal(stale, signal.SIGKILL)
        assert stranger.poll() is None
        stranger.kill()


def test_children_that_outlive_their_parent_are_ended_too(start: Start, tmp_path: Path) -> None:
    processes = Processes()
    identity = start(processes, PARENT.format(child=DEAF) + "time.sleep(600)")
    until(lambda: "deaf" in (tmp_path / "log").read_text())
    processes.signal(identity, signal.SIGTERM)
    until(lambda: processes.ending(identity) is not None)
    assert len(survivors(identity)) == 1  # it heeds no TERM
    processes.signal(identity, signal.SIGKILL)
    until(lambda: not survivors(identity))


def test_a_child_that_left_the_group_or_the_marker_is_ended_too(start: Start, tmp_path: Path) -> None:
    code = f"""
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "print('child', flush=True); {SLEEP}"]
subprocess.Popen(sleep, start_new_session=True)
subprocess.Popen(sleep, env={{k: v for k, v in os.environ.items() if k != {MARKER!r}}})
time.sleep(600)
"""
    processes = Processes()
    identity = start(processes, code)
    until(lambda: (tmp_path / "log").read_text().count("child") == 2)
    assert len(survivors(identity)) == 3
    processes.signal(identity, signal.SIGKILL)
    until(lambda: processes.ending(identity) and not survivors(identity))


def test_the_first_process_can_be_signalled_alone(start: Start, tmp_path: Path) -> None:
    processes = Processes()
    identity = start(processes, PARENT.format(child=f"print('child', flush=True); {SLEEP}") + "time.sleep(600)")
    until(lambda: "child" in (tmp_path / "log").read_text())
    processes.signal(identity, signal.SIGTERM, leader_only=True)
    until(lambda: processes.ending(identity) is not None)
    assert len(survivors(identity)) == 1
