"""`docs/reference/document.md` has each field of the models, with its meaning, and each word that is still to come."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deployer.document import reserved
from deployer.document.json_schema import schema

REFERENCE = (Path(__file__).parents[4] / "docs" / "reference" / "document.md").read_text()


def fields(node: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    """Each field's path, its default ("required", "" if there is none), and its meaning."""
    for name, part in node.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        default = f"`{json.dumps(part['default']).strip(chr(34))}`" if "default" in part else ""
        yield here, "required" if name in node.get("required", ()) else default, part["description"]
        yield from fields(part, here)
        yield from fields(part.get("items", {}), f"{here}[]")


def test_its_table_has_the_fields_of_the_models() -> None:
    section = REFERENCE.partition("## Fields")[2].partition("\n## ")[0]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
    assert [(row[0].strip("`"), row[2], row[3]) for row in rows] == list(fields(schema(), ""))


def test_it_names_what_is_still_to_come() -> None:
    section = REFERENCE.partition("## Not supported yet")[2]
    assert [path[-1] for path in reserved.FIELDS if not re.search(rf"\b{path[-1]}\b", section)] == []
