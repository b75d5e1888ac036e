"""What Seldon asks of a document: prepackaged servers that it has. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer.document.values import Violation, items
from deployer.errors import nearest
from deployer.kubernetes.crd.cel_rule import Node, Rule, listed, no_version

PREPACKAGED = (
    "SKLEARN_SERVER",
    "XGBOOST_SERVER",
    "MLFLOW_SERVER",
    "TENSORFLOW_SERVER",
    "TRITON_SERVER",
    "HUGGINGFACE_SERVER",
)
"""What Seldon has to load a model without a class of the user's own."""


def broken(spec: dict[str, Any]) -> Iterator[Violation]:
    """Implementations that are none of Seldon's."""
    for index, version in enumerate(items(spec, "versions")):
        name = version.get("implementation") if isinstance(version, dict) else None
        if isinstance(name, str) and "model" in version and name not in PREPACKAGED:
            near = nearest(name, PREPACKAGED)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(PREPACKAGED)}"
            path = ("spec", "versions", index, "implementation")
            yield Violation(path, f"{name!r} is no prepackaged server of Seldon's", hint)


CEL: dict[Node, tuple[Rule, ...]] = {
    ("spec",): (
        no_version(
            f"self.runtime == 'seldon' && has(v.implementation) && !(v.implementation in {listed(PREPACKAGED)})",
            f"implementation is none of Seldon's prepackaged servers, {', '.join(PREPACKAGED)}",
        ),
    )
}
