"""What is kept of a rollout, made small for the status: of many gateways, with sticky keys, it would be large. Pure."""

from __future__ import annotations

import base64
import binascii
import zlib


def encoded(text: str) -> str:
    """As text that any field can hold."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def decoded(text: str) -> str:
    """What was encoded; "" where it is something else."""
    try:
        return zlib.decompress(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, zlib.error, ValueError):
        return ""
