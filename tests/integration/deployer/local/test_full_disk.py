"""A disk that takes nothing, by a real supervisor with a real gateway: where each file would be stands a folder, so
that it can be written by nobody."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from tests.fakes.turnout import WITH_FAKES, Turnout, until


def test_a_server_that_dies_comes_back_and_what_is_kept_of_it_later(tmp_path: Path) -> None:
    with Turnout(tmp_path, WITH_FAKES) as turnout:
        turnout.model(1)
        up = turnout.up(turnout.document())
        turnout.settled()
        root, dead = turnout.state.root, turnout.pids()["default.digits.v1.0"]
        record, status, routes = (
            root / "processes" / "default.digits.v1.0.json",
            root / "status" / "default.digits.json",
            root / "routes.json",
        )
        for path in (record, status, routes):
            path.unlink()
            path.mkdir()
        os.kill(dead, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(dead), "it has ended")
        until(
            lambda: turnout.ask().status_code == 200,
            "it answers again, where the route table that can't be written has it",
        )
        for path in (status, routes):
            path.rmdir()
        until(lambda: turnout.version("v1").get("reason", "").startswith("can't be recorded: "), "it is said")
        output = turnout.output()
        assert "default.digits.v1.0: not recorded, and tried again until it is: " in output
        assert output.count(f"can't go on for now: [Errno 21] Is a directory: '{status}'") == 1
        assert turnout.version("v1")["condition"] == "Ready"
        record.rmdir()
        until(lambda: turnout.version("v1")["reason"] == "", "it is recorded")
        assert turnout.pids()["default.digits.v1.0"] == turnout.version("v1")["replicas"][0]["pid"] != dead
        turnout.settled()
        turnout.stop(up)
        assert turnout.left() == []
