"""Asks a version's server what inputs and outputs it has."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from deployer.rollout.signature import Signature, Tensor
from gateway import table

_DEFAULT = "serving_default"
"""The signature of a SavedModel that a prediction means which names none."""
_UNTOLD = Signature({}, {})
TRIES = 3
"""Questions, before a server counts as one that doesn't tell."""


@dataclass
class Told:
    """What a server said of its signature, and how often it was asked."""

    signature: Signature | None = None
    tries: int = 0

    @property
    def done(self) -> bool:
        return self.signature is not None or self.tries >= TRIES


def fetch(runtime: table.Runtime, host: str, port: int, name: str, timeout: float = 2.0) -> Signature | None:
    """The signature of the model `name` that the server at `host`:`port` (REST) has, one version of it as all servers
    here; None where it doesn't answer, or doesn't tell. Blocks for about `timeout` seconds at most.

    TensorFlow's servers always tell. MLServer tells what the model's class or its settings declare, Seldon's
    microservice what the class's `init_metadata` gives.
    """
    path, read = _ASKED[runtime]
    try:
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=timeout, trust_env=False) as client:
            answer = client.get(path.format(quote(name, safe="")))
        signature = read(json.loads(answer.content)) if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError, TypeError, LookupError, AttributeError):  # the last four: it is no such answer
        return None
    return signature if signature and (signature.inputs or signature.outputs or signature.others) else None


def _tensorflow(answer: Any) -> Signature:
    """Of `GET /v1/models/NAME/metadata`: https://www.tensorflow.org/tfx/serving/api_rest#model_metadata_api."""
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


def _oip(answer: Any) -> Signature:
    """Of `GET /v2/models/NAME`: $metadata_model_response of the Open Inference Protocol."""
    return Signature(_described(answer.get("inputs")), _described(answer.get("outputs")))


def _seldon(answer: Any) -> Signature:
    """Of `GET /api/v1.0/metadata`: https://docs.seldon.io/projects/seldon-core/en/v1.17.1/reference/apis/metadata.html.

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


_ASKED: dict[table.Runtime, tuple[str, Callable[[Any], Signature]]] = {
    "tfserving": ("/v1/models/{}/metadata", _tensorflow),
    "oip": ("/v2/models/{}", _oip),
    "seldon": ("/api/v1.0/metadata", _seldon),
}
