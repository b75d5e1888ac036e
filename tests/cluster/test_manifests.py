"""The API server takes all that is rendered, and returns what it was given."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from deployer.kubernetes.compare import projected
from deployer.kubernetes.manifests import Object, Owner, manifests
from tests.cluster.rig.cluster import Cluster
from tests.support.deployments import CASES

pytestmark = pytest.mark.cluster

DEFINITIONS = ("seldondeployments", "keda-scaledobjects")


@pytest.fixture(scope="module")
def extended(cluster: Cluster) -> Cluster:
    """The cluster with Seldon's and KEDA's custom resources."""
    folder = os.environ.get("TURNOUT_TEST_CRDS")
    if folder is None:
        reason = "TURNOUT_TEST_CRDS names no folder with the custom resources of Seldon and KEDA"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    for name in DEFINITIONS:
        file = Path(folder) / f"{name}.yaml"
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(file))
        cluster.kubectl("wait", "--for=condition=Established", "--filename", str(file), "--timeout=60s")
    return cluster


@pytest.mark.parametrize("case", CASES)
def test_the_api_server_takes_every_object_and_returns_it_as_it_was_given(extended: Cluster, case: str) -> None:
    document, options = CASES[case]
    made = manifests(document, options, Owner(document.metadata.name, "7d6a2c1e-0000-4000-8000-000000000000"))
    listed = {"apiVersion": "v1", "kind": "List", "items": list(made)}
    answer: Object = json.loads(
        extended.kubectl(
            *("apply", "--server-side", "--dry-run=server", "--validate=strict", "--output=json", "--filename", "-"),
            input=json.dumps(listed),
        )
    )
    live = answer["items"] if answer["kind"] == "List" else [answer]
    assert [projected(item, wanted) for item, wanted in zip(live, made, strict=True)] == list(made)
