"""A disk that takes nothing, by a real supervisor with a real gateway: where each file would be stands a folder, so
that it can be written by nobody."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import httpx
import psutil

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


def answers(turnout: Turnout) -> bool:
    url = f"http://127.0.0.1:{turnout.port}/v1/models/digits:predict"
    return httpx.post(url, json={"instances": [[1]]}, trust_env=False).status_code == 200


def test_a_server_that_dies_comes_back_and_what_is_kept_of_it_later(tmp_path: Path) -> None:
    with Turnout(tmp_path, (sys.executable, str(PROGRAM))) as turnout:
        up = turnout.up(document(turnout))
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
        until(lambda: answers(turnout), "it answers again, where the route table that can't be written has it")
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
