"""The real MLServer, as the deployer starts, asks and ends it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from deployer.local import environments, models, probes
from deployer.local.replicas import last_line
from deployer.runtimes.base import Launch, Process
from deployer.runtimes.oip import process as oip
from deployer.runtimes.oip import tensors as oip_tensors
from protos import methods
from tests.fakes.model_server import ModelServer, free_ports, settled

pytestmark = pytest.mark.slow
SKLEARN = "mlserver_sklearn.SKLearnModel"
TWICE = """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse

class Twice(MLModel):
    async def predict(self, payload):
        values = NumpyCodec.decode_input(payload.inputs[0])
        if values.max() > 9:
            raise InferenceError("too much")
        outputs = [NumpyCodec.encode_output("twice", values * 2)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
"""


def launched(folder: Path, model: Path, implementation: str, warmup: dict[str, Any] | None = None) -> Process:
    rest, grpc_port = free_ports(2)
    program = environments.program("oip")
    located = models.located("oip", model)
    folder = folder / "replica"
    return oip.command(
        Launch("digits", "v2", None, located, rest, grpc_port, folder, program, warmup, implementation=implementation)
    )


def started(process: Process, folder: Path) -> ModelServer:
    for path, text in process.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ModelServer(process.argv, process.rest, process.grpc, folder, process.env, cwd=process.cwd)


@pytest.fixture
def digits(demo_models: Path, tmp_path: Path) -> Iterator[tuple[Process, ModelServer]]:
    model = demo_models / "models" / "digits-oip" / "v2.pickle"
    process = launched(tmp_path, model, SKLEARN, oip_tensors.body([[0.0] * 64]))
    with started(process, tmp_path) as server:
        assert settled(process) == probes.Ready()
        yield process, server


def test_serves_the_model_over_both_ports_in_one_process_and_ends(
    digits: tuple[Process, ModelServer], demo_models: Path
) -> None:
    process, server = digits
    with np.load(demo_models / "digits.npz") as data:
        images, labels = data["unseen_images"][:50].astype(float), data["unseen_labels"][:50]
    body = oip_tensors.body(images.tolist())
    for version in ("", "/versions/v2"):
        status, answer = server.ask(
            "POST", f"/v2/models/digits{version}/infer", body, {"content-type": "application/json"}
        )
        assert (status, answer["model_name"], answer["model_version"]) == (200, "digits", "v2")
        assert np.mean(np.array(answer["outputs"][0]["data"]) == labels) > 0.9
    assert server.ask("GET", "/v2/models/digits/versions/v1/ready")[0] == 404
    message = oip_tensors.request(body)
    message.model_name, message.model_version = "digits", "v2"
    over_grpc = oip_tensors.response(server.call(methods.OIP_MODEL_INFER, message))
    assert over_grpc["outputs"][0]["data"] == answer["outputs"][0]["data"]
    assert probes.alive([process], 30) == [probes.Life.ANSWERING]

    leader = psutil.Process(server.process.pid)
    assert leader.children(recursive=True) == []
    listening = [each.laddr for each in leader.net_connections() if each.status == psutil.CONN_LISTEN]
    assert {at.ip for at in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert {at.port for at in listening} == {process.rest, process.grpc}

    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(40) == 0
    assert probes.alive([process], 1) == [probes.Life.GONE]


def test_a_class_of_the_users_own_beside_its_files(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "own.py").write_text(TWICE)
    process = launched(tmp_path, model, "own.Twice")
    with started(process, tmp_path) as server:
        assert settled(process) == probes.Ready(
            "not warmed: the document gives no warmup, and none can be made up for this model"
        )
        message = oip_tensors.request(oip_tensors.body([[1, 2]]))
        message.model_name = "digits"
        answer = oip_tensors.response(server.call(methods.OIP_MODEL_INFER, message))
        assert answer["outputs"][0]["data"] == [2, 4]
    assert [path.name for path in model.iterdir()] == ["own.py"]


def test_a_warm_up_that_the_model_refuses_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(TWICE)
    process = launched(tmp_path, tmp_path / "own.py", "own.Twice", oip_tensors.body([[10]]))
    with started(process, tmp_path):
        result = settled(process)
        assert isinstance(result, probes.Failed)
        assert result.reason.startswith("the warm-up is answered 400: ")
        assert "too much" in result.reason


@pytest.mark.parametrize("implementation", [SKLEARN, "nowhere.Model"])
def test_the_last_it_says_is_why_it_can_not_serve(tmp_path: Path, implementation: str) -> None:
    (tmp_path / "model.pickle").write_text("cnowhere\nModel\n.")  # pickled by a library that is not there
    process = launched(tmp_path, tmp_path / "model.pickle", implementation)
    with started(process, tmp_path) as server:
        server.process.wait(60)
        assert last_line(server.log_file) == "ModuleNotFoundError: No module named 'nowhere'"
