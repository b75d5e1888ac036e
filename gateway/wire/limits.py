"""What both wires allow of a request."""

from __future__ import annotations

from typing import Final

MAX_FIELDS: Final = 100
"""In a request's head, as Envoy and Apache have it: each is decoded, checked and sent on. Model servers are believed to
know what they answer."""
