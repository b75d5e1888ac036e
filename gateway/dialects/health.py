"""grpc.health.v1, which the gateway answers itself. Check says whether this gateway takes requests.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

from gateway.dialects import seldon_grpc, tfserving_grpc
from gateway.dialects.protobuf import values
from gateway.dialects.text import shown
from gateway.errors import Code, Refusal

SERVICE = b"/grpc.health.v1.Health/"
_CHECK = SERVICE + b"Check"
_SERVICES = {name.encode() for name in ("", *tfserving_grpc.SERVICES, *seldon_grpc.SERVICES)}

# HealthCheckResponse{status = 1}: SERVING is 1, NOT_SERVING 2.
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"


def answer(path: bytes, message: bytes | memoryview, serving: bool) -> bytes:
    """The response message to a request on a path that begins with `SERVICE`.

    Raises Refusal: UNIMPLEMENTED for anything but Check (Watch is for load balancers that keep one stream per server;
    asking again does the same), NOT_FOUND for a service that is not here, INVALID_ARGUMENT for a malformed message.
    """
    if path != _CHECK:
        raise Refusal(Code.UNIMPLEMENTED, "unknown_method", f"No method {shown(path)}; known: {_CHECK.decode()}")
    service = (values(message, 1) or [b""])[-1]
    if service not in _SERVICES:
        known = ", ".join(sorted(name.decode() for name in _SERVICES if name))
        raise Refusal(Code.NOT_FOUND, "unknown_service", f"No service {shown(service)!r}; known: {known}")
    return _SERVING if serving else _NOT_SERVING
