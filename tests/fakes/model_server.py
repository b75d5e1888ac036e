"""A model server as a test sees it: a process with a log, and questions over REST and gRPC."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import grpc
import numpy as np
from google.protobuf.message import Message

from deployer.local import probes
from deployer.runtimes.base import Process
from protos import tfs_pb2
from protos.methods import Method

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def wait_until(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


class ModelServer:
    """A context that ends the process and all that it started."""

    def __init__(
        self,
        argv: Sequence[str],
        rest: int,
        grpc_port: int,
        folder: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
    ) -> None:
        self.rest, self.grpc = rest, grpc_port
        self.log_file = folder / "log"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                argv, cwd=cwd or folder, env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True
            )

    @classmethod
    def of(cls, process: Process) -> ModelServer:
        """The server that a `Process` describes, its files and links made first."""
        process.cwd.mkdir(parents=True, exist_ok=True)
        for path, text in process.files.items():
            path.write_text(text)
        for link, target in process.links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        return cls(process.argv, process.rest, process.grpc, process.cwd, process.env)

    def __enter__(self) -> ModelServer:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def listens(self) -> bool:
        assert self.process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.rest)) == 0

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """The HTTP status and the JSON answered (text where it is none). `body`: bytes as they are, else JSON."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.rest, timeout=60)
        try:
            connection.request(method, path, raw, dict(headers or {}))
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if answer.getheader("content-type") == "application/json" else text
        finally:
            connection.close()

    def call(self, method: Method[Request, Response], request: Request) -> Response:
        """The answer over gRPC. Raises grpc.RpcError."""
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc}") as channel:
            send = channel.unary_unary(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
            answer: Response = send(request, timeout=60)
            return answer


def predict(name: str, **inputs: Any) -> tfs_pb2.PredictRequest:
    """A request of float32 arrays."""
    request = tfs_pb2.PredictRequest()
    request.model_spec.name = name
    for alias, array in inputs.items():
        tensor = request.inputs[alias]
        tensor.dtype = tfs_pb2.DT_FLOAT
        for size in np.shape(array):
            tensor.tensor_shape.dim.add(size=size)
        tensor.float_val.extend(np.ravel(array).tolist())
    return request


def settled(process: Process) -> probes.Ready | probes.Failed:
    """What the readiness comes to."""
    results: list[probes.Ready | probes.NotYet | probes.Failed] = []

    def known() -> bool:
        results.append(probes.check(process, 10))
        return not isinstance(results[-1], probes.NotYet)

    wait_until(known)
    last = results[-1]
    assert not isinstance(last, probes.NotYet)
    return last
