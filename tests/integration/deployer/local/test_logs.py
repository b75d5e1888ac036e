"""The logs of the state folder, by real files and processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from deployer.local import logs
from deployer.local.processes import Processes, intended
from deployer.local.state_folder import replace
from gateway.contract.route_table import RouteTable
from gateway.discovery.snapshot import TableSnapshot
from tests.fakes.turnout import until

FOR_EVER = "import time\nwhile True: print('x' * 100, flush=True); time.sleep(0.001)"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_decided_is_in_a_file_with_date_and_zone(tmp_path: Path) -> None:
    shown: list[str] = []
    with closing(logs.SupervisorLog(tmp_path, shown.append)) as log:
        log.say("default/a: new, with v1")
        log.say("default/a: traffic v1 100 %")
    lines = (tmp_path / "supervisor.log").read_text().splitlines()
    assert lines == shown
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  ", "", line) for line in lines] == [
        "default/a: new, with v1",
        "default/a: traffic v1 100 %",
    ]


def test_a_log_that_can_t_be_written_stops_nothing(tmp_path: Path) -> None:
    shown: list[str] = []
    with closing(logs.SupervisorLog(tmp_path / "gone", shown.append)) as log:
        log.say("goes on")
    assert shown[0].endswith("  goes on")


def test_a_log_that_a_process_writes_to_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 5000)
    processes = Processes()
    path = tmp_path / "server.log"
    identity = processes.start(intended(), [sys.executable, "-c", FOR_EVER], {}, tmp_path, path)
    try:
        until(lambda: path.stat().st_size > 5000, "it is too long")
        logs.bound(tmp_path)
        assert path.stat().st_size < 5000
        assert (tmp_path / "server.log.1").stat().st_size > 5000
        until(lambda: path.stat().st_size, "it is written to again")
        assert set(path.read_text()) <= {"x", "\n"}  # from its beginning: there is no hole
    finally:
        processes.signal(identity, signal.SIGKILL)
        until(lambda: processes.ending(identity) is not None, "it has ended")


def test_where_there_is_no_room_for_the_lines_before_they_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 10)
    (tmp_path / "a.log").write_text("x" * 100)
    (tmp_path / "a.log.1").symlink_to("/dev/full")
    (tmp_path / "b.log").write_text("x" * 10)
    logs.bound(tmp_path)
    assert [(tmp_path / name).stat().st_size for name in ("a.log", "b.log")] == [0, 10]
    assert not (tmp_path / "a.log.1").exists()


def test_at_no_moment_may_others_read_the_lines_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 10)
    log, before = tmp_path / "a.log", tmp_path / "a.log.1"
    log.touch()
    os.truncate(log, 200 << 20)  # so that copying takes a while
    modes: set[int] = set()
    copied = threading.Event()

    def watch() -> None:
        while not copied.is_set():
            with contextlib.suppress(FileNotFoundError):
                modes.add(mode(before))

    thread = threading.Thread(target=watch)
    thread.start()
    logs.bound(tmp_path)
    copied.set()
    thread.join()
    assert modes == {0o600}
    assert before.stat().st_size == 200 << 20


def test_nobody_else_reads_what_may_tell_of_users(tmp_path: Path) -> None:
    with logs.appending(tmp_path / "a.log") as file:
        file.write(b"x")
    replace(tmp_path / "routes.json", b"{}")
    TableSnapshot(tmp_path / "routes.last-good.json").write(RouteTable(revision=1))
    names = ("a.log", "routes.json", "routes.last-good.json")
    assert {name: mode(tmp_path / name) for name in names} == dict.fromkeys(names, 0o600)
