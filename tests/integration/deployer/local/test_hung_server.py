"""A model server that accepts connections and answers nothing, by a real supervisor with a real gateway: stopped by
SIGSTOP, since the system goes on accepting for it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.fakes.turnout import Turnout, until

PROGRAM = Path(__file__).parents[3] / "fakes" / "programs" / "turnout.py"


def document(turnout: Turnout) -> str:
    model = turnout.folder / "digits" / "1"
    model.mkdir(parents=True)
    (model / "saved_model.pb").write_text("")
    (model / "answer").write_text('{"predictions": [1]}')
    spec = {"runtime": "tfserving", "versions": [{"name": "v1", "model": "digits/1"}], "traffic": {"stable": "v1"}}
    head = {"apiVersion": "turnout.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "digits"}}
    path = turnout.folder / "digits.yaml"
    path.write_text(json.dumps({**head, "spec": spec}))
    return str(path)


def ask(turnout: Turnout) -> httpx.Response:
    url = f"http://127.0.0.1:{turnout.port}/v1/models/digits:predict"
    return httpx.post(url, json={"instances": [[1]]}, trust_env=False)


def test_it_is_not_ready_until_it_answers_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_TEST_HASTY", "3600")
    with Turnout(tmp_path, (sys.executable, str(PROGRAM))) as turnout:
        up = turnout.up(document(turnout))
        turnout.settled()
        pid = turnout.pids()["default.digits.v1.0"]
        os.kill(pid, signal.SIGSTOP)
        until(lambda: turnout.version("v1")["condition"] == "Progressing", "it is ready no more")
        assert turnout.version("v1")["reason"] == "it accepts connections and does not answer /"
        until(lambda: ask(turnout).status_code == 503, "nobody waits for it")
        os.kill(pid, signal.SIGCONT)
        turnout.settled()
        assert (ask(turnout).status_code, turnout.pids()["default.digits.v1.0"]) == (200, pid)
        turnout.stop(up)


def test_it_is_started_again_where_it_answers_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_TEST_HASTY", "1")
    with Turnout(tmp_path, (sys.executable, str(PROGRAM))) as turnout:
        up = turnout.up(document(turnout))
        turnout.settled()
        pid = turnout.pids()["default.digits.v1.0"]
        os.kill(pid, signal.SIGSTOP)
        until(lambda: turnout.version("v1")["restarts"] == 1, "another is started")
        turnout.settled()
        assert ask(turnout).status_code == 200
        until(lambda: not psutil.pid_exists(pid), "the one that hangs has ended, though it heeds no TERM")
        assert "it accepts connections and does not answer /; to be started again after 1 s" in turnout.output()
        turnout.stop(up)
        assert turnout.left() == []
