"""The APIs that callers speak: which deployment a request is for, and how each says that something is wrong. Pure."""

from __future__ import annotations

import re

from gateway.dialects.address import Address, GrpcDialect, RestDialect, with_headers
from gateway.dialects.seldon_grpc import SeldonGrpc
from gateway.dialects.seldon_rest import SeldonRest
from gateway.dialects.tfserving_grpc import TfservingGrpc
from gateway.dialects.tfserving_rest import TfservingRest
from gateway.dialects.unknown import UnknownGrpc, UnknownRest

__all__ = ["NAMES", "Address", "GrpcDialect", "RestDialect", "grpc", "rest", "with_headers"]

_tfserving_rest, _seldon_rest, _unknown_rest = TfservingRest(), SeldonRest(), UnknownRest()
_tfserving_grpc, _seldon_grpc, _unknown_grpc = TfservingGrpc(), SeldonGrpc(), UnknownGrpc()

NAMES = ("tfserving-rest", "tfserving-grpc", "seldon-rest", "seldon-grpc", "unknown")
"""All that the metrics' label `dialect` can be."""

_TENSORFLOW_BEHIND_SELDON = re.compile(rb"/seldon/[^/?]+(?:/[^/?]+)?/v1/models(?:[/?]|$)", re.IGNORECASE)


def rest(target: bytes) -> RestDialect:
    """The dialect of a request-target in origin-form; where it is of none, one that refuses it and renders errors."""
    if target[:10].lower() == b"/v1/models":
        return _tfserving_rest
    if target.startswith(b"/seldon/"):
        return _tfserving_rest if _TENSORFLOW_BEHIND_SELDON.match(target) else _seldon_rest
    if target.startswith((b"/api/v1.0/", b"/api/v0.1/")):
        return _seldon_rest
    return _unknown_rest


def grpc(path: bytes) -> GrpcDialect:
    """The dialect of a gRPC path; where it is of none, one that refuses it. `health` is not a dialect: ask it first."""
    if path.startswith(b"/tensorflow.serving."):
        return _tfserving_grpc
    if path.startswith(b"/seldon.protos."):
        return _seldon_grpc
    return _unknown_grpc
