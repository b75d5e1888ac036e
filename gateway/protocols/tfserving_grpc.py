"""TensorFlow Serving's gRPC services. The deployment stands in the message's `model_spec`, wherever that is.

https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from google.protobuf.message import DecodeError

from gateway.protocols.base import Address, NotYet
from gateway.protocols.protobuf_scan import Beginning, values
from gateway.protocols.text import shown
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin
from protos.tfs_pb2 import ModelSpec

SERVICES = (
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.SessionService",
)

_MULTI_INFERENCE = b"/tensorflow.serving.PredictionService/MultiInference"
_RELOAD = b"/tensorflow.serving.ModelService/HandleReloadConfigRequest"
_METHODS = {
    b"/tensorflow.serving.PredictionService/Predict": "predict",
    b"/tensorflow.serving.PredictionService/Classify": "classify",
    b"/tensorflow.serving.PredictionService/Regress": "regress",
    b"/tensorflow.serving.PredictionService/GetModelMetadata": "metadata",
    _MULTI_INFERENCE: "multi_inference",
    b"/tensorflow.serving.ModelService/GetModelStatus": "status",
    b"/tensorflow.serving.SessionService/SessionRun": "session_run",
}


_MAX_TASK_BYTES = 65_536
"""Of a MultiInference request together: names, hundreds of times what they need. Each byte costs the data loop time."""


class TfservingGrpc:
    name = "tfserving-grpc"

    def needs_message(self, path: bytes) -> bool:
        return path in _METHODS

    def streams(self, path: bytes) -> bool:
        return False

    def address(self, path: bytes, fields: Mapping[bytes, bytes], message: bytes | memoryview | None) -> Address:
        if path not in _METHODS:
            raise _refused(path)
        specs = values(message or b"", 1)
        if path == _MULTI_INFERENCE:
            return _of_tasks(path, specs, isinstance(message, Beginning))
        if isinstance(message, Beginning) and not specs:
            raise NotYet(f"Compressed, the message has to begin with model_spec: there is none in {len(message)} bytes")
        return _of(path, specs)


def _of(path: bytes, specs: list[bytes]) -> Address:
    if not specs:
        raise _invalid("Missing ModelSpec")
    if len(specs) > 1:
        # Protobuf merges them; which deployment then gets the request should not hang on that.
        raise _invalid("model_spec appears twice")
    spec = specs[0]
    # Callers repeat few specs; longer ones are decoded each time, so that the cache stays under 2 MB.
    return _cached(path, spec) if len(spec) <= 256 else _address(path, spec)


def _of_tasks(path: bytes, tasks: list[bytes], begun: bool) -> Address:
    """The one address of all tasks of a MultiInference request: its answer comes from one model. `begun`: there are
    more."""
    if begun or sum(map(len, tasks)) > _MAX_TASK_BYTES:
        raise _invalid(f"The request's tasks are over {_MAX_TASK_BYTES} bytes")
    addresses = {_of(path, values(task, 1)) for task in tasks}
    if not addresses:
        raise _invalid("The request has no tasks, so no model_spec")
    if len(addresses) > 1:
        raise _invalid("All tasks must name the same model and the same version")
    return addresses.pop()


def _address(path: bytes, raw: bytes) -> Address:
    try:
        spec = ModelSpec.FromString(raw)
    except DecodeError:
        raise _invalid("model_spec is no ModelSpec message") from None
    if not spec.name:
        raise _invalid("ModelSpec has no name specified.")
    pin = None
    if spec.HasField("version"):
        pin = Pin("servable", str(spec.version.value))
    elif spec.HasField("version_label"):
        pin = Pin("label", spec.version_label)
    method = _METHODS[path]
    # A session may have operations that change it.
    return Address(TfservingGrpc.name, None, spec.name, pin, path, method, method != "session_run")


_cached = lru_cache(maxsize=4096)(_address)


def _invalid(message: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, "malformed_message", message)


def _refused(path: bytes) -> Refusal:
    if path == _RELOAD:
        return Refusal(
            Code.PERMISSION_DENIED,
            "forbidden_method",
            "HandleReloadConfigRequest is not let through: what servers load is set in the ModelDeployment",
        )
    known = ", ".join(method.decode() for method in _METHODS)
    return Refusal(Code.UNIMPLEMENTED, "unknown_method", f"No method {shown(path)}; known: {known}")
