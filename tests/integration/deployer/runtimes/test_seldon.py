"""The real seldon-core microservice, as the deployer starts, asks and ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from google.protobuf import json_format

from deployer.local import environments, models, probes
from deployer.runtimes.base import Launch, Process
from deployer.runtimes.seldon import process as seldon
from protos import methods, seldon_pb2
from tests.fakes.model_server import ModelServer, free_ports, settled, wait_until

pytestmark = pytest.mark.slow
PREDICTIONS = "/api/v1.0/predictions"
JSON = {"content-type": "application/json"}


def launched(folder: Path, model: Path, warmup: dict[str, Any] | None = None) -> Process:
    rest, grpc_port = free_ports(2)
    folder.mkdir(exist_ok=True)
    program = environments.program("seldon")
    located = models.located("seldon", model)
    return seldon.command(Launch("digits", "v1", None, located, rest, grpc_port, folder, program, warmup))


def started(process: Process, folder: Path) -> ModelServer:
    log = folder / "process"
    log.mkdir(parents=True)
    return ModelServer(process.argv, process.rest, process.grpc, log, process.env, cwd=process.cwd)


def family(server: ModelServer) -> list[psutil.Process]:
    leader = psutil.Process(server.process.pid)
    return [leader, *leader.children(recursive=True)]


def ended(processes: list[psutil.Process]) -> bool:
    return not any(item.is_running() and item.status() != psutil.STATUS_ZOMBIE for item in processes)


def write(folder: Path, name: str, body: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(body)
    return folder


@pytest.fixture
def digits(demo_models: Path, tmp_path: Path) -> Iterator[tuple[Process, ModelServer]]:
    model = demo_models / "models" / "digits-seldon" / "v2"
    process = launched(tmp_path / "replica", model, {"data": {"ndarray": [[0.0] * 64]}})
    with started(process, tmp_path / "log") as server:
        assert settled(process) == probes.Ready()
        yield process, server


def test_serves_the_class_over_both_ports_and_ends_as_a_whole(
    digits: tuple[Process, ModelServer], demo_models: Path
) -> None:
    process, server = digits
    with np.load(demo_models / "digits.npz") as data:
        images, labels = data["unseen_images"][:50].astype(float), data["unseen_labels"][:50]
    body = {"data": {"ndarray": images.tolist()}}
    status, answer = server.ask("POST", PREDICTIONS, body, JSON)
    assert status == 200
    assert answer["data"]["names"] == [str(digit) for digit in range(10)]
    scores = np.array(answer["data"]["ndarray"])
    assert np.mean(scores.argmax(axis=1) == labels) > 0.9
    over_grpc = server.call(methods.SELDON_PREDICT, json_format.ParseDict(body, seldon_pb2.SeldonMessage()))
    np.testing.assert_array_equal(json_format.MessageToDict(over_grpc)["data"]["ndarray"], scores)
    assert probes.alive([process], 30) == [probes.Life.ANSWERING]
    assert not (process.cwd / "__pycache__").exists()

    processes = family(server)
    assert len(processes) > 2
    listening = {
        connection.laddr.ip
        for item in processes
        for connection in item.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}

    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(40) == 0
    wait_until(lambda: ended(processes))
    assert probes.alive([process], 1) == [probes.Life.GONE]


def test_without_a_warm_up_it_is_ready_and_says_that_it_is_cold(tmp_path: Path) -> None:
    model = write(
        tmp_path / "model", "Twice", "class Twice:\n    def predict(self, X, names, meta=None): return X * 2\n"
    )
    process = launched(tmp_path / "replica", model)
    with started(process, tmp_path / "log") as server:
        assert settled(process) == probes.Ready(
            "not warmed: the document gives no warmup, and none can be made up for this model"
        )
        status, answer = server.ask("POST", PREDICTIONS, {"data": {"ndarray": [[1, 2]]}}, JSON)
        assert (status, answer["data"]["ndarray"]) == (200, [[2, 4]])


def test_a_warm_up_that_the_model_refuses_is_a_failure(tmp_path: Path) -> None:
    model = write(
        tmp_path / "model",
        "Picky",
        "class Picky:\n    def predict(self, X, names, meta=None): raise ValueError('only cats')\n",
    )
    process = launched(tmp_path / "replica", model, {"data": {"ndarray": [[1]]}})
    with started(process, tmp_path / "log"):
        result = settled(process)
        assert isinstance(result, probes.Failed)
        assert result.reason.startswith("the warm-up is answered 500: ")
        assert "only cats" in result.reason


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
        ("class Other: pass\n", "has no attribute 'Broken'"),
        ("class Broken:\n    def __init__(self): raise ValueError('no weights')\n", "no weights"),
        ("class Broken:\n    def load(self): raise ValueError('no weights')\n", "no weights"),
    ],
)
def test_a_class_that_does_not_load_ends_the_whole_process(tmp_path: Path, body: str, message: str) -> None:
    """Even where the microservice by itself would stay for ever, with one of its ports dead."""
    model = write(tmp_path / "model", "Broken", body)
    process = launched(tmp_path / "replica", model)
    with started(process, tmp_path / "log") as server:
        assert server.process.wait(60) != 0
        assert message in server.log
        wait_until(lambda: not group(server.process.pid))


def group(pgid: int) -> list[int]:
    found = []
    for item in psutil.process_iter():
        try:
            if os.getpgid(item.pid) == pgid and item.status() != psutil.STATUS_ZOMBIE:
                found.append(item.pid)
        except (psutil.Error, ProcessLookupError):
            continue
    return found
