"""What a pod can be told about itself, by field path or resource. Pure."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

Object = dict[str, Any]
CAPACITY = {"cpu": "64", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"}
"""A node's. More than this machine has: the tests' pods ask for what real ones would, and use little of it."""
_KEYED = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


def field(pod: Object, path: str) -> str:
    """Raises KeyError for a path that a pod doesn't have."""
    if keyed := _KEYED.fullmatch(path):
        return str(pod["metadata"].get(keyed[1], {}).get(keyed[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        return "\n".join(f'{key}="{value}"' for key, value in pod["metadata"].get(path[9:], {}).items())
    if path in ("status.podIPs", "status.hostIPs"):
        return ",".join(address["ip"] for address in pod["status"][path[7:]])
    value: Any = pod
    for part in path.split("."):
        value = value[part]
    return str(value)


def resource(container: Object, wanted: Object) -> str:
    """The quantity asked for in units of its divisor, rounded up; a limit that isn't set is the node's."""
    kind, _, name = wanted["resource"].partition(".")
    quantity = container.get("resources", {}).get(kind, {}).get(name, CAPACITY[name] if kind == "limits" else "0")
    return str(math.ceil(_number(quantity) / (_number(wanted.get("divisor") or "1") or 1)))


def _number(quantity: str) -> Decimal:
    number: Decimal = parse_quantity(quantity)  # type: ignore[no-untyped-call]
    return number


def expanded(text: str, env: dict[str, str]) -> str:
    """`$(NAME)` replaced where the variable is known, and `$$(` taken as `$(`."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else env.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^()]+)\)", value, text)
