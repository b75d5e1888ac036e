"""`docs/reference/document.md` has each field of the models, with its meaning, and each word that is still to come."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from deployer.document import reserved
from deployer.document.json_schema import schema

PAGE = "docs/reference/document.md"
REFERENCE = (Path(__file__).parents[4] / PAGE).read_text()


class Row(NamedTuple):
    """Of a field, as the reference has it."""

    form: str
    default: str
    """"required", or "" if there is none."""
    meaning: str


def fields(node: dict[str, Any], path: str) -> Iterator[tuple[str, Row]]:
    """Each field's path and its row, without a form where the schema has only a pattern."""
    for name, part in node.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        default = f"`{json.dumps(part['default']).strip(chr(34))}`" if "default" in part else ""
        meaning = part.get("description", "")
        yield here, Row(form(part), "required" if name in node.get("required", ()) else default, meaning)
        yield from fields(part, here)
        yield from fields(part.get("items", {}), f"{here}[]")


def form(part: dict[str, Any]) -> str:
    """A field's form with its bounds; "" where it has a name, such as *time*."""
    if "enum" in part:
        return _either([f"`{value}`" for value in part["enum"]])
    match part.get("type"):
        case "boolean":
            return _either(["`true`", "`false`"])
        case "integer":
            return f"whole number{_between(part.get('minimum'), part.get('maximum'))}"
        case "number":
            return f"number{_between(part.get('minimum'), part.get('maximum'))}"
        case "array":
            return f"list{_between(part.get('minItems'), part.get('maxItems'))}"
        case "object":
            return f"mapping{_between(part.get('minProperties'), part.get('maxProperties'))}"
        case "string" if "pattern" not in part:
            return f"text{_between(None, part['maxLength'])}"
    return ""


def _either(values: list[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


def _between(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f", up to {_figure(most)}"
    return f", {_figure(least)} or more" if most is None else f", {_figure(least)} to {_figure(most)}"


def _figure(number: float) -> str:
    power = int(number + 1).bit_length() - 1
    if power > 30 and number == 2**power - 1:
        return f"2{str(power).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))} \N{MINUS SIGN} 1"
    return f"{number:,}"


def test_its_table_has_the_fields_of_the_models() -> None:
    section = REFERENCE.partition("## Fields")[2].partition("\n## ")[0]
    lines = [re.split(r" *\| *", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
    rows = {line[0].strip("`"): Row(*line[1:]) for line in lines}
    known = dict(fields(schema(), ""))
    wrong = [f"{path}: {PAGE} has a row, and the models have no such field" for path in rows if path not in known]
    for path, row in known.items():
        if path not in rows:
            wrong.append(f"{path}: {PAGE} has no row | `{path}` | {row.form or '…'} | {row.default} | {row.meaning} |")
            continue
        for part, found, wanted in zip(Row._fields, rows[path], row, strict=True):
            if wanted != found and not (part == "form" and not wanted and found):
                wrong.append(f"{path}: the {part} in its row of {PAGE} is {found!r}, the models have {wanted!r}")
    assert not wrong, "\n".join(wrong)
    assert list(rows) == list(known), "the rows stand in the order of the models"


def test_it_names_what_is_still_to_come() -> None:
    section = REFERENCE.partition("## Not supported yet")[2]
    assert [path[-1] for path in reserved.FIELDS if not re.search(rf"\b{path[-1]}\b", section)] == []
