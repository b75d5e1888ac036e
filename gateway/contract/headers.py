"""Header fields (for gRPC: metadata) that mean something to both programs, by their names in lower case. Pure."""

from __future__ import annotations

from typing import Final

OWN: Final = b"x-turnout-"
"""What begins so is between the gateway and its caller, and goes no further."""

DEPLOYMENT: Final = b"x-turnout-deployment"
VERSION: Final = b"x-turnout-version"
ASSIGNMENT: Final = b"x-turnout-assignment"
TIMEOUT: Final = b"x-turnout-timeout-ms"

REQUEST_ID: Final = b"x-request-id"
"""By it a call is found again, in the caller's log, the gateway's and the server's: the caller's own, or one made."""
REQUEST_ID_PATTERN: Final = rb"[A-Za-z0-9._:/+=@~-]{1,120}"

SECRET: Final = frozenset((b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"))
"""Their values are never remembered from one message to the next."""

FIELD_NAME_PATTERN: Final = r"^[a-z0-9!#$%&'*+.^_`|~-]+$"
COOKIE_NAME_PATTERN: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
FIELD_VALUE_PATTERN: Final = r"^[ -~]*$"
ORIGIN_PATTERN: Final = r"^(\*|[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)$"
"""What a deployment may name to match by, or to find sticky keys by."""


def is_own(name: bytes) -> bool:
    """Whether a field of this name, in lower case, goes no further: also with underscores, which servers that know CGI
    take for the same name."""
    return name[:10].replace(b"_", b"-") == OWN
