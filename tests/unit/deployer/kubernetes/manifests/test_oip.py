"""Servers of the Open Inference Protocol as Kubernetes objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployer.kubernetes.manifests import Object, manifests
from tests.fakes.deployments import PLAIN, deployment

SKLEARN = {"implementation": "mlserver_sklearn.SKLearnModel"}
OTHER = {"server": "other", "ports": {"rest": 8080, "grpc": 9000}}


def made(version: dict[str, Any], oip: dict[str, Any] | None = None) -> dict[str, Object]:
    spec: dict[str, Any] = {} if oip is None else {"oip": oip}
    document = deployment("oip", version, **spec)
    return {item["kind"]: item for item in manifests(document, PLAIN)}


def pod(version: dict[str, Any], oip: dict[str, Any] | None = None) -> Object:
    found: Object = made(version, oip)["Deployment"]["spec"]["template"]["spec"]
    return found


def environment(container: Object) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in container["env"]}


@pytest.mark.parametrize(
    ("model", "uri"),
    [
        ("models/digits.joblib", "/models/digits.joblib"),
        ("pvc://claim/iris/model.joblib", "/mnt/models/model.joblib"),
        ("pvc://claim", "/mnt/models"),
        ("s3://bucket/iris", "/mnt/models/model"),
        ("https://models.example/model.joblib", "/mnt/models/model/model.joblib"),
    ],
)
def test_mlserver_is_told_what_to_load_and_under_which_name(model: str, uri: str) -> None:
    objects = made({"model": model, **SKLEARN})
    assert json.loads(objects["ConfigMap"]["data"]["model-settings.json"]) == {
        "name": "digits",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": uri, "version": "v1"},
    }
    (server,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert server["image"] == "seldonio/mlserver:1.7.1"
    assert environment(server) == {
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_METRICS_DIR": "/tmp/metrics",
        "MLSERVER_ENVIRONMENTS_DIR": "/tmp/environments",
        "MLSERVER_MODELS_DIR": "/etc/turnout",
        "PYTHONPATH": uri,
    }
    assert server["readinessProbe"]["httpGet"] == {"path": "/v2/models/digits/versions/v1/ready", "port": "rest"}
    assert [port["containerPort"] for port in server["ports"]] == [8080, 8081, 8082]


def test_mlserver_may_find_its_settings_beside_the_model_or_in_the_image() -> None:
    beside = pod({"model": "s3://bucket/iris"})["containers"][0]
    assert environment(beside)["MLSERVER_MODELS_DIR"] == "/mnt/models/model"
    assert beside["readinessProbe"]["httpGet"]["path"] == "/v2/models/digits/ready"
    within = made({"image": "team/digits:1"})
    assert "ConfigMap" not in within
    server = within["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert "MLSERVER_MODELS_DIR" not in environment(server)


def test_mlserver_on_other_ports() -> None:
    server = pod({"image": "team/digits:1"}, {"ports": {"rest": 9000, "grpc": 9001}})["containers"][0]
    assert (
        environment(server).items()
        >= {
            "MLSERVER_HTTP_PORT": "9000",
            "MLSERVER_GRPC_PORT": "9001",
            "MLSERVER_METRICS_ENDPOINT": "",
        }.items()
    )
    assert [port["name"] for port in server["ports"]] == ["rest", "grpc"]


def test_another_server_is_taken_as_it_is() -> None:
    objects = made({"image": "team/server:1", "args": ["--model=/mnt/models/model"], "model": "s3://bucket/m"}, OTHER)
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    (server,) = spec["containers"]
    assert server["args"] == ["--model=/mnt/models/model"]
    assert server["readinessProbe"]["httpGet"]["path"] == "/v2/models/digits/ready"
    assert [(port["name"], port["targetPort"]) for port in objects["Service"]["spec"]["ports"]] == [
        ("rest", 8080),
        ("grpc", 9000),
    ]
