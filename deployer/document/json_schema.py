"""The JSON Schema of a ModelDeployment (draft 2020-12), from the models: for editors, and for our own messages.

Written out without references, titles and nulls, which editors show as noise. What no JSON Schema can say (the rules
that span fields) is left to `turnout validate`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel

from deployer.document.model import KIND, ModelDeployment

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def schema() -> dict[str, Any]:
    """The whole schema. It is shared: don't change it."""
    return {"$schema": DIALECT, "title": KIND, **written_out(ModelDeployment)}


def written_out(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of `model`, without references, titles and nulls."""
    raw = model.model_json_schema(by_alias=True)
    return _clean(raw, raw.get("$defs", {}))


def at(path: tuple[str | int, ...]) -> dict[str, Any]:
    """The schema of the field at `path`; {} where there is none."""
    node = schema()
    for part in path:
        node = node.get("items", {}) if isinstance(part, int) else _property(node, part)
    return node


def _property(node: dict[str, Any], name: str) -> dict[str, Any]:
    other = node.get("additionalProperties")
    found: dict[str, Any] = node.get("properties", {}).get(name, other if isinstance(other, dict) else {})
    return found


def _clean(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    node = dict(node)
    options = [option for option in node.pop("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        node = {**options[0], **node}
    if "$ref" in node:
        node = {**definitions[node.pop("$ref").rpartition("/")[2]], **node}
    if len(options) > 1:
        node["anyOf"] = [_clean(option, definitions) for option in options]
    for pattern, value in node.pop("patternProperties", {}).items():
        node["additionalProperties"] = value
        node["propertyNames"] = {**node.get("propertyNames", {}), "pattern": pattern}
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if not isinstance(node.get("default"), bool | int | float | str):
        node.pop("default", None)
    for name in ("title", "$defs"):
        node.pop(name, None)
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if "properties" in node:
        node["properties"] = {name: _clean(part, definitions) for name, part in node["properties"].items()}
    for name in ("items", "additionalProperties", "propertyNames"):
        if isinstance(node.get(name), dict):
            node[name] = _clean(node[name], definitions)
    return node
