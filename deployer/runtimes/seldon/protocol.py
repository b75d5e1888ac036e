"""Seldon's API, as its callers speak it. Pure."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format

from deployer.errors import TurnoutError
from deployer.rollout.analysis.signature import Signature, Tensor
from deployer.runtimes.base import Exchange, GrpcCall, ServingProtocol
from protos import methods, seldon_pb2


class SeldonProtocol(ServingProtocol):
    """A microservice tells of its signature what the class's `init_metadata` gives."""

    name = "seldon"

    def body(self, rows: list[Any]) -> dict[str, Any]:
        return {"data": {"ndarray": rows}}

    def path(self, namespace: str, deployment: str) -> str:
        return f"/seldon/{namespace}/{deployment}/api/v1.0/predictions"

    def exchange(self, deployment: str, body: dict[str, Any]) -> Exchange:
        request = seldon_pb2.SeldonMessage()
        try:
            json_format.ParseDict(body, request)
        except json_format.ParseError as error:
            raise TurnoutError(f"the data is no SeldonMessage: {error}") from None
        answer = yield GrpcCall(methods.SELDON_PREDICT.path, request.SerializeToString())
        return json_format.MessageToDict(seldon_pb2.SeldonMessage.FromString(answer))

    def metadata(self, namespace: str, deployment: str) -> dict[str, str]:
        return {"seldon": deployment, "namespace": namespace}

    def signature_path(self, deployment: str) -> str:
        return "/api/v1.0/metadata"

    def signature(self, answer: Any) -> Signature:
        """Of https://docs.seldon.io/projects/seldon-core/en/v1.17.1/reference/apis/metadata.html.

        The older of its two forms has no names for what goes in and out: their places stand for them.
        """
        return Signature(_described(answer.get("inputs")), _described(answer.get("outputs")))


def _described(tensors: list[dict[str, Any]] | None) -> dict[str, Tensor]:
    return {
        str(tensor.get("name", place)): _message(tensor)
        if "messagetype" in tensor
        else Tensor(str(tensor["datatype"]), tuple(tensor["shape"]))
        for place, tensor in enumerate(tensors or (), start=1)
    }


def _message(tensor: dict[str, Any]) -> Tensor:
    schema = tensor.get("schema", {})
    names = schema.get("names")
    kind = str(tensor["messagetype"])
    return Tensor(
        f"{kind} of {', '.join(names)}" if names else kind, tuple(schema["shape"]) if "shape" in schema else None
    )


PROTOCOL = SeldonProtocol()
