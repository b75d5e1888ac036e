"""The Open Inference Protocol's REST API; also behind Seldon's ingress prefix, where Seldon calls it its v2 protocol.

A body may be JSON, or JSON with tensors after it (`Inference-Header-Content-Length`): either goes on as it came.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from gateway.protocols.base import PASSED_ON, Address, wrong_verb
from gateway.protocols.text import decoded, shown
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin

LIVE, READY = "server_live", "server_ready"
"""The methods that the gateway answers itself where no deployment is named: see `health`."""

_PATH = re.compile(
    rb"(/+seldon/([^/]+)(?:/([^/]+))?)?/v2(?:"
    rb"/models/([^/]+)(?:/versions/([^/]+))?"
    rb"(?:/(?P<infer>infer|infer_stream|generate|generate_stream)|/(?P<ready>ready)|(?P<metadata>))"
    rb"|/health/(?:(?P<server_live>live)|(?P<server_ready>ready))"
    rb"|(?P<server_metadata>)"
    rb"|(?P<repository>/repository/.+)"
    rb")/?"  # of a slash too many at the end servers think differently: MLServer redirects, Triton knows no such path
)


class OipRest:
    name = "oip-rest"
    reads_along = True

    def address(self, method: bytes, target: bytes) -> Address:
        # Callers repeat few targets; longer ones are parsed each time, so that the cache stays under 2 MB.
        return _cached(method, target) if len(target) <= 256 else _address(method, target)

    def error(self, code: Code, status: int, message: str) -> tuple[bytes, bytes]:
        return b"application/json", json.dumps({"error": message}).encode()


def _address(verb: bytes, target: bytes) -> Address:
    match = _PATH.fullmatch(target.partition(b"?")[0])
    if match is None:
        raise Refusal(
            Code.NOT_FOUND,
            "unknown_path",
            f"No such path: {shown(target)}; known: /v2/models/<deployment>[/versions/<version>][/infer|/ready], /v2, "
            "/v2/health/live and /v2/health/ready, each also after /seldon/<namespace>/<deployment>",
        )
    method = str(match.lastgroup)
    if method == "repository":
        raise Refusal(
            Code.PERMISSION_DENIED,
            "forbidden_method",
            f"{shown(target)} is not let through: what servers load is set in the ModelDeployment",
        )
    wanted = b"POST" if method == "infer" else b"GET"
    if verb in PASSED_ON:
        if method not in (LIVE, READY) or verb != b"HEAD":  # of the gateway itself it has the status of GET
            method = PASSED_ON[verb]
    elif verb != wanted:
        raise wrong_verb(verb, target, (wanted,))
    prefix, first, second, model, version = match.groups()[:5]
    return Address(
        OipRest.name,
        decoded(first) if second else None,
        decoded(second or first or model or b""),
        Pin("version", decoded(version)) if version else None,
        target[len(prefix or b"") :],
        method,
        True,
    )


_cached = lru_cache(maxsize=4096)(_address)
