"""Seldon's API as its callers speak it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from deployer.errors import TurnoutError
from deployer.rollout.analysis.signature import Signature, Tensor
from deployer.runtimes.seldon.protocol import PROTOCOL
from protos import methods, seldon_pb2

BODY = PROTOCOL.body([[1.0, 2.0]])


def test_rows_are_asked_for_at_the_deployments_address() -> None:
    assert BODY == {"data": {"ndarray": [[1.0, 2.0]]}}
    assert PROTOCOL.path("lab", "digits") == "/seldon/lab/digits/api/v1.0/predictions"
    assert PROTOCOL.metadata("lab", "digits") == {"seldon": "digits", "namespace": "lab"}
    assert PROTOCOL.signature_path("digits") == "/api/v1.0/metadata"


def test_a_prediction_over_grpc_is_one_call() -> None:
    exchange = PROTOCOL.exchange("digits", BODY)
    call = next(exchange)
    assert call.path == methods.SELDON_PREDICT.path
    assert json_format.MessageToDict(seldon_pb2.SeldonMessage.FromString(call.message)) == BODY
    answer = json_format.ParseDict({"strData": "seven"}, seldon_pb2.SeldonMessage())
    with pytest.raises(StopIteration) as ended:
        exchange.send(answer.SerializeToString())
    assert ended.value.value == {"strData": "seven"}


def test_what_is_no_message_is_not_sent() -> None:
    with pytest.raises(TurnoutError, match=r'^the data is no SeldonMessage: .*"instances"'):
        next(PROTOCOL.exchange("digits", {"instances": [[1]]}))


@pytest.mark.parametrize(
    ("answer", "signature"),
    [
        ({"name": "digits"}, Signature({}, {})),
        (
            {
                "inputs": [{"datatype": "BYTES", "name": "x", "shape": [4]}],
                "outputs": [{"datatype": "FP32", "shape": []}],
            },
            Signature({"x": Tensor("BYTES", (4,))}, {"1": Tensor("FP32", ())}),
        ),
        (
            {
                "inputs": [
                    {"messagetype": "tensor", "schema": {"names": ["a", "b"], "shape": [2]}},
                    {"messagetype": "strData"},
                ],
                "outputs": [{"messagetype": "tensor", "schema": {"shape": [1]}}],
            },
            Signature(
                {"1": Tensor("tensor of a, b", (2,)), "2": Tensor("strData", None)}, {"1": Tensor("tensor", (1,))}
            ),
        ),
    ],
)
def test_the_signature_is_read_in_both_of_its_forms(answer: Any, signature: Signature) -> None:
    assert PROTOCOL.signature(answer) == signature
