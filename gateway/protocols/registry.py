"""The APIs that callers speak: which deployment a request is for, and how each says that something is wrong. Pure."""

from __future__ import annotations

import re

from gateway.protocols.base import Address, GrpcProtocol, RestProtocol, with_headers
from gateway.protocols.oip_grpc import OipGrpc
from gateway.protocols.oip_rest import OipRest
from gateway.protocols.seldon_grpc import SeldonGrpc
from gateway.protocols.seldon_rest import SeldonRest
from gateway.protocols.tfserving_grpc import TfservingGrpc
from gateway.protocols.tfserving_rest import TfservingRest
from gateway.protocols.unknown import UnknownGrpc, UnknownRest

__all__ = ["NAMES", "Address", "GrpcProtocol", "RestProtocol", "grpc", "rest", "with_headers"]

_tfserving_rest, _seldon_rest, _oip_rest, _unknown_rest = TfservingRest(), SeldonRest(), OipRest(), UnknownRest()
_tfserving_grpc, _seldon_grpc, _oip_grpc, _unknown_grpc = TfservingGrpc(), SeldonGrpc(), OipGrpc(), UnknownGrpc()

NAMES = ("tfserving-rest", "tfserving-grpc", "seldon-rest", "seldon-grpc", "oip-rest", "oip-grpc", "unknown")
"""All that the metrics' label `protocol` can be."""

_OIP = re.compile(rb"/v2(?:[/?]|$)")
_BEHIND_SELDON = re.compile(
    rb"/seldon/[^/?]+(?:/[^/?]+)?/(?:"
    rb"(?P<tensorflow>(?i:v1/models)(?:[/?]|$))"
    # No more than that begins with /v2: a deployment may be called so.
    rb"|v2(?:/(?:models|repository)(?:[/?]|$)|/health/(?:live|ready)(?:[?]|$)|[?]|$)"
    rb")"
)


def rest(target: bytes) -> RestProtocol:
    """The protocol of a request-target in origin-form; where it is of none, one that refuses it and renders errors."""
    if target[:10].lower() == b"/v1/models":
        return _tfserving_rest
    if _OIP.match(target):
        return _oip_rest
    if target.startswith(b"//"):
        target = b"/" + target.lstrip(b"/")
        if not target.startswith((b"/seldon/", b"/api/v1.0/", b"/api/v0.1/")):
            return _unknown_rest
    if target.startswith(b"/seldon/"):
        match = _BEHIND_SELDON.match(target)
        if match is None:
            return _seldon_rest
        return _oip_rest if match["tensorflow"] is None else _tfserving_rest
    if target.startswith((b"/api/v1.0/", b"/api/v0.1/")):
        return _seldon_rest
    return _unknown_rest


def grpc(path: bytes) -> GrpcProtocol:
    """The protocol of a gRPC path; where it is of none, one that refuses it. What `health` answers is asked first."""
    if path.startswith(b"/tensorflow.serving."):
        return _tfserving_grpc
    if path.startswith(b"/seldon.protos."):
        return _seldon_grpc
    if path.startswith(b"/inference."):
        return _oip_grpc
    return _unknown_grpc
