"""Seldon's runtime on the rig: without Seldon's operator, and with its custom resource, where the test plays it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.kubernetes.objects.names import selector, version_name
from protos import methods, seldon_pb2
from tests.cluster.installed import Installed, images
from tests.cluster.predictions import Image, PredictApi, Predictions
from tests.fakes.needs import lacking
from tests.fakes.turnout import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAME = "digits-seldon"
VERSIONS = ("v1", "v2")


def message(image: Image) -> seldon_pb2.SeldonMessage:
    tensor = seldon_pb2.Tensor(shape=[1, len(image)], values=image)
    return seldon_pb2.SeldonMessage(data=seldon_pb2.DefaultData(tensor=tensor))


def best(scores: list[float]) -> int:
    return max(range(len(scores)), key=scores.__getitem__)


SELDON = PredictApi(
    path=f"/seldon/default/{NAME}/api/v1.0/predictions",
    body=lambda image: {"data": {"ndarray": [image]}},
    digit=lambda answer: best(answer["data"]["ndarray"][0]),
    method=methods.SELDON_PREDICT,
    message=message,
    digit_of=lambda answer: best(answer.data.tensor.values),
    metadata={"seldon": NAME, "namespace": "default"},
)


def document(**seldon: bool) -> dict[str, Any]:
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "runtime": "seldon",
            **({"seldon": seldon} if seldon else {}),
            "versions": [{"name": version, "image": f"test/digits-seldon:{version}"} for version in VERSIONS],
            "traffic": {"stable": "v1", "canary": "v2", "weight": 20},
        },
    }


@pytest.fixture
def definition(installed: Installed) -> Iterator[None]:
    """Seldon's custom resource, from now on and until the end of the test."""
    folder = os.environ.get("TURNOUT_TEST_CRDS")
    if folder is None:
        lacking("TURNOUT_TEST_CRDS names no folder with the custom resource of Seldon")
    file = f"--filename={Path(folder) / 'seldondeployments.yaml'}"
    kubectl = installed.cluster.kubectl
    kubectl("apply", "--server-side", file)
    until(lambda: "machinelearning.seldon.io/v1" in kubectl("api-versions").split(), "it is served")
    yield
    kubectl("delete", file)
    until(lambda: "machinelearning.seldon.io/v1" not in kubectl("api-versions").split(), "it is gone")


def test_plain_deployments_serve_without_seldons_operator(installed: Installed) -> None:
    installed.apply(document())
    try:
        assert installed.settled(NAME, 240)["ready"] == "2/2"
        assert {
            made["metadata"]["name"] for made in installed.list("deployments", f"turnout.dev/deployment={NAME}")
        } == {version_name(NAME, version) for version in VERSIONS}
        row = installed.cluster.kubectl("get", "modeldeployments", NAME, "--no-headers")
        assert row.split()[:-1] == [NAME, "v1", "v2", "20", "Ready", "2/2"]
        with Predictions(installed.address, SELDON) as predictions:
            predictions.check(*images(), weight=20)
    finally:
        installed.remove(NAME)


def pods_of(version: str) -> dict[str, Any]:
    """What Seldon's operator makes of a version: pods with the predictor's labels, behind its orchestrator's ports."""
    name, labels = f"seldon-{version}", selector(NAME, version)
    ports = {"PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "8000", "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "5001"}
    container = {
        "name": "classifier",
        "image": f"test/digits-seldon:{version}",
        "env": [{"name": key, "value": value} for key, value in ports.items()],
        "readinessProbe": {"httpGet": {"path": "/health/status", "port": 8000}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"played-by": "test"}},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }


def says(installed: Installed, version: str, state: str, description: str = "") -> None:
    """Seldon's operator reports of a version."""
    status = {"state": state, "description": description, "deploymentStatus": {f"seldon-{version}": {"replicas": 1}}}
    installed.cluster.kubectl(
        *("patch", "seldondeployment", version_name(NAME, version), "--subresource=status", "--type=merge"),
        *("--patch", json.dumps({"status": status})),
    )


def test_seldons_objects_are_made_and_their_status_is_read(installed: Installed, definition: None) -> None:
    # The operator has run since before the custom resource was there.
    installed.apply(document(operator=True))
    try:

        def made() -> bool:
            found = installed.list("seldondeployments", f"turnout.dev/deployment={NAME}")
            return {one["metadata"]["name"] for one in found} == {version_name(NAME, version) for version in VERSIONS}

        until(made, "the SeldonDeployments are there", 120)
        assert installed.list("deployments", f"turnout.dev/deployment={NAME}") == []
        for version in VERSIONS:
            installed.apply(pods_of(version))
            says(installed, version, "Creating")
        until(lambda: installed.condition(NAME, "Progressing").get("status") == "True", "Creating is read")
        for version in VERSIONS:
            says(installed, version, "Available")
        assert installed.settled(NAME, 240)["ready"] == "2/2"
        with Predictions(installed.address, SELDON) as predictions:
            predictions.check(*images(), weight=20)
        says(installed, "v2", "Failed", "the canary's image has no class")
        degraded = until(
            lambda: (found := installed.condition(NAME, "Degraded")).get("status") == "True" and found, "Failed is read"
        )
        assert degraded["reason"] == "SeldonFailed"
        assert "the canary's image has no class" in degraded["message"]
    finally:
        installed.cluster.kubectl("delete", "deployments", "--selector", "played-by=test")
        installed.remove(NAME)
    until(lambda: not installed.list("seldondeployments"), "the SeldonDeployments are gone")
