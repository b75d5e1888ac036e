"""The Open Inference Protocol, as its callers speak it. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from deployer.rollout.analysis.signature import Signature, Tensor
from deployer.runtimes.base import Exchange, GrpcCall, ServingProtocol
from deployer.runtimes.oip import tensors
from protos import methods


class OipProtocol(ServingProtocol):
    """Triton always tells its signature, MLServer what the model's class or its settings declare."""

    name = "oip"

    def body(self, rows: list[Any]) -> dict[str, Any]:
        return tensors.body(rows)

    def path(self, namespace: str, deployment: str) -> str:
        return f"/v2/models/{deployment}/infer"

    def exchange(self, deployment: str, body: dict[str, Any]) -> Exchange:
        request = tensors.request(body)
        request.model_name = deployment
        answer = yield GrpcCall(methods.OIP_MODEL_INFER.path, request.SerializeToString())
        return tensors.response(methods.OIP_MODEL_INFER.response.FromString(answer))

    def signature_path(self, deployment: str) -> str:
        return f"/v2/models/{quote(deployment, safe='')}"

    def signature(self, answer: Any) -> Signature:
        """Of $metadata_model_response."""
        return Signature(_described(answer.get("inputs")), _described(answer.get("outputs")))


def _described(tensors: list[dict[str, Any]] | None) -> dict[str, Tensor]:
    return {str(tensor["name"]): Tensor(str(tensor["datatype"]), tuple(tensor["shape"])) for tensor in tensors or ()}


PROTOCOL = OipProtocol()
