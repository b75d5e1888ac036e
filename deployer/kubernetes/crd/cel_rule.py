"""A rule in the API server's expression language CEL, and what rules are made of. Pure."""

from __future__ import annotations

from typing import NamedTuple

Node = tuple[str, ...]
"""The path of a node of the schema; "[]" stands for the items of a list."""


class Rule(NamedTuple):
    """A CEL rule of one node of the schema."""

    expression: str
    message: str
    field: str = ""
    """What the message is about, seen from the node; "" for the node itself."""
    value: str = ""
    """A CEL expression whose text follows the message and a colon."""


def no_version(condition: str, message: str) -> Rule:
    """A rule of the spec: no version `v` meets `condition`. The message can't name one: that would cost too much."""
    return Rule(f"!self.versions.exists(v, {condition})", message, ".versions")


def listed(words: tuple[str, ...]) -> str:
    """`words` as a list of CEL's."""
    return "[" + ", ".join(f"'{word}'" for word in words) + "]"


def has_one(names: tuple[str, ...]) -> str:
    """Whether the node has exactly one of the fields `names`."""
    return f"[{', '.join(f'has(self.{name})' for name in names)}].exists_one(there, there)"


def two_decimals(what: str) -> Rule:
    """That the number `what` has two decimals at most."""
    return Rule(
        "double(int(self * 100.0 + 0.5)) / 100.0 == self", f"{what} has more than two decimals; write two at most"
    )
