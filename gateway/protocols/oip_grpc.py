"""The Open Inference Protocol's gRPC service. The deployment is the message's model, wherever its name stands; or that
of Seldon's metadata `seldon` and `namespace`, as its ingress has it.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from gateway.protocols.base import Address, NotYet
from gateway.protocols.protobuf_scan import Beginning, values
from gateway.protocols.seldon_grpc import named
from gateway.protocols.text import shown
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin

SERVICE = "inference.GRPCInferenceService"

_PREFIX = f"/{SERVICE}/".encode()
LIVE, READY = _PREFIX + b"ServerLive", _PREFIX + b"ServerReady"
"""What the gateway answers itself where no deployment is named: see `health`."""

_STREAM = _PREFIX + b"ModelStreamInfer"
"""Triton's and MLServer's, in the same service: any number of ModelInfer's messages. The first names the model."""

_OF_A_MODEL = {
    _PREFIX + b"ModelInfer": "infer",
    _STREAM: "stream_infer",
    _PREFIX + b"ModelReady": "ready",
    _PREFIX + b"ModelMetadata": "metadata",
}
"""The name is field 1 of each of their messages, the version field 2."""
_OF_A_SERVER = {LIVE: "server_live", READY: "server_ready", _PREFIX + b"ServerMetadata": "server_metadata"}


class OipGrpc:
    name = "oip-grpc"

    def needs_message(self, path: bytes) -> bool:
        return path in _OF_A_MODEL

    def streams(self, path: bytes) -> bool:
        return path == _STREAM

    def address(self, path: bytes, fields: Mapping[bytes, bytes], message: bytes | memoryview | None) -> Address:
        if path in _OF_A_MODEL:
            address = _of_a_model(path, message or b"")
        elif path in _OF_A_SERVER:
            address = Address(self.name, None, "", None, path, _OF_A_SERVER[path], True)
        else:
            raise _refused(path)
        if b"seldon" in fields:
            namespace, name = named(fields)
            return address._replace(namespace=namespace, name=name)
        return address


def _of_a_model(path: bytes, message: bytes | memoryview) -> Address:
    names, versions = values(message, 1), values(message, 2)
    if isinstance(message, Beginning) and not names:
        raise NotYet(f"compressed, the message has to begin with model_name: there is none in {len(message)} bytes")
    if len(names) > 1 or len(versions) > 1:
        # Protobuf takes the last; which deployment then gets the request should not hang on that.
        raise _invalid(f"the model's {'name' if len(names) > 1 else 'version'} appears twice")
    name, version = names[0] if names else b"", versions[0] if versions else b""
    # Callers repeat few models; longer names are decoded each time, so that the cache stays under 2 MB.
    return (_cached if len(name) + len(version) <= 256 else _address)(path, name, version)


def _address(path: bytes, name: bytes, version: bytes) -> Address:
    if not name:
        raise _invalid("the request names no model")
    pin = Pin("version", _text(version)) if version else None
    return Address(OipGrpc.name, None, _text(name), pin, path, _OF_A_MODEL[path], True)


_cached = lru_cache(maxsize=4096)(_address)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise _invalid(f"{shown(raw)}, which should name a model or its version, is not UTF-8") from None


def _invalid(message: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, "malformed_message", message)


def _refused(path: bytes) -> Refusal:
    if b"Repository" in path:
        return Refusal(
            Code.PERMISSION_DENIED,
            "forbidden_method",
            f"{shown(path)} is not let through: what servers load is set in the ModelDeployment",
        )
    known = ", ".join(method.decode() for method in (*_OF_A_MODEL, *_OF_A_SERVER))
    return Refusal(Code.UNIMPLEMENTED, "unknown_method", f"No method {shown(path)}; known: {known}")
