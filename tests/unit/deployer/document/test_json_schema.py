"""The JSON Schema says of a document what the models say, as far as a schema can."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from deployer.document.json_schema import at, schema
from deployer.document.model import ModelDeployment
from deployer.document.rules import broken

VALID = YAML(typ="safe").load(Path(__file__).parents[3] / "fakes" / "documents" / "valid.yaml")
ROLLOUT = YAML(typ="safe").load(Path(__file__).parents[3] / "fakes" / "documents" / "valid_rollout.yaml")
VALIDATOR = jsonschema.Draft202012Validator(schema())

WORDS = {
    "$schema", "title", "description", "default", "type", "enum", "anyOf", "pattern", "minLength", "maxLength",
    "properties", "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties", "items",
    "minItems", "maxItems", "minimum", "maximum",
}  # fmt: skip


def paths(part: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    for name, inner in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield from paths(inner, (*path, name))


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each part of a schema, with the path of its field."""
    yield path, node
    inner = [(f"{path}.{name}".lstrip("."), part) for name, part in node.get("properties", {}).items()]
    inner += [(path, part) for part in node.get("anyOf", [])]
    for word, sign in (("items", "[]"), ("additionalProperties", "{}"), ("propertyNames", "{name}")):
        inner.append((f"{path}{sign}", node.get(word)))
    for each, part in inner:
        if isinstance(part, dict):
            yield from nodes(part, each)


def changed(path: tuple[str | int, ...], value: object, valid: Any = VALID) -> Any:
    if not path:
        return value
    document = copy.deepcopy(valid)
    part = document
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return document


def error_types(document: object) -> set[str]:
    """What the models find wrong."""
    try:
        ModelDeployment.model_validate(document, by_name=False)
    except ValidationError as error:
        return {detail["type"] for detail in error.errors()}
    return set()


def test_it_is_a_schema_and_plain() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    for path, node in nodes(schema()):
        assert set(node) <= WORDS, path
        if "properties" in node:
            assert node["additionalProperties"] is False
            for name, part in node["properties"].items():
                assert "description" in part, f"{path}.{name}: a line below it in deployer/document/ says what it means"
                assert part["description"].endswith("."), f"{path}.{name}"
                assert "\n" not in part["description"], f"{path}.{name}"


def test_every_part_has_a_bound() -> None:
    for path, node in nodes(schema()):
        if node.get("type") == "string":
            assert "maxLength" in node or "enum" in node, f"{path}: its field in deployer/document/ needs a max_length"
        if node.get("type") == "array":
            assert "maxItems" in node, f"{path}: its field in deployer/document/ needs a max_length"


def test_parts_are_found_by_path() -> None:
    assert at(("spec", "versions", 3, "resources", "limits", "cpu"))["description"].startswith("Cores")
    assert at(("spec", "versions", 0, "env", "ANY"))["type"] == "string"
    assert at(("spec", "nothing", 0, "there")) == {}


@pytest.mark.parametrize(
    ("path", "value", "is_valid"),
    [
        ((), [], False),
        (("apiVersion",), "v1", False),
        (("kind",), "ModelDeployment", True),
        (("status",), {}, False),
        (("metadata", "namespace"), "a-1", True),
        (("metadata", "namespace"), "a_1", False),
        (("metadata", "name"), "", False),
        (("metadata",), {}, False),
        (("spec", "runtime"), "onnx", False),
        (("spec", "runtime"), "seldon", True),
        (("spec", "rollout"), {"steps": []}, False),
        (("spec", "rollout"), {"pauses": [{"for": "1m"}]}, False),
        (("spec", "rollout"), {"objectives": {"errors": {"margin": 1}}}, False),
        (("spec", "traffic", "sticky"), {"header": "x-user"}, True),
        (("spec", "traffic", "sticky"), {"header": "X-User"}, False),
        (("spec", "traffic", "match"), [{"header": {"X": "a"}, "version": "v1"}], False),
        (("spec", "traffic", "match"), [{"header": {}, "version": "v1"}], False),
        (("spec", "versions"), [], False),
        (("spec", "versions", 0, "servable"), 7, True),
        (("spec", "versions", 0, "servable"), 0, False),
        (("spec", "versions", 0, "servable"), "7", False),
        (("spec", "versions", 0, "model"), "", False),
        (("spec", "versions", 0, "autoscaling"), {"maxReplicas": 2, "target": {"inFlight": 0.5}}, True),
        (("spec", "versions", 0, "autoscaling"), {"maxReplicas": 2, "target": {"cpu": 0}}, False),
        (("spec", "versions", 0, "autoscaling"), {"minReplicas": 1}, False),
        (("spec", "versions", 0, "resources"), {"limits": {"cpu": 2, "memory": "2Gi"}}, True),
        (("spec", "versions", 0, "resources"), {"limits": {"cpu": "0.5", "memory": 1024}}, True),
        (("spec", "versions", 0, "resources"), {"limits": {"cpu": 0.5}}, False),
        (("spec", "versions", 0, "resources"), {"limits": {"memory": "2GB"}}, False),
        (("spec", "versions", 0, "resources"), {"limits": {"gpu": 1}}, True),
        (("spec", "versions", 0, "resources"), {"limits": {"gpu": 65}}, False),
        (("spec", "versions", 0, "warmup"), {"inputs": {"a": [None, True, {"b64": "x"}]}}, True),
        (("spec", "versions", 0, "warmup"), [1], False),
        (("spec", "versions", 0, "env"), {"A_1": "x"}, True),
        (("spec", "versions", 0, "env"), {"1A": "x"}, False),
        (("spec", "versions", 0, "env"), {"A": 1}, False),
        (("spec", "traffic", "weight"), 33.33, True),
        (("spec", "traffic", "weight"), 100.1, False),
        (("spec", "traffic", "weight"), "10", False),
        (("spec", "traffic", "weight"), True, False),
    ],
)
def test_it_agrees_with_the_models(path: tuple[str | int, ...], value: object, is_valid: bool) -> None:
    document = changed(path, value)
    assert VALIDATOR.is_valid(document) is is_valid
    assert (not error_types(document)) is is_valid


# Kept out: nulls, which the reader of documents refuses; 1.0 for a whole number; and line ends, before which Python's
# "$" matches and that of JSON Schema's own dialect of patterns does not.
TEXT = st.text(st.characters(exclude_characters="\n"), max_size=70)
NUMBERS = st.integers(-3, 2**64) | st.floats(-200, 2000).filter(lambda number: not number.is_integer())
TELLING = st.sampled_from(["v1", "a/1", "500m", "1Gi", "seldon", "1e3", "-a", "s3://b/1", 0, 1, 100, 1000, 1001, 10**6])
JSON = st.recursive(
    st.booleans() | NUMBERS | TEXT | TELLING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "A", "1"]), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from([(VALID, path) for path in paths(VALID)] + [(ROLLOUT, p) for p in paths(ROLLOUT)]),
    JSON,
    st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_it_agrees_with_the_models_whatever_is_changed(
    where: tuple[Any, tuple[str | int, ...]], value: Any, adds: bool
) -> None:
    valid, path = where
    part = at(path)
    assume(not adds or part.get("properties"))
    document = changed((*path, sorted(part["properties"])[0]) if adds else path, value, valid)
    wrong = error_types(document)
    if not wrong:
        VALIDATOR.validate(document)
    elif VALIDATOR.is_valid(document):
        assert wrong == {"value_error"}, "only what a schema can't say may be left to the models"


@given(st.sampled_from(list(paths(ROLLOUT))), JSON)
@settings(max_examples=300, deadline=None)
def test_the_rules_pass_over_whatever_has_the_wrong_type(path: tuple[str | int, ...], value: Any) -> None:
    for rule in broken(changed(path, value, ROLLOUT)):
        assert rule.path[0] == "spec"
