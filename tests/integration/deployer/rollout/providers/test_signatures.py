"""What servers tell of their models' inputs and outputs: the real ones, and those that tell nonsense."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deployer.local import environments, models, probes
from deployer.rollout.analysis.signature import Signature, Tensor, difference
from deployer.rollout.providers.signatures import fetch
from deployer.runtimes.base import Launch, Process
from deployer.runtimes.oip import process as oip
from deployer.runtimes.seldon import process as seldon
from gateway.contract.route_table import ProtocolFamily
from tests.fakes.model_server import ModelServer, free_ports, wait_until

HOST = "127.0.0.1"
TOLD = """
from mlserver import MLModel
from mlserver.types import MetadataTensor

class Told(MLModel):
    async def load(self):
        self.inputs = [MetadataTensor(name="images", datatype="FP32", shape=[-1, 64])]
        self.outputs = [MetadataTensor(name="label", datatype="INT64", shape=[-1])]
        return True
"""
BY_TENSORS = """
class Model:
    def init_metadata(self):
        return {
            "name": "digits",
            "versions": ["1"],
            "platform": "seldon",
            "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, 64]}],
            "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
        }
"""
BY_MESSAGES = """
class Model:
    def init_metadata(self):
        return {
            "name": "digits",
            "versions": ["1"],
            "platform": "seldon",
            "inputs": [{"messagetype": "tensor", "schema": {"names": ["length", "width"], "shape": [2]}}],
            "outputs": [{"messagetype": "strData"}],
        }
"""
SILENT = """
class Model:
    def predict(self, X, names, meta=None):
        return X
"""
IMAGES = Signature({"images": Tensor("FP32", (-1, 64))}, {"label": Tensor("INT64", (-1,))})


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """A server that gives this one answer; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("runtime", ["tfserving", "oip", "seldon"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"inputs": []}'),
        (503, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"3"),
        (200, b'"text"'),
        (200, b"{}"),
        (200, b"\xff"),
        (200, b"[" * 100_000),
        (200, b'{"inputs": null, "outputs": null}'),
        (200, b'{"inputs": [1], "outputs": []}'),
        (200, b'{"inputs": [{"name": "a"}]}'),
        (200, b'{"inputs": [{"name": "a", "datatype": "FP32", "shape": 3}]}'),
        (200, b'{"metadata": {"signature_def": {"signature_def": {}}}}'),
        (200, b'{"metadata": {"signature_def": {"signature_def": {"serving_default": {"inputs": {"x": {}}}}}}}'),
    ],
)
def test_what_is_no_signature(runtime: ProtocolFamily, status: int, body: bytes) -> None:
    with answering(status, body) as port:
        assert fetch(runtime, HOST, port, "digits") is None


@pytest.mark.parametrize("runtime", ["tfserving", "oip", "seldon"])
def test_nobody_answers(runtime: ProtocolFamily) -> None:
    (port,) = free_ports(1)
    assert fetch(runtime, HOST, port, "digits", timeout=0.5) is None


def test_what_initialises_a_model_and_a_rank_that_is_not_known_are_no_part_of_it() -> None:
    info = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [], "unknown_rank": True}}
    scalar = {"dtype": "DT_INT64", "tensor_shape": {"dim": [], "unknown_rank": False}}
    signatures = {
        "__saved_model_init_op": {"inputs": {}, "outputs": {"op": info}},
        "serving_default": {"inputs": {"x": info}, "outputs": {"y": scalar}, "method_name": ""},
    }
    body = json.dumps({"metadata": {"signature_def": {"signature_def": signatures}}}).encode()
    with answering(200, body) as port:
        signature = fetch("tfserving", HOST, port, "digits")
    assert signature == Signature(
        {"x": Tensor("DT_FLOAT")}, {"y": Tensor("DT_INT64", ())}, {"serving_default": Signature({}, {})}
    )


def test_the_signature_that_is_meant_without_a_name_is_missed() -> None:
    def signature(name: str) -> Signature:
        info = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}
        signatures = {name: {"inputs": {"x": info}, "outputs": {"y": info}}}
        body = json.dumps({"metadata": {"signature_def": {"signature_def": signatures}}}).encode()
        with answering(200, body) as port:
            found = fetch("tfserving", HOST, port, "digits")
        assert found is not None
        return found

    assert difference(signature("serving_default"), signature("predict")) == "signature serving_default is gone"
    assert difference(signature("serving_default"), signature("serving_default")) == ""


@pytest.mark.slow
def test_tensorflow_serving(standin: ModelServer) -> None:
    assert fetch("tfserving", HOST, standin.rest, "first") == Signature(
        {"x": Tensor("DT_FLOAT", (-1,))}, {"y": Tensor("DT_FLOAT", (-1,))}, {"serving_default": Signature({}, {})}
    )
    echo = fetch("tfserving", HOST, standin.rest, "echo")
    assert echo is not None
    assert echo.others.keys() == {"serving_default", "text", "half", "total", "uneven"}
    assert echo.others["total"] == Signature({"x": Tensor("DT_FLOAT", (-1,))}, {"total": Tensor("DT_FLOAT", ())})
    assert echo.inputs["s"] == Tensor("DT_STRING", (-1, -1))
    assert fetch("tfserving", HOST, standin.rest, "nothing") is None


def ready(process: Process) -> bool:
    return isinstance(probes.check(process, 10), probes.Ready)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "signature"),
    [(TOLD, IMAGES), (TOLD.replace("self.inputs", "unused").replace("self.outputs", "unused"), None)],
)
def test_mlserver(tmp_path: Path, text: str, signature: Signature | None) -> None:
    (tmp_path / "own.py").write_text(text)
    rest, grpc_port = free_ports(2)
    program, model = environments.program("oip"), models.located("oip", tmp_path / "own.py")
    folder = tmp_path / "replica"
    launch = Launch("my model", "v1", None, model, rest, grpc_port, folder, program, None, implementation="own.Told")
    process = oip.command(launch)
    for path, content in process.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    with ModelServer(process.argv, rest, grpc_port, folder, process.env, cwd=process.cwd):
        wait_until(lambda: ready(process))
        assert fetch("oip", HOST, rest, "my model", timeout=10) == signature


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "signature"),
    [
        (BY_TENSORS, IMAGES),
        (BY_MESSAGES, Signature({"1": Tensor("tensor of length, width", (2,))}, {"1": Tensor("strData")})),
        (SILENT, None),
    ],
)
def test_seldon(tmp_path: Path, text: str, signature: Signature | None) -> None:
    (tmp_path / "Model.py").write_text(text)
    rest, grpc_port = free_ports(2)
    program, model = environments.program("seldon"), models.located("seldon", tmp_path / "Model.py")
    folder = tmp_path / "replica"
    folder.mkdir()
    process = seldon.command(Launch("digits", "v1", None, model, rest, grpc_port, folder, program, None))
    with ModelServer(process.argv, rest, grpc_port, folder, process.env, cwd=process.cwd):
        wait_until(lambda: ready(process))
        assert fetch("seldon", HOST, rest, "digits", timeout=10) == signature
