"""A version's inputs and outputs, and whether another's can take their place. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MOST = 5
"""Differences that are told; of more, how many there are."""


@dataclass(frozen=True)
class Tensor:
    """`type` in the runtime's own words; `shape` has -1 for what is open, None where it is not told."""

    type: str
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Signature:
    """The tensors of a prediction by their names, and the same for the model's `others` by theirs.

    No inputs, or no outputs, means that the server tells nothing of them.
    """

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    others: Mapping[str, Signature] = field(default_factory=dict)


def difference(stable: Signature, canary: Signature) -> str:
    """What of `canary` can break callers of `stable`, in words; empty if nothing can.

    What stable takes the canary has to take, and what it answers has to be what stable could answer. So an input may
    be open where stable's has a number, an output the other way round. A tensor more is a break either way: nobody
    sends it, and answers with several outputs have another form.
    """
    found = list(_differences(stable, canary, ""))
    more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
    return "; ".join(found[:MOST] + more)


def _differences(stable: Signature, canary: Signature, of: str) -> Iterator[str]:
    yield from _tensors(stable.inputs, canary.inputs, f"{of}input", is_input=True)
    yield from _tensors(stable.outputs, canary.outputs, f"{of}output", is_input=False)
    for name, other in stable.others.items():
        if name not in canary.others:
            yield f"signature {name} is gone"
        else:
            yield from _differences(other, canary.others[name], f"signature {name}: ")


def _tensors(stable: Mapping[str, Tensor], canary: Mapping[str, Tensor], what: str, *, is_input: bool) -> Iterator[str]:
    if not stable or not canary:
        return
    for name, before in stable.items():
        after = canary.get(name)
        if after is None:
            yield f"{what} {name} is gone"
            continue
        if after.type != before.type:
            yield f"{what} {name} is {after.type}, where stable's is {before.type}"
        wide, narrow = (after, before) if is_input else (before, after)
        if not _holds(wide.shape, narrow.shape):
            yield f"{what} {name} has the shape {_shown(after.shape)}, where stable's has {_shown(before.shape)}"
    for name in sorted(canary.keys() - stable.keys()):
        yield f"{what} {name} is new"


def _holds(wide: tuple[int, ...] | None, narrow: tuple[int, ...] | None) -> bool:
    """Whether each array of the shape `narrow` has the shape `wide` too; so it is taken to be where one is not told."""
    if wide is None or narrow is None:
        return True
    return len(wide) == len(narrow) and all(w in (-1, n) for w, n in zip(wide, narrow, strict=True))


def _shown(shape: tuple[int, ...] | None) -> str:
    return f"[{', '.join('any' if size == -1 else str(size) for size in shape or ())}]"
