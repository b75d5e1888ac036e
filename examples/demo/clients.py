"""A client for each API: it sends a digit's image, to the gateway or to a model server itself, and reads the answer."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol

import grpc

from deployer.runtimes.tfserving.tensors import nested
from protos import methods, seldon_pb2, tfs_pb2
from protos.methods import Method, Request, Response

VERSION = "x-turnout-version"
TIMEOUT = 30.0
"""Seconds: far more than an answer takes, so that one which never comes is told, and not waited for."""

Image = Sequence[float]
"""64 values in [0, 1]."""


class Answer(NamedTuple):
    version: str
    """As the gateway names it; "" where a model server answers itself."""
    digit: int
    content: bytes
    """The whole answer, equal for equal ones."""


class Unanswered(Exception):
    """There was no answer, or it was an error."""


class Client(Protocol):
    """One connection. `ask` raises Unanswered."""

    def ask(self, image: Image) -> Answer: ...
    def close(self) -> None: ...


class Api(NamedTuple):
    """One of the ways to ask a deployment. `connect` takes an address, `host:port`; `direct` says that a model server
    is there and not the gateway."""

    deployment: str
    name: str
    protocol: str
    """Its name in the metrics."""
    port: str
    """Which port of a model server speaks it: `rest` or `grpc`."""
    connect: Callable[[str, bool], Client]


class Rest:
    def __init__(self, address: str, path: str, body: Callable[[Image], object], digit: Callable[[Any], int]) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
        self._path, self._body, self._digit = path, body, digit

    def ask(self, image: Image) -> Answer:
        headers = {"content-type": "application/json"}
        try:
            self._connection.request("POST", self._path, json.dumps(self._body(image)), headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens another
            raise Unanswered(f"{type(error).__name__} {error}") from None
        if response.status != 200:
            raise Unanswered(f"{response.status} {content[:200]!r}")
        return Answer(response.headers.get(VERSION, ""), self._digit(json.loads(content)), content)

    def close(self) -> None:
        self._connection.close()


class Grpc(Generic[Request, Response]):
    def __init__(
        self,
        address: str,
        method: Method[Request, Response],
        metadata: Mapping[str, str],
        message: Callable[[Image], Request],
        digit: Callable[[Response], int],
    ) -> None:
        # A connection of its own: gRPC would share one among all channels to an address.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        self._channel = grpc.insecure_channel(address, options)
        self._call = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        self._metadata = tuple(metadata.items())
        self._message, self._digit = message, digit

    def ask(self, image: Image) -> Answer:
        try:
            response, call = self._call.with_call(self._message(image), timeout=TIMEOUT, metadata=self._metadata)
        except grpc.RpcError as error:
            raise Unanswered(_status(error)) from None
        version = next((str(value) for key, value in call.initial_metadata() if key == VERSION), "")
        return Answer(version, self._digit(response), response.SerializeToString(deterministic=True))

    def close(self) -> None:
        self._channel.close()


def _status(error: grpc.RpcError) -> str:
    assert isinstance(error, grpc.Call)
    return f"{error.code().name} {error.details()}"


def _tfserving_message(image: Image) -> tfs_pb2.PredictRequest:
    request = tfs_pb2.PredictRequest(model_spec=tfs_pb2.ModelSpec(name="digits"))
    images = request.inputs["images"]
    images.dtype = tfs_pb2.DT_FLOAT
    images.tensor_shape.dim.add(size=1)
    images.tensor_shape.dim.add(size=len(image))
    images.float_val.extend(image)
    return request


def _seldon_message(image: Image) -> seldon_pb2.SeldonMessage:
    return seldon_pb2.SeldonMessage(
        data=seldon_pb2.DefaultData(tensor=seldon_pb2.Tensor(shape=[1, len(image)], values=image))
    )


def _best(scores: Sequence[float]) -> int:
    return max(range(len(scores)), key=scores.__getitem__)


def _tfserving_rest(address: str, direct: bool) -> Client:
    return Rest(
        address,
        "/v1/models/digits:predict",
        lambda image: {"instances": [image]},
        lambda answer: int(answer["predictions"][0]["classes"]),
    )


def _tfserving_grpc(address: str, direct: bool) -> Client:
    return Grpc(
        address, methods.PREDICT, {}, _tfserving_message, lambda answer: int(nested(answer.outputs["classes"])[0])
    )


def _seldon_rest(address: str, direct: bool) -> Client:
    return Rest(
        address,
        "/api/v1.0/predictions" if direct else "/seldon/default/digits-seldon/api/v1.0/predictions",
        lambda image: {"data": {"ndarray": [image]}},
        lambda answer: _best(answer["data"]["ndarray"][0]),
    )


def _seldon_grpc(address: str, direct: bool) -> Client:
    metadata = {} if direct else {"seldon": "digits-seldon", "namespace": "default"}
    return Grpc(
        address, methods.SELDON_PREDICT, metadata, _seldon_message, lambda answer: _best(answer.data.tensor.values)
    )


APIS = (
    Api("digits", "TF-Serving REST", "tfserving-rest", "rest", _tfserving_rest),
    Api("digits", "TF-Serving gRPC", "tfserving-grpc", "grpc", _tfserving_grpc),
    Api("digits-seldon", "Seldon REST", "seldon-rest", "rest", _seldon_rest),
    Api("digits-seldon", "Seldon gRPC", "seldon-grpc", "grpc", _seldon_grpc),
)
