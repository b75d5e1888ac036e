"""The custom resource's definition: that it is written anew, whole, and of the form that the API server takes.

What the API server makes of it is in `tests/cluster/test_documents.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deployer.document.json_schema import schema, written_out
from deployer.kubernetes.crd import definition
from deployer.kubernetes.crd.cel import RULES
from deployer.kubernetes.crd.definition import FILE, crd, template
from deployer.kubernetes.status.model import DeploymentStatus

Node = dict[str, Any]
ROOT: Node = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

WORDS = {
    "description", "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems",
    "maxItems", "minProperties", "maxProperties", "required", "properties", "items", "additionalProperties",
    "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys", "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
}  # fmt: skip


def nodes(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    yield path, node
    inner = {f".{name}": part for name, part in node.get("properties", {}).items()}
    inner |= {sign: node[word] for word, sign in (("items", "[]"), ("additionalProperties", "{}")) if word in node}
    for name, part in inner.items():
        yield from nodes(part, f"{path}{name}".lstrip("."))


def fields(node: Node, path: str = "") -> Iterator[str]:
    for name, part in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from fields(part, f"{path}.{name}")
    if "items" in node:
        yield from fields(node["items"], f"{path}[]")


def own(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Each node by its path, without those in it."""
    yield path, {word: value for word, value in node.items() if word not in ("properties", "items")}
    for name, part in node.get("properties", {}).items():
        yield from own(part, f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from own(node["items"], f"{path}[]")


def test_the_chart_has_it_as_the_models_are_now() -> None:
    committed = YAML(typ="safe").load(FILE)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    there, wanted = dict(own(committed)), dict(own(ROOT))
    wrong = [f"{path}: charts/turnout/templates/crd.yaml has no line of it" for path in wanted if path not in there]
    wrong += [f"{path}: charts/turnout/templates/crd.yaml has it, and no model" for path in there if path not in wanted]
    wrong += [
        f"{path}: charts/turnout/templates/crd.yaml has another {word} than the model"
        for path in wanted.keys() & there.keys()
        for word in wanted[path].keys() | there[path].keys()
        if wanted[path].get(word) != there[path].get(word)
    ]
    assert not wrong, "\n".join([*sorted(wrong), "run make crd"])
    assert FILE.read_text() == template(), "run make crd"


def test_helm_reads_the_template_as_it_is() -> None:
    first, condition, *lines, end = template().splitlines()
    assert (first[0], condition, end) == ("#", "# {{ if .Values.crd.install }}", "# {{ end }}")
    assert [line for line in lines if "{{" in line] == []
    assert YAML(typ="safe").load(template()) == crd()
    assert crd()["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_it_is_structural() -> None:
    for path, node in nodes(ROOT):
        assert set(node) <= WORDS, path
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node), path


def test_every_part_has_a_bound() -> None:
    for path, node in nodes(ROOT):
        if not path.startswith(("spec", "status")):
            continue
        if node.get("type") == "string":
            assert "maxLength" in node or "enum" in node, f"{path}: its model needs a max_length"
        if node.get("type") == "array":
            assert "maxItems" in node, f"{path}: its model needs a max_length"
        if "additionalProperties" in node:
            assert "maxProperties" in node, f"{path}: its model needs a max_length"


def test_bounds_are_such_that_the_api_server_keeps_to_them() -> None:
    # It reads them as floats: 2**63 - 1 would be 2**63, which no int64 can be compared with. And it compares a whole
    # number with their whole part: 1 would not be less than 1.1. Where a bound is a fraction, a rule says it.
    for path, node in nodes(ROOT):
        for bound in (node[word] for word in ("minimum", "maximum") if word in node):
            assert int(float(bound)) == bound < 2**63, path
    weight = ROOT["properties"]["spec"]["properties"]["rollout"]["properties"]["steps"]["items"]
    assert weight["x-kubernetes-validations"][0] == {
        "rule": "self >= 0.01 && self <= 99.99",
        "message": "write a number from 0.01 to 99.99",
    }


def test_it_has_each_field_of_the_models() -> None:
    assert list(fields(ROOT["properties"]["spec"])) == list(fields(schema()["properties"]["spec"]))
    route = ".route.versions[].endpoints"
    status = [field for field in fields(written_out(DeploymentStatus)) if not field.startswith(route)]
    assert list(fields(ROOT["properties"]["status"])) == status


def test_each_rule_is_of_a_node_and_about_a_field_of_it() -> None:
    for path, rules in RULES.items():
        node = ROOT
        for name in path:
            node = node["items"] if name == "[]" else node["properties"][name]
        assert [rule["message"] for rule in node["x-kubernetes-validations"]][-len(rules) :] == [
            rule.message for rule in rules
        ]
        assert {rule.field for rule in rules} - {""} <= set(fields(node))


def test_the_charts_template_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(definition, "FILE", tmp_path / "crd.yaml")
    definition.main()
    assert (tmp_path / "crd.yaml").read_text() == FILE.read_text()
