"""The real Triton, as the deployer starts, asks and ends it."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from deployer.local import environments, models, probes
from deployer.local.replicas import Run
from deployer.runtimes.base import Launch, Process
from deployer.runtimes.triton import process as triton
from tests.fakes.model_server import ModelServer, free_ports, settled, wait_until

pytestmark = pytest.mark.slow
TWICE = """
import triton_python_backend_utils as triton

class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "x", "data_type": "TYPE_FP64", "dims": [-1]})
        config.add_output({"name": "y", "data_type": "TYPE_FP64", "dims": [-1]})
        return config

    def execute(self, requests):
        values = [triton.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [triton.InferenceResponse([triton.Tensor("y", each * 2)]) for each in values]
"""


def launched(folder: Path, model: Path, servable: int | None) -> Process:
    rest, grpc_port = free_ports(2)
    program, located = environments.program("triton"), models.located("triton", model)
    return triton.command(Launch("twice", "v1", servable, located, rest, grpc_port, folder / "replica", program))


def started(process: Process, folder: Path) -> ModelServer:
    Run.of(process).prepare()
    return ModelServer(process.argv, process.rest, process.grpc, folder, process.env, cwd=process.cwd)


@pytest.mark.parametrize("servable", [7, None])
def test_serves_a_version_or_a_whole_model_and_ends(tmp_path: Path, servable: int | None) -> None:
    model = tmp_path / "model"
    version = model if servable else model / "3"
    version.mkdir(parents=True)
    (version / "model.py").write_text(TWICE)
    process = launched(tmp_path, model, servable)
    with started(process, tmp_path) as server:
        assert isinstance(settled(process), probes.Ready)
        body = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2.5]}]}
        status, answer = server.ask("POST", "/v2/models/twice/infer", body)
        assert (status, answer["model_version"], answer["outputs"][0]["data"]) == (200, str(servable or 3), [2, 5])

        leader = psutil.Process(server.process.pid)
        children = leader.children(recursive=True)
        listening = [
            each.laddr
            for one in (leader, *children)
            for each in one.net_connections()
            if each.status == psutil.CONN_LISTEN
        ]
        assert {at.ip for at in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}
        assert {at.port for at in listening} == {process.rest, process.grpc}

        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(40) == 0
        assert probes.alive([process], 1) == [probes.Life.GONE]
        wait_until(lambda: not any(child.is_running() for child in children))
    assert [path.name for path in version.iterdir()] == ["model.py"]


def test_a_model_that_does_not_load_is_told_with_its_reason(tmp_path: Path) -> None:
    model = tmp_path / "1"
    model.mkdir()
    (model / "model.py").write_text("import nowhere\n")
    process = launched(tmp_path, model, 1)
    with started(process, tmp_path):
        result = settled(process)
    assert isinstance(result, probes.Failed)
    assert "No module named 'nowhere'" in result.reason
