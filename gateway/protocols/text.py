"""What callers sent, as text: decoded for the table, and made safe to show."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from gateway.refusal import Code, Refusal


def decoded(raw: bytes) -> str:
    """A percent-encoded path segment as text. Raises Refusal (INVALID_ARGUMENT) where it is not UTF-8."""
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Refusal(Code.INVALID_ARGUMENT, "malformed_request", f"{shown(raw)} in the path is not UTF-8") from None


def shown(raw: bytes) -> str:
    """Bounded and printable, for a message that goes back and into the log."""
    return ascii(raw if len(raw) <= 160 else raw[:157] + b"...")[2:-1]
