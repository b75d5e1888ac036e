"""Times as people write them: 50ms, 60s, 10m, 1h. Pure."""

from __future__ import annotations

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """The seconds of a duration that the document's pattern takes."""
    number = text.rstrip("mhs")
    return float(number) * _UNITS[text[len(number) :]]
