"""TensorFlow Serving's API as its callers speak it."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.errors import TurnoutError
from deployer.rollout.analysis.signature import Signature, Tensor
from deployer.runtimes.base import Exchange
from deployer.runtimes.tfserving.protocol import PROTOCOL
from deployer.runtimes.tfserving.tensors import tensor
from protos import methods, tfs_pb2


def described(**inputs: Any) -> bytes:
    """The answer of a server whose model has the signatures serving_default and other, both with these inputs."""
    signatures = tfs_pb2.SignatureDefMap()
    for signature in ("serving_default", "other"):
        for name, dtype in inputs.items():
            signatures.signature_def[signature].inputs[name].dtype = dtype
    answer = tfs_pb2.GetModelMetadataResponse()
    answer.metadata["signature_def"].Pack(signatures)
    return answer.SerializeToString()


def asked(exchange: Exchange) -> None:
    """Up to the question which signatures there are."""
    call = next(exchange)
    assert call.path == methods.GET_MODEL_METADATA.path
    question = tfs_pb2.GetModelMetadataRequest.FromString(call.message)
    assert (question.model_spec.name, list(question.metadata_field)) == ("digits", ["signature_def"])


def test_rows_are_asked_for_at_the_models_address() -> None:
    assert PROTOCOL.body([[1, 2]]) == {"instances": [[1, 2]]}
    assert PROTOCOL.path("lab", "digits") == "/v1/models/digits:predict"
    assert PROTOCOL.signature_path("a/b") == "/v1/models/a%2Fb/metadata"


@pytest.mark.parametrize("signature", ["serving_default", "other"])
def test_a_prediction_over_grpc_is_made_in_the_types_that_the_server_tells(signature: str) -> None:
    body = {"instances": [[1, 2]], **({} if signature == "serving_default" else {"signature_name": signature})}
    exchange = PROTOCOL.exchange("digits", body)
    asked(exchange)
    call = exchange.send(described(x=tfs_pb2.DT_FLOAT))
    assert call.path == methods.PREDICT.path
    request = tfs_pb2.PredictRequest.FromString(call.message)
    assert (request.model_spec.name, request.model_spec.signature_name) == ("digits", signature)
    assert dict(request.inputs) == {"x": tensor([[1, 2]], tfs_pb2.DT_FLOAT, "x")}
    answer = tfs_pb2.PredictResponse()
    answer.outputs["b"].CopyFrom(tensor([7], tfs_pb2.DT_INT64, "b"))
    answer.outputs["a"].CopyFrom(tensor(["x"], tfs_pb2.DT_STRING, "a"))
    with pytest.raises(StopIteration) as ended:
        exchange.send(answer.SerializeToString())
    assert ended.value.value == {"outputs": {"a": ["x"], "b": [7]}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"instances": [[1]], "signature_name": "no"}, "the model has no signature no; it has other, serving_default"),
        ({"inputs": {"x": [1]}}, "the model's inputs are x, y, not x"),
        ({"inputs": {"x": [1], "y": [1], "z": [1]}}, "the model's inputs are x, y, not x, y, z"),
    ],
)
def test_what_is_not_for_this_model_is_not_sent(body: dict[str, Any], message: str) -> None:
    exchange = PROTOCOL.exchange("digits", body)
    asked(exchange)
    with pytest.raises(TurnoutError, match=f"^{message}$"):
        exchange.send(described(x=tfs_pb2.DT_FLOAT, y=tfs_pb2.DT_FLOAT))


def metadata(**signatures: Any) -> dict[str, Any]:
    return {"metadata": {"signature_def": {"signature_def": signatures}}}


X = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "64"}], "unknown_rank": False}}
READ = Tensor("DT_FLOAT", (-1, 64))


@pytest.mark.parametrize(
    ("answer", "signature"),
    [
        (metadata(), Signature({}, {}, {})),
        (
            metadata(serving_default={"inputs": {"x": X}, "outputs": {"y": X}}, __saved_model_init_op={}),
            Signature({"x": READ}, {"y": READ}, {"serving_default": Signature({}, {})}),
        ),
        (metadata(other={"inputs": {"x": X}}), Signature({}, {}, {"other": Signature({"x": READ}, {})})),
        (
            metadata(serving_default={"inputs": {"x": {"dtype": "DT_STRING", "tensor_shape": {"unknown_rank": True}}}}),
            Signature({"x": Tensor("DT_STRING")}, {}, {"serving_default": Signature({}, {})}),
        ),
        (
            metadata(serving_default={"outputs": {"y": {"dtype": "DT_INT64", "tensor_shape": {}}}}),
            Signature({}, {"y": Tensor("DT_INT64", ())}, {"serving_default": Signature({}, {})}),
        ),
    ],
)
def test_the_usual_signature_stands_apart_from_the_others(answer: Any, signature: Signature) -> None:
    assert PROTOCOL.signature(answer) == signature


@pytest.mark.parametrize("answer", [None, [], {}, {"metadata": {}}, metadata(serving_default={"inputs": {"x": {}}})])
def test_what_is_no_such_answer_is_an_error(answer: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        PROTOCOL.signature(answer)
