"""Amounts of CPU and memory as Kubernetes writes them, and times as people do: 50ms, 60s, 10m, 1h. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

CPU_PATTERN = r"^([0-9]{1,6}(\.[0-9]{1,3})?|[0-9]{1,9}m)$"
MEMORY_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,3})?([kMGTPE]|[KMGTPE]i)?$"
DURATION_PATTERN = r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)$"

_UNITS = {unit: Decimal(1000) ** power for power, unit in enumerate(["", "k", "M", "G", "T", "P", "E"])}
_UNITS |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)}


def cores(text: str) -> Decimal:
    """CPUs in `text`: "2" is two, "0.5" and "500m" are half of one.

    Raises:
        ValueError: it is no such amount, or not above 0.
    """
    if not re.fullmatch(CPU_PATTERN, text):
        raise ValueError(f'{text!r} is no amount of CPU; write cores ("2", "0.5") or thousandths ("500m")')
    value = Decimal(text[:-1]) / 1000 if text.endswith("m") else Decimal(text)
    return _positive(value, text)


def memory_bytes(text: str) -> Decimal:
    """Bytes in `text`: "512Mi" is 512 * 1024 ** 2, "1G" is 1000 ** 3.

    Raises:
        ValueError: it is no such amount, or not above 0.
    """
    if not re.fullmatch(MEMORY_PATTERN, text):
        raise ValueError(f'{text!r} is no amount of memory; write bytes with a unit, such as "512Mi" or "2Gi"')
    number = text.rstrip("kKMGTPEi")
    return _positive(Decimal(number) * _UNITS[text[len(number) :]], text)


def _positive(value: Decimal, text: str) -> Decimal:
    if value <= 0:
        raise ValueError(f"{text!r} is nothing; write an amount above 0, or leave it out")
    return value


_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """The seconds of a duration that the document's pattern takes."""
    number = text.rstrip("mhs")
    return float(number) * _SECONDS[text[len(number) :]]
