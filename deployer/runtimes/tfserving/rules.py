"""What TensorFlow Serving asks of a document: each version's servable number. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer.document.model_uri import folder_number
from deployer.document.values import Violation, items
from deployer.kubernetes.crd.cel_rule import Node, Rule, no_version


def broken(spec: dict[str, Any]) -> Iterator[Violation]:
    """Versions without a number."""
    for index, version in enumerate(items(spec, "versions")):
        model = version.get("model") if isinstance(version, dict) and version.get("servable") is None else None
        if isinstance(model, str) and folder_number(model) is None:
            yield Violation(
                ("spec", "versions", index, "model"),
                "the model's folder is not named by a number, which TensorFlow Serving needs",
                f"write servable: {index + 1} beside it, or use a folder such as models/digits/{index + 1}",
            )


CEL: dict[Node, tuple[Rule, ...]] = {
    ("spec",): (
        no_version(
            "self.runtime == 'tfserving' && !has(v.servable) && has(v.model)"
            " && !v.model.matches('(^|/)0{0,17}[1-9][0-9]{0,17}/*$')",
            "the model's folder is not named by a number, which TensorFlow Serving needs; "
            "write servable: beside model:",
        ),
    )
}
