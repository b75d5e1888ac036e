"""The API server takes all that is rendered, and returns what it was given."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.kubernetes.manifests import Object, Owner, manifests
from deployer.kubernetes.reconcile.compare import projected
from tests.cluster.rig.cluster import Cluster
from tests.fakes.deployments import CASES
from tests.fakes.needs import lacking
from tests.fakes.turnout import until

pytestmark = pytest.mark.cluster

DEFINITIONS = {"seldondeployments": "machinelearning.seldon.io/v1", "keda-scaledobjects": "keda.sh/v1alpha1"}


@pytest.fixture(scope="module")
def extended(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with Seldon's and KEDA's custom resources."""
    folder = os.environ.get("TURNOUT_TEST_CRDS")
    if folder is None:
        lacking("TURNOUT_TEST_CRDS names no folder with the custom resources of Seldon and KEDA")
    files = [f"--filename={Path(folder) / name}.yaml" for name in DEFINITIONS]
    cluster.kubectl("apply", "--server-side", *files)
    until(lambda: set(DEFINITIONS.values()) <= set(cluster.kubectl("api-versions").split()), "both are served")
    yield cluster
    cluster.kubectl("delete", *files)


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
