"""Processes whose record can't be read any more, by real supervisors and a real gateway."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psutil
import pytest

from tests.fakes.turnout import Turnout, until

PROGRAM = Path(__file__).parents[3] / "fakes" / "programs" / "turnout.py"


def document(turnout: Turnout) -> str:
    model = turnout.folder / "digits" / "1"
    model.mkdir(parents=True)
    (model / "saved_model.pb").write_text("")
    (model / "answer").write_text('{"predictions": [1]}')
    spec = {
        "runtime": "tfserving",
        "versions": [{"name": "v1", "model": "digits/1"}],
        "traffic": {"stable": "v1"},
    }
    head = {"apiVersion": "turnout.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "digits"}}
    path = turnout.folder / "digits.yaml"
    path.write_text(json.dumps({**head, "spec": spec}))
    return str(path)


@pytest.mark.parametrize("record", ["gateway.json", "default.digits.v1.0.json"])
def test_a_garbled_record_orphans_nothing(record: str, tmp_path: Path) -> None:
    with Turnout(tmp_path, (sys.executable, str(PROGRAM))) as turnout:
        turnout.up(document(turnout))
        turnout.settled()
        path = turnout.state.root / "processes" / record
        pid = json.loads(path.read_text())["identity"]["pid"]
        turnout.kill()
        path.write_text("{")
        second = turnout.up(str(turnout.folder / "digits.yaml"))
        until(lambda: not psutil.pid_exists(pid), "the process without a record is ended")
        until(path.exists, "another one is started in its place")
        assert f"process {pid}: ended, since it was started from here" in turnout.output()
        until(lambda: json.loads(path.read_text()).get("ready"), "it serves")
        turnout.stop(second)
