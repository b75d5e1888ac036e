"""What is said to a request that speaks no known protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.protocols import oip_grpc, seldon_grpc, tfserving_grpc
from gateway.protocols.base import Address
from gateway.protocols.text import shown
from gateway.refusal import Code, Refusal


class UnknownRest:
    name = "unknown"
    reads_along = False

    def address(self, method: bytes, target: bytes) -> Address:
        raise Refusal(
            Code.NOT_FOUND,
            "unknown_path",
            f"No API has the path {shown(target)}: TensorFlow Serving's begin with /v1/models/, "
            "those of the Open Inference Protocol with /v2/models/, Seldon's with /seldon/<namespace>/<deployment>/",
        )

    def error(self, code: Code, status: int, message: str) -> tuple[bytes, bytes]:
        return b"application/json", json.dumps({"error": message}).encode()


class UnknownGrpc:
    name = "unknown"

    def needs_message(self, path: bytes) -> bool:
        return False

    def streams(self, path: bytes) -> bool:
        return False

    def address(self, path: bytes, fields: Mapping[bytes, bytes], message: bytes | memoryview | None) -> Address:
        known = ", ".join((*tfserving_grpc.SERVICES, *seldon_grpc.SERVICES, oip_grpc.SERVICE))
        raise Refusal(
            Code.UNIMPLEMENTED, "unknown_method", f"No service has the method {shown(path)}; known services: {known}"
        )
