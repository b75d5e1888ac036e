"""What the gateway is told that a deployment's servers speak, and which numbers its pins may carry."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.rollout.conduct import Roles
from deployer.routes import route
from deployer.spec import ModelDeployment


@pytest.mark.parametrize(
    ("spec", "runtime", "servable"),
    [
        ({"runtime": "tfserving"}, "tfserving", 3),
        ({"runtime": "seldon"}, "seldon", None),
        ({"runtime": "seldon", "seldon": {"protocol": "v2"}}, "oip", None),
        ({"runtime": "seldon", "seldon": {"protocol": "tensorflow"}}, "tfserving", 3),
        ({"runtime": "oip"}, "oip", None),
        ({"runtime": "oip", "oip": {"server": "triton"}}, "oip", 3),
    ],
)
def test_what_servers_speak(spec: dict[str, Any], runtime: str, servable: int | None) -> None:
    document = ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "digits"},
            "spec": {**spec, "versions": [{"name": "v1", "model": "/models/digits/3"}], "traffic": {"stable": "v1"}},
        }
    )
    made = route(None, document, {"v1"}, Roles.of(document))
    assert (made.runtime, [version.servable for version in made.versions]) == (runtime, [servable])
