"""A method of the table is all that a grpcio client needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from gateway.protocols import registry
from protos import methods
from protos.methods import PREDICT, SELDON_PREDICT, Method
from protos.seldon_pb2 import SeldonMessage
from protos.tfs_pb2 import ModelSpec, PredictRequest, PredictResponse

ALL = [value for value in vars(methods).values() if isinstance(value, Method)]


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.path)
def test_each_belongs_to_a_protocol(method: Method[PredictRequest, PredictResponse]) -> None:
    path = method.path.encode()
    protocol = registry.grpc(path)
    message = PredictRequest(model_spec=ModelSpec(name="digits")).SerializeToString()
    assert protocol.address(path, {b"seldon": b"digits"}, message).name == "digits"


def test_calls_over_a_real_channel() -> None:
    def predict(request: PredictRequest, context: grpc.ServicerContext) -> PredictResponse:
        return PredictResponse(model_spec=request.model_spec)

    def echo(request: SeldonMessage, context: grpc.ServicerContext) -> SeldonMessage:
        return request

    server = grpc.server(ThreadPoolExecutor(1))
    for method, behaviour in ((PREDICT, predict), (SELDON_PREDICT, echo)):
        _, service, name = method.path.split("/")
        handler = grpc.unary_unary_rpc_method_handler(
            behaviour, method.request.FromString, method.response.SerializeToString
        )
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {name: handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(PREDICT.path, PREDICT.request.SerializeToString, PREDICT.response.FromString)
            assert call(PredictRequest(model_spec=ModelSpec(name="digits")), timeout=30).model_spec.name == "digits"
            seldon = channel.unary_unary(
                SELDON_PREDICT.path, SELDON_PREDICT.request.SerializeToString, SELDON_PREDICT.response.FromString
            )
            assert seldon(SeldonMessage(strData="x"), timeout=30) == SeldonMessage(strData="x")
    finally:
        server.stop(None).wait()
