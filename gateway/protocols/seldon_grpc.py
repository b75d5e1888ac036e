"""Seldon's v1 gRPC services. The deployment stands in the metadata `seldon` and `namespace`, as its ingress has it.

https://docs.seldon.io/projects/seldon-core/en/v1.17.1/graph/protocols.html
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.protocols.base import Address
from gateway.protocols.text import shown
from gateway.refusal import Code, Refusal

SERVICES = ("seldon.protos.Seldon", "seldon.protos.Model")
"""Of a deployment, and of its model alone: the Python microservice serves both."""

_METHODS = {
    b"/seldon.protos.Seldon/Predict": "predict",
    b"/seldon.protos.Seldon/SendFeedback": "feedback",
    b"/seldon.protos.Seldon/ModelMetadata": "metadata",
    b"/seldon.protos.Seldon/GraphMetadata": "graph_metadata",
    b"/seldon.protos.Model/Predict": "predict",
    b"/seldon.protos.Model/SendFeedback": "feedback",
    b"/seldon.protos.Model/Metadata": "metadata",
}


class SeldonGrpc:
    name = "seldon-grpc"

    def needs_message(self, path: bytes) -> bool:
        return False

    def streams(self, path: bytes) -> bool:
        return False

    def address(self, path: bytes, fields: Mapping[bytes, bytes], message: bytes | memoryview | None) -> Address:
        method = _METHODS.get(path)
        if method is None:
            known = ", ".join(method.decode() for method in _METHODS)
            raise Refusal(Code.UNIMPLEMENTED, "unknown_method", f"No method {shown(path)}; known: {known}")
        namespace, name = named(fields)
        return Address(self.name, namespace, name, None, path, method, method != "feedback")


def named(fields: Mapping[bytes, bytes]) -> tuple[str | None, str]:
    """The namespace and the name that the metadata give a deployment; no name is "". Raises Refusal: not ASCII."""
    namespace = fields.get(b"namespace")
    return _text(b"namespace", namespace) if namespace else None, _text(b"seldon", fields.get(b"seldon", b""))


def _text(key: bytes, value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise Refusal(
            Code.INVALID_ARGUMENT, "malformed_header", f"The metadata {key.decode()}: {shown(value)} is not ASCII"
        ) from None
