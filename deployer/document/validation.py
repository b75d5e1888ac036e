"""What is wrong with a document, in words that a person can act on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deployer.document import reserved
from deployer.document.fields import (
    CLASS_PATTERN,
    ENVIRONMENT_PATTERN,
    IMAGE_PATTERN,
    LABEL_PATTERN,
    PATH_PATTERN,
    SUBDOMAIN_PATTERN,
    URL_PATTERN,
)
from deployer.document.json_schema import at, schema
from deployer.document.model import ModelDeployment
from deployer.document.rules import broken
from deployer.document.units import DURATION_PATTERN
from deployer.document.values import Path
from deployer.errors import nearest
from gateway.contract.headers import COOKIE_NAME_PATTERN, FIELD_NAME_PATTERN, FIELD_VALUE_PATTERN, ORIGIN_PATTERN

_FORMS = {
    LABEL_PATTERN: "a name: 1 to 63 lower-case letters, digits and '-', no '-' at its ends",
    SUBDOMAIN_PATTERN: "the name of an object: lower-case letters, digits, '-' and '.', none of those two at its ends",
    PATH_PATTERN: "an absolute path, without ':' and without '/' at its end",
    IMAGE_PATTERN: "the name of an image, which has no spaces",
    CLASS_PATTERN: "the name of a class or of a prepackaged server",
    DURATION_PATTERN: "a time such as 500ms, 60s, 10m or 1h",
    URL_PATTERN: "an address that begins with http:// or https://",
    FIELD_NAME_PATTERN: "the name of a header in lower case",
    COOKIE_NAME_PATTERN: "the name of a cookie",
    FIELD_VALUE_PATTERN: "a header's value: up to 256 printable ASCII characters",
    ORIGIN_PATTERN: "an origin such as https://app.example.com or http://localhost:3000, without a path, or *",
}


_KEYS = {
    ENVIRONMENT_PATTERN: "letters, digits and '_', not beginning with a digit",
    FIELD_NAME_PATTERN: "the name of a header in lower case",
}


MAX_DETAILS = 500
"""The most errors of one document that are worded, in its order: more than anybody is shown."""


_OTHER_YAML = re.compile("[0-9]+(e[0-9]+)?|0x[0-9a-f]+|0o[0-7]+|true|false|null")
"""What YAML takes for no text, unless it is quoted."""


class FieldProblem(NamedTuple):
    """What is wrong with the field at `path`; `key` tells whether with its name (or absence) or with its value."""

    path: Path
    message: str
    hint: str
    key: bool = False


def examined(data: dict[str, Any]) -> tuple[ModelDeployment | None, list[FieldProblem]]:
    """The deployment that `data` (what YAML or JSON holds) describes, and all that is wrong with it.

    There is none if anything is wrong but fields without a value; those are taken out of `data`.
    """
    rules = [FieldProblem(*rule) for rule in broken(data)]
    problems = list(_emptied(data, ()))
    empty = [problem.path for problem in problems]
    try:
        return ModelDeployment.model_validate(data, by_name=False), problems + rules
    except ValidationError as error:
        found = _worded(error.errors(include_url=False)[:MAX_DETAILS], rules)
    return None, problems + [problem for problem in found if problem.path not in empty]


def _emptied(data: Any, path: Path) -> Iterator[FieldProblem]:
    """Take each field without a value out of `data`, and tell it. What a warm-up holds is the model's matter."""
    items = list(data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ())
    for name, value in items:
        if value is None and isinstance(data, dict):
            del data[name]
            yield FieldProblem((*path, name), "there is no value", "write one, or leave the field out", key=True)
        elif name != "warmup":
            yield from _emptied(value, (*path, name))


def _worded(details: list[ErrorDetails], rules: list[FieldProblem]) -> list[FieldProblem]:
    """The broken `rules`, and each error in words. What is missing because its name is misspelt is told once."""
    unknown = [_unknown(_path(detail)) for detail in details if detail["type"] == "extra_forbidden"]
    meant = {(*problem.path[:-1], _meant(problem.path)) for problem in unknown}
    known = [
        _missing(_path(detail)) if detail["type"] == "missing" else _value(_path(detail), detail)
        for detail in details
        if detail["type"] != "extra_forbidden" and detail["loc"] and not _is_told(detail, meant)
    ]
    parts = {path[:-1] for path in meant}
    return unknown + known + [rule for rule in rules if rule.path not in meant and rule.path not in parts]


def _is_told(detail: ErrorDetails, meant: set[tuple[str | int | None, ...]]) -> bool:
    if detail["type"] == "missing":
        return detail["loc"] in meant
    # A list is too short for pydantic when its items are wrong: those are told.
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _path(detail: ErrorDetails) -> Path:
    return tuple(part for part in detail["loc"] if part != "[key]")


def _meant(path: Path) -> str | None:
    return nearest(str(path[-1]), at(path[:-1]).get("properties", {}))


def _unknown(path: Path) -> FieldProblem:
    name = str(path[-1])
    if tuple(part for part in path if isinstance(part, str)) in reserved.FIELDS:
        return FieldProblem(path, f"{name} {reserved.SUFFIX}", "leave it out", key=True)
    if path == ("status",):
        return FieldProblem(path, "status is written by Turnout, not by hand", "leave it out", key=True)
    meant = _meant(path)
    homes = [home for home in _fields(schema(), ()) if home[-1] == name]
    if meant:
        hint = f"did you mean {meant!r}?"
    elif homes:
        hint = f"it belongs in {'.'.join(homes[0][:-1])}"
    else:
        hint = f"the fields here are {', '.join(at(path[:-1]).get('properties', {}))}"
    return FieldProblem(path, f"unknown field {_shown(name)}", hint, key=True)


def _fields(node: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, part in node.get("properties", {}).items():
        yield (*path, name)
        yield from _fields(part, (*path, name))
        yield from _fields(part.get("items", {}), (*path, name))


def _missing(path: Path) -> FieldProblem:
    node = at(path)
    if "enum" in node:
        hint = f"write {path[-1]}: {' or '.join(node['enum'])}"
    else:
        hint = str(node.get("description", "")).partition(". ")[0].rstrip(".")
    return FieldProblem(path, f"{path[-1]} is missing", hint, key=True)


def _value(path: Path, detail: ErrorDetails) -> FieldProblem:
    value, node = detail["input"], at(path)
    if "[key]" in detail["loc"]:
        shape = _KEYS.get(at(path[:-1]).get("propertyNames", {}).get("pattern"), "a shorter one")
        return FieldProblem(path, f"{_shown(path[-1])} can't be a name here", f"use {shape}", key=True)
    if detail["type"] == "value_error":
        message, _, hint = str(detail.get("ctx", {}).get("error", detail["msg"])).partition("; ")
        return FieldProblem(path, message, hint)
    return FieldProblem(path, f"{_shown(value)} is not {_expected(node)}", _advice(value, node))


def _advice(value: object, node: dict[str, Any]) -> str:
    """What to write in place of `value`, where that can be told."""
    if "enum" in node:
        meant = nearest(str(value), node["enum"])
        return f"did you mean {meant!r}?" if meant and len(node["enum"]) > 1 else f"write {node['enum'][0]}"
    if node.get("pattern") == LABEL_PATTERN and isinstance(value, str | int | float):
        name = re.sub("[^a-z0-9]+", "-", str(value).lower())[:63].strip("-")
        quoted = f'"{name}"' if _OTHER_YAML.fullmatch(name) else name
        return f"write {quoted}" if name else ""
    if node.get("pattern") == FIELD_NAME_PATTERN and isinstance(value, str):
        return f"write {value.lower()}" if re.fullmatch(FIELD_NAME_PATTERN, value.lower()) else ""
    if node.get("pattern") == DURATION_PATTERN and isinstance(value, str | int | float):
        return f"write {value}s" if re.fullmatch(DURATION_PATTERN, f"{value}s") else ""
    is_text = node.get("type") == "string" or "anyOf" in node
    if is_text and isinstance(value, int | float) and not isinstance(value, bool):
        return f'put it in quotes: "{value}"'
    if is_text and isinstance(value, bool):
        return f'put it in quotes: "{str(value).lower()}"'
    if node.get("type") in ("integer", "number") and isinstance(value, str) and re.fullmatch(r"[0-9.]{1,20}%?", value):
        return f"write {value.rstrip('%')}, without quotes"
    if node.get("type") == "array" and isinstance(value, dict):
        return 'begin each item with "- "'
    return ""


def _expected(node: dict[str, Any]) -> str:
    kind = node.get("type")
    if "enum" in node:
        return " or ".join(node["enum"])
    if "anyOf" in node:
        return "text or a whole number"
    if node.get("pattern") in _FORMS:
        return _FORMS[node["pattern"]]
    if kind == "string":
        return f"text of at most {node['maxLength']} characters"
    if kind in ("integer", "number"):
        name = "a whole number" if kind == "integer" else "a number"
        return f"{name} from {node['minimum']} to {node['maximum']}" if "minimum" in node else name
    if kind == "array":
        return f"a list of {node.get('minItems', 0)} to {node['maxItems']} items"
    if "properties" in node:
        return f"a mapping of {', '.join(node['properties'])}"
    if "maxProperties" in node:
        return f"a mapping of {node.get('minProperties', 0)} to {node['maxProperties']} names"
    return "a mapping"


def _shown(value: object) -> str:
    """`value` on one line, bounded."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} items" if value else "an empty list"
    text = str(value).lower() if isinstance(value, bool) else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
