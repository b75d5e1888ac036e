"""Who calls, as the proxies on a request's way say: `Forwarded` (RFC 7239) and `X-Forwarded-For`.

Each proxy adds the address that it was called from at the right. So what stands there is true if the proxy that calls
us is to be believed, and what stands left of an address as true as whoever has that address: the caller is the first
from the right that is no proxy of ours. What is farther left, anyone may have written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.wire.caller import Networks, among, caller_key, parse

FORWARDED: Final = b"forwarded"
X_FORWARDED_FOR: Final = b"x-forwarded-for"

MAX_PROXIES: Final = 16
"""In one request's way."""

MAX_PARTS: Final = 100
"""Of `Forwarded`, whose end can't be read without its beginning: pairs and empty ones, each of which costs as much."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PART = re.compile(
    rb"[ \t]*+(?:(?P<name>%b)=(?P<value>%b|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"))?[ \t]*+(?P<end>[;,]|\Z)"
    % (_TOKEN, _TOKEN),
    re.DOTALL,
)
_NODE = re.compile(
    rb"(?:\[(?P<six>[0-9a-fA-F:.]{2,45})\]|(?P<four>[0-9.]{7,15}))(?::(?:[0-9]{1,5}|_[0-9A-Za-z._-]++))?"
    rb"|(?P<bare>[0-9a-fA-F:.]{2,45})"
)
"""An address and perhaps a port. A bare one of IPv6, which `Forwarded` doesn't know, has none."""


class _MalformedField(ValueError):
    """The field can't be read as far as it has to be."""


def caller_of(forwarded: Sequence[bytes], x_forwarded_for: Sequence[bytes], proxies: Networks) -> str | None:
    """Whom a request's fields, in their order, name as its caller.

    None: they name nobody, or can't be read. Nor where there are both and they differ: most proxies write one of them,
    and hand on what their own caller wrote in the other.
    """
    if not forwarded:
        return _caller(_listed(x_forwarded_for), proxies)
    caller = _caller(_elements(forwarded), proxies)
    if x_forwarded_for and caller != _caller(_listed(x_forwarded_for), proxies):
        return None
    return caller


def _caller(nodes: Iterable[bytes], proxies: Networks) -> str | None:
    """`nodes`: from the right."""
    try:
        for _, node in zip(range(MAX_PROXIES + 1), nodes, strict=False):
            found = _NODE.fullmatch(node)
            if found is None:
                return None
            address = parse((found["six"] or found["four"] or found["bare"]).decode())
            if not among(address, proxies):
                return caller_key(address)
    except ValueError:
        pass
    return None


def _listed(fields: Sequence[bytes]) -> Iterator[bytes]:
    for field in reversed(fields):
        for node in reversed(field.rsplit(b",", MAX_PROXIES + 1)):
            yield node.strip(b" \t")


def _elements(fields: Sequence[bytes]) -> Iterator[bytes]:
    """What each element has as `for`. Raises _MalformedField."""
    parts = iter(range(MAX_PARTS))
    for field in reversed(fields):
        yield from reversed(_in_field(field, parts))


def _in_field(field: bytes, parts: Iterator[int]) -> list[bytes]:
    nodes = []
    pairs: dict[bytes, bytes] = {}
    position = 0
    for _ in parts:
        part = _PART.match(field, position)
        if part is None:
            break
        if part["name"] is not None:
            name = part["name"].lower()
            if name in pairs:
                raise _MalformedField
            pairs[name] = part["value"].strip(b'"')
        position = part.end()
        if part["end"] == b";":
            continue
        if pairs:  # a list may have empty elements
            nodes.append(pairs.get(b"for", b""))
            pairs = {}
        if not part["end"]:
            return nodes
    raise _MalformedField
