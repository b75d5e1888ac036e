"""TensorFlow Serving's REST API; also behind Seldon's ingress prefix, where Seldon calls it its tensorflow protocol.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from gateway.protocols.base import PASSED_ON, Address
from gateway.protocols.text import decoded, shown
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin

_PREFIX = rb"(?:/+seldon/([^/:]+)(?:/([^/:]+))?)?"
_PIN = rb"(?:/versions/(\d+)|/labels/([^/:]+))?"
_PATHS = {
    b"POST": re.compile(_PREFIX + rb"(/v1/models/([^/:]+)" + _PIN + rb":(classify|regress|predict))", re.IGNORECASE),
    b"GET": re.compile(_PREFIX + rb"(/v1/models(?:/([^/:]+))?" + _PIN + rb"(?:/(metadata))?)", re.IGNORECASE),
}


class TfservingRest:
    name = "tfserving-rest"
    reads_along = True

    def address(self, method: bytes, target: bytes) -> Address:
        # Callers repeat few targets; longer ones are parsed each time, so that the cache stays under 2 MB.
        return _cached(method, target) if len(target) <= 256 else _address(method, target)

    def error(self, code: Code, status: int, message: str) -> tuple[bytes, bytes]:
        return b"application/json", json.dumps({"error": message}).encode()


def _address(verb: bytes, target: bytes) -> Address:
    path = target.partition(b"?")[0]
    verbs = _PATHS if verb in PASSED_ON else (verb,)
    match = next((match for one in verbs if one in _PATHS and (match := _PATHS[one].fullmatch(path))), None)
    if match is None:
        raise Refusal(Code.INVALID_ARGUMENT, "malformed_request", f"Malformed request: {shown(verb)} {shown(target)}")
    first, second, _, model, servable, label, method = match.groups()
    if model is None:
        raise Refusal(Code.INVALID_ARGUMENT, "malformed_request", "Missing model name in request.")
    pin = None
    if servable is not None:
        pin = Pin("servable", servable.lstrip(b"0").decode() or "0")
    elif label is not None:
        pin = Pin("label", decoded(label))
    return Address(
        TfservingRest.name,
        decoded(first) if second else None,
        decoded(second or first or model),
        pin,
        target[match.start(3) :],
        PASSED_ON.get(verb) or (method.lower().decode() if method else "status"),
        True,
    )


_cached = lru_cache(maxsize=4096)(_address)
