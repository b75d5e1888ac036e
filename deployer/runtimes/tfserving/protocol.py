"""TensorFlow Serving's API, as its callers speak it. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from deployer.errors import TurnoutError
from deployer.rollout.analysis.signature import Signature, Tensor
from deployer.runtimes.base import Exchange, GrpcCall, ServingProtocol
from deployer.runtimes.tfserving.tensors import columns, nested, tensor
from protos import methods, tfs_pb2

_DEFAULT = "serving_default"
"""The signature of a SavedModel that a prediction means which names none."""
_UNTOLD = Signature({}, {})


class TfServingProtocol(ServingProtocol):
    """Servers always tell the signature, and a prediction over gRPC needs it."""

    name = "tfserving"

    def body(self, rows: list[Any]) -> dict[str, Any]:
        return {"instances": rows}

    def path(self, namespace: str, deployment: str) -> str:
        return f"/v1/models/{deployment}:predict"

    def exchange(self, deployment: str, body: dict[str, Any]) -> Exchange:
        signature = str(body.get("signature_name", _DEFAULT))
        question = tfs_pb2.GetModelMetadataRequest(
            model_spec=tfs_pb2.ModelSpec(name=deployment), metadata_field=["signature_def"]
        )
        described = methods.GET_MODEL_METADATA.response.FromString(
            (yield GrpcCall(methods.GET_MODEL_METADATA.path, question.SerializeToString()))
        )
        signatures = tfs_pb2.SignatureDefMap.FromString(described.metadata["signature_def"].value).signature_def
        if signature not in signatures:
            raise TurnoutError(f"the model has no signature {signature}; it has {', '.join(sorted(signatures))}")
        inputs = signatures[signature].inputs
        values = columns(body, sorted(inputs))
        if values.keys() != set(inputs):
            raise TurnoutError(f"the model's inputs are {', '.join(sorted(inputs))}, not {', '.join(sorted(values))}")
        request = tfs_pb2.PredictRequest(model_spec=tfs_pb2.ModelSpec(name=deployment, signature_name=signature))
        for name, value in values.items():
            request.inputs[name].CopyFrom(tensor(value, inputs[name].dtype, name))
        answer = methods.PREDICT.response.FromString(
            (yield GrpcCall(methods.PREDICT.path, request.SerializeToString()))
        )
        return {"outputs": {name: nested(output) for name, output in sorted(answer.outputs.items())}}

    def signature_path(self, deployment: str) -> str:
        return f"/v1/models/{quote(deployment, safe='')}/metadata"

    def signature(self, answer: Any) -> Signature:
        """Of https://www.tensorflow.org/tfx/serving/api_rest#model_metadata_api."""
        found = {
            name: Signature(
                {key: _info(info) for key, info in signature.get("inputs", {}).items()},
                {key: _info(info) for key, info in signature.get("outputs", {}).items()},
            )
            for name, signature in answer["metadata"]["signature_def"]["signature_def"].items()
            if not name.startswith("__")  # what initialises the model
        }
        usual = found.get(_DEFAULT, _UNTOLD)
        # Its name stays among the others, so that it is missed where it is gone.
        return Signature(usual.inputs, usual.outputs, found | ({_DEFAULT: _UNTOLD} if _DEFAULT in found else {}))


def _info(info: dict[str, Any]) -> Tensor:
    shape = info["tensor_shape"]
    if shape.get("unknown_rank"):
        return Tensor(info["dtype"])
    return Tensor(info["dtype"], tuple(int(dim["size"]) for dim in shape.get("dim", ())))


PROTOCOL = TfServingProtocol()
