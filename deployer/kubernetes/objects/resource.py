"""The ModelDeployment that an object of the API server holds. Pure.

The API server refuses most mistakes by the schema and the rules of the custom resource; what those can't say, or what
was written while they were older, is found here.
"""

from __future__ import annotations

import copy
from typing import Any

from deployer.document.model import API_VERSION, KIND, ModelDeployment
from deployer.document.validation import examined
from deployer.document.values import dotted
from deployer.errors import TurnoutError


class InvalidSpec(TurnoutError):
    """The object can't be carried out; each line names a field, what is wrong with it, and what would be right."""


def read(resource: dict[str, Any]) -> ModelDeployment:
    """The deployment that `resource` describes: its name, namespace and spec, without its labels and annotations.

    Raises:
        InvalidSpec: something is wrong; its text holds all that is.
    """
    metadata = resource["metadata"]
    deployment, wrongs = examined(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "spec": copy.deepcopy(resource.get("spec", {})),
        }
    )
    if deployment is None or wrongs:
        lines = [
            f"{dotted(wrong.path)}: {wrong.message}" + (f" ({wrong.hint})" if wrong.hint else "") for wrong in wrongs
        ]
        raise InvalidSpec("\n".join(dict.fromkeys(lines)))
    return deployment
