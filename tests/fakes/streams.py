"""Requests that go on as they come, step by step: see tests/integration/gateway/grpc/test_grpc_streams.py."""

from __future__ import annotations

from gateway.call import STREAMED_BYTES
from gateway.contract.route_table import RouteTable
from gateway.protocols.grpc_message import frame
from protos.oip_pb2 import ModelInferRequest
from tests.fakes.gateway import deployment
from tests.fakes.grpc_client import GrpcClient
from tests.fakes.grpc_servers import GrpcServer, ServerCall
from tests.fakes.parent_process import eventually

STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
LONG = 3 * STREAMED_BYTES


def infer(name: str = "t", size: int = 0) -> bytes:
    return frame(ModelInferRequest(model_name=name, raw_input_contents=[bytes(size)]).SerializeToString())


def routes(weight: float = 0, **versions: list[GrpcServer]) -> RouteTable:
    """The model `m` of TensorFlow Serving, `s` of Seldon, and `t` of the Open Inference Protocol."""
    runtimes = {"m": "tfserving", "s": "seldon", "t": "oip"}
    made = (deployment(name, versions, weight=weight, runtime=runtime) for name, runtime in runtimes.items())
    return RouteTable(revision=1, deployments=tuple(made))


def begun(server: GrpcServer, number: int = 1) -> ServerCall:
    """The latest call, once so many have begun."""
    return eventually(lambda: list(server.begun), lambda calls: len(calls) == number)[-1]


def send(client: GrpcClient, stream: int, data: bytes, *, end: bool = False) -> None:
    """Until all of it is gone, as far as the client can tell."""
    client.data(stream, data, end=end)
    client.until(lambda: not client.wire.buffered(stream))


def has(call: ServerCall, size: int) -> None:
    eventually(lambda: len(call.body), lambda there: there == size)
