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

_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")


def is_preflight(fields: Mapping[bytes, bytes]) -> bool:
    """Whether an OPTIONS request with these fields (by lower-case name) is a browser's question beforehand."""
    return b"origin" in fields and b"access-control-request-method" in fields


def answer_lines(origin: bytes, origins: Collection[str]) -> bytes:
    """The lines for any answer to a page of `origin`; b"" where it is none of `origins`."""
    allowed = _allowed(origin, origins)
    return b"%bAccess-Control-Expose-Headers: %b\r\n" % (allowed, _EXPOSED) if allowed else b""


def preflight_lines(fields: Mapping[bytes, bytes], origins: Collection[str]) -> bytes:
    """The lines for the answer to a preflight; b"" where its origin is none of `origins`."""
    allowed = _allowed(fields[b"origin"], origins)
    if not allowed:
        return b""
    names = fields.get(b"access-control-request-headers", b"")
    asked = b"Access-Control-Allow-Headers: %b\r\n" % names if _NAMES.fullmatch(names) else b""
    return b"%bAccess-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n%bAccess-Control-Max-Age: %d\r\n" % (
        allowed,
        asked,
        _MAX_AGE,
    )


def is_own(line: bytes) -> bool:
    """Whether a field line of a server's answer speaks of what the deployment says itself."""
    return line[:15].lower() == b"access-control-"


def _allowed(origin: bytes, origins: Collection[str]) -> bytes:
    if ANY in origins:
        return b"Access-Control-Allow-Origin: *\r\n"
    if origin.decode("latin-1") in origins:
        return b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n" % origin
    return b""
