"""The Open Inference Protocol as its callers speak it."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.rollout.analysis.signature import Signature, Tensor
from deployer.runtimes.base import GrpcCall
from deployer.runtimes.oip.protocol import PROTOCOL
from protos import methods, oip_pb2

BODY = PROTOCOL.body([[1, 2]])


def test_rows_are_asked_for_at_the_models_address() -> None:
    assert BODY == {"inputs": [{"name": "input-0", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}
    assert PROTOCOL.path("lab", "digits") == "/v2/models/digits/infer"
    assert PROTOCOL.metadata("lab", "digits") == {}
    assert PROTOCOL.signature_path("a/b") == "/v2/models/a%2Fb"


def test_a_prediction_over_grpc_is_one_call() -> None:
    exchange = PROTOCOL.exchange("digits", BODY)
    call = next(exchange)
    assert isinstance(call, GrpcCall)
    assert call.path == methods.OIP_MODEL_INFER.path
    request = oip_pb2.ModelInferRequest.FromString(call.message)
    assert (request.model_name, list(request.inputs[0].contents.fp64_contents)) == ("digits", [1, 2])
    answer = oip_pb2.ModelInferResponse(model_name="digits")
    output = answer.outputs.add(name="y", datatype="INT64", shape=[1])
    output.contents.int64_contents.append(7)
    with pytest.raises(StopIteration) as ended:
        exchange.send(answer.SerializeToString())
    assert ended.value.value["outputs"] == [{"name": "y", "datatype": "INT64", "shape": [1], "data": [7]}]


@pytest.mark.parametrize(
    ("answer", "signature"),
    [
        ({"name": "digits"}, Signature({}, {})),
        ({"inputs": None, "outputs": []}, Signature({}, {})),
        (
            {
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}],
                "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}],
            },
            Signature({"x": Tensor("FP32", (-1, 64))}, {"y": Tensor("INT64", (-1,))}),
        ),
    ],
)
def test_the_signature_is_read_of_the_models_description(answer: Any, signature: Signature) -> None:
    assert PROTOCOL.signature(answer) == signature
