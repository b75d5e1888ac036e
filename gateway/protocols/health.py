"""What a gateway says of its own health. Pure.

grpc.health.v1 is answered by it alone; so are the Open Inference Protocol's questions for a server's health
(`/v2/health/ready`, `ServerReady`) where they name no deployment, since clients ask them before anything else. With a
name they go to one of the deployment's servers.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.contract.headers import DEPLOYMENT
from gateway.protocols import oip_grpc, oip_rest, seldon_grpc, tfserving_grpc
from gateway.protocols.base import Address
from gateway.protocols.protobuf_scan import values
from gateway.protocols.text import shown
from gateway.refusal import Code, Refusal

_PREFIX = b"/grpc.health.v1.Health/"
_CHECK = _PREFIX + b"Check"
_SERVICES = {name.encode() for name in ("", *tfserving_grpc.SERVICES, *seldon_grpc.SERVICES, oip_grpc.SERVICE)}

# HealthCheckResponse{status = 1}: SERVING is 1, NOT_SERVING 2.
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
# ServerLiveResponse{live = 1} and ServerReadyResponse{ready = 1}, of which false is left out.
_TRUE, _FALSE = b"\x08\x01", b""


def asked(path: bytes, fields: Mapping[bytes, bytes]) -> bool:
    """Whether a gRPC request with this path and these metadata is for the gateway itself."""
    if path == oip_grpc.LIVE or path == oip_grpc.READY:
        return DEPLOYMENT not in fields and b"seldon" not in fields
    return path.startswith(_PREFIX)


def answer(path: bytes, message: bytes | memoryview, serving: bool) -> bytes:
    """The response message to a request that `asked` is true for.

    Raises Refusal: UNIMPLEMENTED for anything but Check (Watch is for load balancers that keep one stream per server;
    asking again does the same), NOT_FOUND for a service that is not here, INVALID_ARGUMENT for a malformed message.
    """
    if path == oip_grpc.LIVE:
        return _TRUE
    if path == oip_grpc.READY:
        return _TRUE if serving else _FALSE
    if path != _CHECK:
        raise Refusal(Code.UNIMPLEMENTED, "unknown_method", f"No method {shown(path)}; known: {_CHECK.decode()}")
    service = (values(message, 1) or [b""])[-1]
    if service not in _SERVICES:
        known = ", ".join(sorted(name.decode() for name in _SERVICES if name))
        raise Refusal(Code.NOT_FOUND, "unknown_service", f"No service {shown(service)!r}; known: {known}")
    return _SERVING if serving else _NOT_SERVING


def asked_over_rest(address: Address) -> bool:
    """Whether a REST request without `x-turnout-deployment` is for the gateway itself."""
    return not address.name and address.method in (oip_rest.LIVE, oip_rest.READY)


def rest_answer(method: str, serving: bool) -> tuple[int, bytes]:
    """The status and the JSON of the answer to a request that `asked_over_rest` is true for."""
    if method == oip_rest.LIVE:
        return 200, json.dumps({"live": True}).encode()
    return 200 if serving else 503, json.dumps({"ready": serving}).encode()
