"""Seldon's v1 REST protocol: `/seldon/<namespace>/<deployment>/` as its ingress has it, the rest as its servers do.

A caller that leaves the namespace out (SeldonClient does by default) or the whole prefix (its gateway "seldon") is
understood too. Bodies (JSON, forms, multipart, `?json=`) are the servers' affair.

https://docs.seldon.io/projects/seldon-core/en/v1.17.1/reference/apis/index.html
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from gateway.protocols.base import PASSED_ON, Address, wrong_verb
from gateway.protocols.text import decoded, shown
from gateway.refusal import Code, Refusal

# The long paths are those of Seldon's service, the short ones of its Python microservice.
_PATH = re.compile(
    # The microservice takes its own paths with a slash too many before them.
    rb"(?:/+seldon/([^/]+)(?:/([^/]+))?)?(/+)(?:"
    rb"(?P<predict>api/v(?:1\.0|0\.1)/predictions|predict)"
    rb"|(?P<feedback>api/v(?:1\.0|0\.1)/feedback|send-feedback)"
    rb"|(?P<status>api/v1\.0/status(?:/[^/]+)?)"
    rb"|(?P<metadata>(?:api/v1\.0/)?metadata(?:/[^/]+)?)"
    rb"|(?P<health>(?:api/v1\.0/)?health/(?:status|ping))"
    rb")"
)
_READ = (b"GET",)
_WRITE = (b"GET", b"POST")
"""The microservice takes `GET /predict?json=`; where it does not take GET, it says so itself."""


class SeldonRest:
    name = "seldon-rest"
    reads_along = False  # gunicorn's workers are of one thread

    def address(self, method: bytes, target: bytes) -> Address:
        # Callers repeat few targets; longer ones are parsed each time, so that the cache stays under 2 MB.
        return _cached(method, target) if len(target) <= 256 else _address(method, target)

    def error(self, code: Code, status: int, message: str) -> tuple[bytes, bytes]:
        body = {"status": {"code": status, "info": message, "status": "FAILURE"}}
        return b"application/json", json.dumps(body).encode()


def _address(verb: bytes, target: bytes) -> Address:
    match = _PATH.fullmatch(target.partition(b"?")[0])
    # After one name that slash may be in place of another name.
    if match is None or (match[1] and not match[2] and len(match[3]) > 1):
        raise Refusal(
            Code.NOT_FOUND,
            "unknown_path",
            f"No such path: {shown(target)}; after /seldon/<namespace>/<deployment> come /api/v1.0/predictions, "
            "/api/v1.0/feedback, /api/v1.0/status, /api/v1.0/metadata, /api/v1.0/health/status, /v1/models/... or "
            "/v2/models/...",
        )
    method = str(match.lastgroup)
    verbs = _WRITE if method in ("predict", "feedback") else _READ
    if verb not in verbs and verb not in PASSED_ON:
        raise wrong_verb(verb, target, verbs)
    first, second = match[1], match[2]
    return Address(
        SeldonRest.name,
        decoded(first) if second else None,
        decoded(second or first or b""),
        None,
        target[match.start(method) - 1 :],
        PASSED_ON.get(verb, method),
        method != "feedback",
    )


_cached = lru_cache(maxsize=4096)(_address)
