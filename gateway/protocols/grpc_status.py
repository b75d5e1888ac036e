"""The text of a gRPC status as a header value.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Status-Message
"""

from __future__ import annotations

from urllib.parse import quote

_AS_THEY_ARE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def message(text: str) -> bytes:
    """`text` as `grpc-message` carries it: percent-encoded UTF-8, printable ASCII but % as it is."""
    return quote(text, safe=_AS_THEY_ARE, errors="replace").encode()
