"""Plain data (what YAML or JSON holds): ways to look at it, and the words for what is wrong somewhere in it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from deployer.document.units import DURATION_PATTERN, seconds

Path: TypeAlias = tuple[str | int, ...]


class Violation(NamedTuple):
    """One broken rule: the path of the field to change, what is wrong, and what would be right ("" if plain)."""

    path: Path
    message: str
    hint: str = ""


def mapping(part: object, name: str) -> dict[str, Any]:
    """The mapping `name` of `part`; an empty one where there is none."""
    value = part.get(name) if isinstance(part, dict) else None
    return value if isinstance(value, dict) else {}


def items(part: dict[str, Any], name: str) -> list[Any]:
    """The items of the list `name` of `part`; none where it is no list."""
    value = part.get(name)
    return list(value) if isinstance(value, list | tuple) else []


def duration(value: object) -> float | None:
    """The seconds of a duration; None for what is none."""
    return seconds(value) if isinstance(value, str) and re.fullmatch(DURATION_PATTERN, value) else None


def one_of(part: object, names: tuple[str, ...], path: Path) -> Iterator[Violation]:
    """What is wrong where the mapping `part`, which stands at `path`, does not have exactly one of `names`."""
    if not isinstance(part, dict):
        return
    found = [name for name in names if name in part]
    choice = f"{', '.join(names[:-1])} or {names[-1]}"
    if not found:
        yield Violation(path, f"it names no {choice}", "write one of them")
    elif len(found) > 1:
        yield Violation((*path, found[1]), f"it names a {' and a '.join(found)}", f"write one {choice}")


def dotted(path: Path) -> str:
    """`path` as people write it: spec.versions[1].model."""
    parts = [
        f"[{part}]"
        if isinstance(part, int)
        else f".{part}"
        if re.fullmatch(r"[\w-]+", part)
        else f"[{json.dumps(part)}]"
        for part in path
    ]
    return "".join(parts).lstrip(".")
