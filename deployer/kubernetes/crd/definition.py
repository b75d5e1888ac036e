"""The custom resource's definition, from the models of the document and of its status. Pure but for its `main`.

The API server takes structural schemas only: no references, no nulls, no constants
(0020-a-structural-schema-with-bounds). There are no defaults: what a person left out stays out, so that what is applied
and what is stored are the same.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deployer.document.json_schema import schema, written_out
from deployer.kubernetes.crd.cel import RULES
from deployer.kubernetes.crd.cel_rule import Node, Rule
from deployer.kubernetes.objects.names import GROUP, KIND, PLURAL, SHORT_NAME, VERSION
from deployer.kubernetes.status.model import DeploymentStatus

FILE = Path(__file__).parents[3] / "charts" / "turnout" / "templates" / "crd.yaml"

_KEPT = (
    "description", "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems",
    "maxItems", "minProperties", "maxProperties", "required",
)  # fmt: skip

_LISTS: dict[Node, dict[str, Any]] = {
    ("spec", "versions"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ("spec", "versions", "[]", "pod", "pullSecrets"): {"x-kubernetes-list-type": "set"},
    ("spec", "versions", "[]", "pod", "volumes"): {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["path"],
    },
    ("spec", "rollout", "objectives", "metrics"): {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    },
    ("status", "versions"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ("status", "conditions"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ("status", "route", "versions"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
}
"""How lists merge. Those that aren't here are replaced whole."""

_COLUMNS = (
    ("Runtime", "string", ".spec.runtime", 1),
    ("Stable", "string", ".status.stable", 0),
    ("Canary", "string", ".status.canary", 0),
    ("Weight", "number", ".status.weight", 0),
    ("Rollout", "string", ".status.rollout.phase", 0),
    ("Phase", "string", ".status.phase", 0),
    ("Ready", "string", ".status.ready", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
"""What `kubectl get` shows: name, type, path, and 1 for those that only `-o wide` shows."""


def crd() -> dict[str, Any]:
    """The CustomResourceDefinition `modeldeployments.turnout.dev`."""
    document = schema()
    root: dict[str, Any] = {
        "description": document["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _structural(document["properties"]["spec"], ("spec",)),
            "status": _structural(_without_endpoints(written_out(DeploymentStatus)), ("status",)),
        },
        **_validations(RULES[()]),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{PLURAL}.{GROUP}",
            "annotations": {"helm.sh/resource-policy": "keep"},
            "labels": {"app.kubernetes.io/name": "turnout"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} | ({"priority": priority} if priority else {})
                        for name, kind, path, priority in _COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


def template() -> str:
    """The definition as a template of the chart, in YAML. Helm leaves it when the chart is removed.

    The condition stands in comments, so that the file as it is can be given to kubectl, too.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # the order of the fields is kept
    yaml.width = 160
    stream = io.StringIO()
    yaml.dump(crd(), stream)
    written = (
        "# Written by `python -m deployer.kubernetes.crd.definition` from the models of the document: change those.\n"
    )
    return f"{written}# {{{{ if .Values.crd.install }}}}\n{stream.getvalue()}# {{{{ end }}}}\n"


def _structural(node: dict[str, Any], path: Node) -> dict[str, Any]:
    """`node` of a JSON Schema as a structural one."""
    result = {word: node[word] for word in _KEPT if word in node}
    rules = RULES.get(path, ())
    if "anyOf" in node:  # a whole number, or a text of a pattern
        number, text = node["anyOf"]
        result |= {"minimum": number["minimum"], "maximum": number["maximum"], "pattern": text["pattern"]}
        result["x-kubernetes-int-or-string"] = True
    elif result["type"] == "integer":
        result["format"] = "int64"
        if result.get("maximum") == 2**63 - 1:  # the form's own; the API server reads bounds as floats, as too much
            del result["maximum"]
    elif result["type"] == "number" and (rule := _between(result, path)):
        rules = (rule, *rules)
        del result["minimum"], result["maximum"]
    elif result["type"] == "array":
        result |= {"items": _structural(node["items"], (*path, "[]")), **_LISTS.get(path, {})}
    elif "properties" in node:
        result["properties"] = {name: _structural(part, (*path, name)) for name, part in node["properties"].items()}
    elif result["type"] == "object":
        values = node["additionalProperties"]
        if "type" in values:
            result["additionalProperties"] = _structural(values, (*path, "{}"))
        else:  # any JSON
            result["x-kubernetes-preserve-unknown-fields"] = True
    return result | _validations(rules)


def _between(node: dict[str, Any], path: Node) -> Rule | None:
    """The bounds of a number as a rule, where one is a fraction: whole numbers are compared with its whole part."""
    bounds = [node[word] for word in ("minimum", "maximum") if word in node]
    if all(float(bound).is_integer() for bound in bounds):
        return None
    if len(bounds) == 1:
        raise ValueError(f"{'.'.join(path)}: a bound that is a fraction needs the other one beside it")
    least, most = bounds
    return Rule(f"self >= {float(least)} && self <= {float(most)}", f"write a number from {least} to {most}")


def _validations(rules: tuple[Rule, ...]) -> dict[str, Any]:
    written = [_validation(rule) for rule in rules]
    return {"x-kubernetes-validations": written} if written else {}


def _validation(rule: Rule) -> dict[str, Any]:
    result = {"rule": rule.expression, "message": rule.message}
    if rule.value:
        quoted = rule.message.replace("\\", "\\\\").replace('"', '\\"')
        result["messageExpression"] = f'"{quoted}: " + {rule.value}'
    if rule.field:
        result["fieldPath"] = rule.field
    return result


def _without_endpoints(status: dict[str, Any]) -> dict[str, Any]:
    """A route in the status names Services, and no endpoints."""
    del status["properties"]["route"]["properties"]["versions"]["items"]["properties"]["endpoints"]
    return status


def main() -> None:
    """Write the chart's template."""
    FILE.write_text(template())


if __name__ == "__main__":
    main()
