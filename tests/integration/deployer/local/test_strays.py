"""Processes of which what was written can't be read any more, by real supervisors and a real gateway."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from tests.fakes.turnout import WITH_FAKES, Turnout, until


@pytest.mark.parametrize("record", ["gateway.json", "default.digits.v1.0.json"])
def test_a_garbled_record_orphans_nothing(record: str, tmp_path: Path) -> None:
    with Turnout(tmp_path, WITH_FAKES) as turnout:
        turnout.model(1)
        turnout.up(turnout.document())
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


def test_a_gateway_whose_options_are_lost_is_taken_over(tmp_path: Path) -> None:
    with Turnout(tmp_path, WITH_FAKES) as turnout:
        turnout.model(1)
        turnout.up(turnout.document())
        turnout.settled()
        record = turnout.state.root / "processes" / "gateway.json"
        before = json.loads(record.read_text())
        turnout.kill()
        turnout.state.gateway.unlink()
        second = turnout.up(str(turnout.folder / "digits.yaml"))
        until(lambda: turnout.output().count("all is as declared") == 2, "the second supervisor has nothing left to do")
        after = json.loads(record.read_text())
        assert (after["ports"], after["identity"]["pid"]) == (before["ports"], before["identity"]["pid"])
        turnout.stop(second)
