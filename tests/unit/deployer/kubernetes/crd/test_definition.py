"""The custom resource's definition: that it is written anew, whole, and of the form that the API server takes.

What the API server makes of it is in `tests/cluster/test_documents.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML

from deployer.document.json_schema import schema, written_out
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


def nodes(node: Node) -> Iterator[Node]:
    yield node
    inner = [*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")]
    for each in inner:
        if each is not None:
            yield from nodes(each)


def fields(node: Node, path: str = "") -> Iterator[str]:
    for name, part in node.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from fields(part, f"{path}.{name}")
    if "items" in node:
        yield from fields(node["items"], f"{path}[]")


def test_the_chart_has_it_as_the_models_are_now() -> None:
    assert FILE.read_text() == template(), "run python -m deployer.kubernetes.crd.definition"


def test_helm_reads_the_template_as_it_is() -> None:
    first, condition, *lines, end = template().splitlines()
    assert (first[0], condition, end) == ("#", "# {{ if .Values.crd.install }}", "# {{ end }}")
    assert [line for line in lines if "{{" in line] == []
    assert YAML(typ="safe").load(template()) == crd()
    assert crd()["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_it_is_structural() -> None:
    for node in nodes(ROOT):
        assert set(node) <= WORDS
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node)


def test_every_part_has_a_bound() -> None:
    unbounded = [
        node for name, node in ROOT["properties"].items() if name in ("spec", "status") for node in nodes(node)
    ]
    for node in unbounded:
        if node.get("type") == "string":
            assert "maxLength" in node or "enum" in node
        if node.get("type") == "array":
            assert "maxItems" in node
        if "additionalProperties" in node:
            assert "maxProperties" in node


def test_bounds_are_such_that_the_api_server_keeps_to_them() -> None:
    # It reads them as floats: 2**63 - 1 would be 2**63, which no int64 can be compared with. And it compares a whole
    # number with their whole part: 1 would not be less than 1.1. Where a bound is a fraction, a rule says it.
    for node in nodes(ROOT):
        for bound in (node[word] for word in ("minimum", "maximum") if word in node):
            assert int(float(bound)) == bound < 2**63
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
