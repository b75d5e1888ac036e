"""Triton's server in a pod."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.kubernetes.manifests import CannotRender, Object, manifests
from tests.fakes.deployments import PLAIN, deployment


def pod(version: dict[str, Any]) -> Object:
    (made,) = (each for each in manifests(deployment("triton", version), PLAIN) if each["kind"] == "Deployment")
    spec: Object = made["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("model", "repository", "linked"),
    [
        # Linked though it has the name: beside it may lie other versions, of which Triton would serve the last.
        ("models/digits/1", "/mnt/models", ["/models/digits/1", "/mnt/models/digits/1"]),
        ("models/digits", "/models", None),
        ("digits", "/", None),
        ("models/other/1", "/mnt/models", ["/models/other/1", "/mnt/models/digits/1"]),
        ("models/other", "/mnt/models", ["/models/other", "/mnt/models/digits"]),
        ("gs://bucket/other/2", "/mnt/models", [":gcs:bucket/other/2", "/mnt/models/digits/2"]),
    ],
)
def test_a_repository_has_the_model_under_the_deployments_name(
    model: str, repository: str, linked: list[str] | None
) -> None:
    spec = pod({"model": model, "args": ["--log-verbose=1"]})
    assert spec["containers"][0]["args"] == [
        "tritonserver",
        "--http-port=8000",
        "--grpc-port=8001",
        "--metrics-port=8002",
        f"--model-repository={repository}",
        "--log-verbose=1",
    ]
    before = [container["command"][4:] for container in spec.get("initContainers", [])]
    assert before == ([linked] if linked else [])


def test_a_claim_is_mounted_into_the_repository() -> None:
    spec = pod({"model": "pvc://claim/onnx/7"})
    mount = {"name": "model", "mountPath": "/mnt/models/digits/7", "readOnly": True, "subPath": "onnx/7"}
    assert mount in spec["containers"][0]["volumeMounts"]


def test_a_place_that_is_none_is_named() -> None:
    with pytest.raises(CannotRender, match=r"^spec\.versions\.0\.model: .*is no claim's name"):
        pod({"model": "pvc://Claim/1"})
