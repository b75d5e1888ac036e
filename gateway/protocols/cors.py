"""Pages of other origins: what lets a browser show them an answer, where the deployment names their origin. Pure.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

ANY = "*"

_MAX_AGE = 600
"""Seconds that a browser may keep the answer to a preflight: a change of the document is seen within that."""

_EXPOSED = b"x-turnout-version, x-turnout-assignment, x-request-id, retry-after"
"""What of an answer a page may read beside the plain fields."""

_VARY = b"Vary: Origin\r\n"

_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")


def is_preflight(fields: Mapping[bytes, bytes]) -> bool:
    """Whether an OPTIONS request with these fields (by lower-case name) is a browser's question beforehand."""
    return b"origin" in fields and b"access-control-request-method" in fields


def answer_lines(origin: bytes | None, origins: Collection[str]) -> bytes:
    """The lines for any answer of a deployment that names `origins`, to a page of `origin` or to nobody's. Whoever
    keeps answers is told of all that others would get others."""
    allowed = _allowed(origin, origins)
    return b"%b%bAccess-Control-Expose-Headers: %b\r\n" % (_VARY, allowed, _EXPOSED) if allowed else _VARY


def preflight_lines(fields: Mapping[bytes, bytes], origins: Collection[str]) -> bytes:
    """The lines for the answer to a preflight; nothing is allowed where its origin is none of `origins`."""
    allowed = _allowed(fields[b"origin"], origins)
    if not allowed:
        return _VARY
    names = fields.get(b"access-control-request-headers", b"")
    asked = b"Access-Control-Allow-Headers: %b\r\n" % names if _NAMES.fullmatch(names) else b""
    return b"%b%bAccess-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n%bAccess-Control-Max-Age: %d\r\n" % (
        _VARY,
        allowed,
        asked,
        _MAX_AGE,
    )


def is_own(line: bytes) -> bool:
    """Whether a field line of a server's answer speaks of what the deployment says itself."""
    return line[:15].lower() == b"access-control-"


def _allowed(origin: bytes | None, origins: Collection[str]) -> bytes:
    if origin is None:
        return b""
    if ANY in origins:
        return b"Access-Control-Allow-Origin: *\r\n"
    return b"Access-Control-Allow-Origin: %b\r\n" % origin if origin.decode("latin-1") in origins else b""
