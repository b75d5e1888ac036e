"""Kubernetes objects as text for people and files. Pure."""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Iterable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from deployer.kubernetes.objects.kinds import Object
from deployer.kubernetes.reconcile.compare import DIGEST_ANNOTATION

_PLAIN = re.compile(r"(--)?[A-Za-z/]([A-Za-z0-9_./=-]|:(?=[A-Za-z0-9/]))*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""What Kubernetes' own tools, which read YAML 1.1, would not take for text."""

_NOISE = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")


class _Representer(SafeRepresenter):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> ScalarNode:
        plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
        node: ScalarNode = self.represent_scalar(
            "tag:yaml.org,2002:str", text, style=None if plain else "|" if "\n" in text else '"'
        )
        return node


_Representer.add_representer(str, _Representer.represent_text)


def as_yaml(objects: Iterable[Object]) -> str:
    """One document for each object. Texts of several lines are written as such."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # name and kind come first
    yaml.width = 2**20
    yaml.explicit_start = True
    stream = io.StringIO()
    yaml.dump_all(objects, stream)
    return stream.getvalue()


def difference(before: Object | None, after: Object | None) -> str:
    """What changes from one form of an object to another, None being none, as a unified diff; "" if nothing."""
    there = before or after
    if there is None:
        return ""
    name = f"{there['kind']}/{there['metadata']['namespace']}/{there['metadata']['name']}"
    old, new = (as_yaml([_stripped(form)]).splitlines()[1:] if form else [] for form in (before, after))
    lines = difflib.unified_diff(
        old, new, f"live/{name}" if before else "/dev/null", f"applied/{name}" if after else "/dev/null", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _stripped(resource: Object) -> Object:
    """The object without what tells nothing of how it should be."""
    metadata = {name: part for name, part in resource["metadata"].items() if name not in _NOISE}
    if annotations := metadata.pop("annotations", {}):
        declared = {name: text for name, text in annotations.items() if name != DIGEST_ANNOTATION}
        metadata |= {"annotations": declared} if declared else {}
    # The API server writes the kind of an object first, or not at all in a list.
    head = {"apiVersion": resource["apiVersion"], "kind": resource["kind"], "metadata": metadata}
    return head | {name: part for name, part in resource.items() if name not in (*head, "status")}
