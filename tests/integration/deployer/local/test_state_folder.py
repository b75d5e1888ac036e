from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.document.model import ModelDeployment
from deployer.errors import TurnoutError
from deployer.local.processes import Identity
from deployer.local.state_folder import Record, RequestedAction, StateFolder, digest, replace
from deployer.rollout import checkpoint
from deployer.rollout.state import Action


def document(name: str = "digits", weight: float = 0) -> ModelDeployment:
    return ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": "vision"},
            "spec": {
                "runtime": "seldon",
                "versions": [{"name": "a", "model": "/m/a"}, {"name": "b", "model": "/m/b", "warmup": {"x": None}}],
                "traffic": {"stable": "a", "canary": "b", "weight": float(weight)},
            },
        }
    )


def test_documents_come_back_as_they_were(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.write_document(document("zebra"))
    state.write_document(document("ant", 12.5))
    assert StateFolder(tmp_path).documents() == [document("ant", 12.5), document("zebra")]
    assert state.keys() == ["vision/ant", "vision/zebra"]
    assert state.document("vision/zebra") == document("zebra")
    state.delete_document("vision/ant")
    assert state.document("vision/ant") is None
    state.delete_document("vision/ant")
    assert state.documents() == [document("zebra")]


def test_each_change_of_a_document_shows(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    seen = [state.fingerprint()]
    for change in (document(), document(weight=1), document(weight=1)):
        state.write_document(change)
        seen.append(state.fingerprint())
    state.delete_document(document().key)
    seen.append(state.fingerprint())
    assert len({frozenset(files.items()) for files in seen[:-1]}) == 4
    assert seen[-1] == seen[0]
    assert state.fingerprint() == state.fingerprint()


def test_a_document_that_is_none_is_told_by_its_path(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    (tmp_path / "documents" / "vision.digits.json").write_text("{")
    with pytest.raises(TurnoutError, match=r"vision\.digits\.json can't be read") as refused:
        state.documents()
    assert "\n" not in str(refused.value)
    assert "Invalid JSON" in str(refused.value)


def test_a_document_in_the_file_of_another_is_told(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.write_document(document("ant"))
    (tmp_path / "documents" / "vision.ant.json").rename(tmp_path / "documents" / "vision.bee.json")
    with pytest.raises(TurnoutError, match=r"vision\.bee\.json describes vision/ant; call it vision\.ant\.json"):
        state.document("vision/bee")


def test_what_is_no_file_is_no_document(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    (tmp_path / "documents" / "vision.folder.json").mkdir()
    os.mkfifo(tmp_path / "documents" / "vision.pipe.json")
    link = tmp_path / "documents" / "vision.circle.json"
    link.symlink_to(link)
    state.write_document(document())
    assert list(state.fingerprint()) == state.keys() == ["vision/digits"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_in_the_place_of_a_file_is_none(tmp_path: Path, make: Callable[[Path], None]) -> None:
    state = StateFolder(tmp_path)
    for folder in ("status", "rollouts", "actions", "processes"):
        make(tmp_path / folder / "vision.digits.json")
    found = (state.status("vision/digits"), state.rollout("vision/digits"), state.action("vision/digits"))
    assert found == (None, None, None)
    assert state.records() == []


def test_what_is_kept_of_a_rollout_and_is_no_text_can_be_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "vision.digits.json").write_bytes(b"\xff")
    written = StateFolder(tmp_path).rollout("vision/digits")
    assert written is not None
    assert checkpoint.read(written).lost


def test_digests_tell_documents_apart() -> None:
    assert digest(document()) == digest(document())
    assert digest(document()) != digest(document(weight=1))


def test_records_come_back_and_broken_ones_go(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    gateway = Record(deployment="", version="gateway", index=0, ports={"data": 1})
    replica = Record(
        deployment="vision/digits",
        version="a",
        index=2,
        identity=Identity(marker="m", pid=7, started=1.5),
        digest="d",
        ports={"rest": 1, "grpc": 2},
        ready=True,
    )
    for record in (gateway, replica):
        state.write_record(record)
    broken = tmp_path / "processes" / "broken.json"
    broken.write_text("{}")
    assert state.records() == [gateway, replica]
    assert not broken.exists()
    assert (gateway.name, replica.name) == ("gateway", "vision.digits.a.2")
    state.delete_record("gateway")
    assert state.records() == [replica]


def test_a_reader_sees_all_of_the_old_or_all_of_the_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace(path, b"0" * 100_000)
    stop = threading.Event()

    def write() -> None:
        for number in range(200):
            replace(path, b"%d" % (number % 10) * 100_000)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    contents = set()
    while not stop.is_set():
        contents.add(path.read_bytes())
    writer.join()
    assert all(len(content) == 100_000 and len(set(content)) == 1 for content in contents)
    assert list(tmp_path.iterdir()) == [path]  # nothing temporary is left


def test_one_supervisor_holds_a_folder_and_a_killed_one_holds_it_no_more(tmp_path: Path) -> None:
    code = f"""
import pathlib, sys
from deployer.local.state_folder import StateFolder
with StateFolder(pathlib.Path({str(tmp_path)!r})).supervising():
    print("held", flush=True)
    sys.stdin.read()
"""
    state = StateFolder(tmp_path)
    assert state.supervisor() is None
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert state.supervisor() == other.pid
        with pytest.raises(TurnoutError, match=f"process {other.pid}"), state.supervising():
            pass
        other.kill()
    assert state.supervisor() is None
    with state.supervising():
        assert state.supervisor() is not None


@pytest.mark.parametrize("root", ["/dev/null", "/proc/turnout"])
def test_a_folder_that_can_not_be_made(root: str) -> None:
    with pytest.raises(TurnoutError, match=f"^{root} can't be the state folder: .*; choose another by --state"):
        StateFolder(Path(root))


def test_orders_and_what_is_kept_of_rollouts_go_with_their_document(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.write_document(document())
    state.write_rollout("vision/digits", "kept")
    token = state.write_action("vision/digits", Action.PAUSE)
    again = state.write_action("vision/digits", Action.PAUSE)
    assert state.rollout("vision/digits") == "kept"
    assert state.action("vision/digits") == RequestedAction(token=again, action=Action.PAUSE)
    assert token != again  # each is taken once
    state.keep_rollouts({"vision/digits"})
    assert state.rollout("vision/digits") == "kept"
    state.delete_document("vision/digits")
    assert (state.rollout("vision/digits"), state.action("vision/digits")) == (None, None)
    state.write_rollout("vision/digits", "kept")
    state.write_action("vision/digits", Action.UNDO)
    state.keep_rollouts(set())
    assert (state.rollout("vision/digits"), state.action("vision/digits")) == (None, None)


def test_an_order_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.write_action("vision/digits", Action.PAUSE)
    (tmp_path / "actions" / "vision.digits.json").write_text('{"token": "a", "action": "dance"}')
    assert state.action("vision/digits") is None
