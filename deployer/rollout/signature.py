"""A version's inputs and outputs, and whether another's take their place. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Tensor:
    """`type` in the runtime's own words; `shape` has -1 for what is open, None where it is not told."""

    type: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Signature:
    """By name. Of several signatures of a model, names are `signature:name`."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


def difference(stable: Signature, canary: Signature) -> str:
    """What of `canary` can break callers of `stable`, in words; empty if nothing can."""
    raise NotImplementedError
