"""What is wrong with JSON that a program has written, in a line. Pure."""

from __future__ import annotations

from pydantic import ValidationError


def first_mistake(error: ValidationError, whole: str = "") -> str:
    """With its place; `whole` is what to call the place of one that is not in a part."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or whole
    return f"{place}: {first['msg']}" if place else first["msg"]
