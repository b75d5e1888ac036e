"""A model server that accepts connections and answers nothing, by a real supervisor with a real gateway: stopped by
SIGSTOP, since the system goes on accepting for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.fakes.turnout import WITH_FAKES, Turnout, until


def test_it_is_not_ready_until_it_answers_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_TEST_HASTY", "3600")
    with Turnout(tmp_path, WITH_FAKES) as turnout:
        turnout.model(1)
        up = turnout.up(turnout.document())
        turnout.settled()
        pid = turnout.pids()["default.digits.v1.0"]
        os.kill(pid, signal.SIGSTOP)
        until(lambda: turnout.version("v1")["condition"] == "Progressing", "it is ready no more")
        assert turnout.version("v1")["reason"] == "it accepts connections and does not answer /"
        until(lambda: turnout.ask().status_code == 503, "nobody waits for it")
        os.kill(pid, signal.SIGCONT)
        turnout.settled()
        assert (turnout.ask().status_code, turnout.pids()["default.digits.v1.0"]) == (200, pid)
        turnout.stop(up)


def test_it_is_started_again_where_it_answers_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_TEST_HASTY", "1")
    with Turnout(tmp_path, WITH_FAKES) as turnout:
        turnout.model(1)
        up = turnout.up(turnout.document())
        turnout.settled()
        pid = turnout.pids()["default.digits.v1.0"]
        os.kill(pid, signal.SIGSTOP)
        until(lambda: turnout.version("v1")["restarts"] == 1, "another is started")
        turnout.settled()
        assert turnout.ask().status_code == 200
        until(lambda: not psutil.pid_exists(pid), "the one that hangs has ended, though it heeds no TERM")
        assert "it accepts connections and does not answer /; to be started again after 1 s" in turnout.output()
        turnout.stop(up)
        assert turnout.left() == []
