"""A version's resources as Kubernetes has them, each amount written as the API server returns it. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from deployer.document.units import cores, memory_bytes
from deployer.kubernetes.manifests.basics import Object

if TYPE_CHECKING:
    from deployer.document.model import Amounts, Resources

GPU = "nvidia.com/gpu"

_POWERS_OF_1000 = ("", "k", "M", "G", "T", "P", "E")
_POWERS_OF_1024 = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def cpu(text: str) -> str:
    """`text` in the form that the API server gives it: "500m" for "0.5", "1" for "1000m"."""
    return _decimal(cores(text))


def memory(text: str) -> str:
    """`text` in the form that the API server gives it: "1Gi" for "1024Mi", "1536Mi" for "1.5Gi", "1G" for "1000M"."""
    amount = memory_bytes(text)
    # Less than one Ki, and parts of a byte, are written in thousands whatever they came in.
    if "i" not in text or amount < 1024 or amount % 1:
        return _decimal(amount)
    return _shortest(int(amount), 1024, _POWERS_OF_1024)


def resources(wanted: Resources, gpu: bool = True) -> Object:
    """A container's `resources`, without GPUs if it has no use for them; nothing where nothing is wanted."""
    made = {"requests": _amounts(wanted.requests, gpu), "limits": _amounts(wanted.limits, gpu)}
    return {name: amounts for name, amounts in made.items() if amounts}


def _amounts(wanted: Amounts, gpu: bool) -> Object:
    made = {}
    if wanted.cpu is not None:
        made["cpu"] = cpu(wanted.cpu)
    if wanted.memory is not None:
        made["memory"] = memory(wanted.memory)
    if gpu and wanted.gpu:
        made[GPU] = str(wanted.gpu)
    return made


def _decimal(amount: Decimal) -> str:
    thousandths = amount * 1000
    if thousandths % 1000:
        return f"{thousandths.to_integral_value(rounding='ROUND_CEILING')}m"
    return _shortest(int(amount), 1000, _POWERS_OF_1000)


def _shortest(amount: int, base: int, units: tuple[str, ...]) -> str:
    power = 0
    while amount % base == 0 and power < len(units) - 1:
        amount //= base
        power += 1
    return f"{amount}{units[power]}"
