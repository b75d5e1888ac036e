"""Seldon's servers as Kubernetes objects, by its operator and without."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.kubernetes.manifests import CannotRender, Object, manifests
from tests.fakes.deployments import CASES, PLAIN, SELDON, deployment

PROBE = {"httpGet": {"path": "/health/status", "port": "rest"}}


def section(seldon: dict[str, Any]) -> dict[str, Any]:
    return {"seldon": seldon} if seldon else {}


def server(version: dict[str, Any]) -> Object:
    """The server's container in a plain Deployment."""
    (made,) = [item for item in manifests(deployment("seldon", version), PLAIN) if item["kind"] == "Deployment"]
    found: Object = made["spec"]["template"]["spec"]["containers"][0]
    return found


def predictor(version: dict[str, Any], **seldon: Any) -> Object:
    made = manifests(deployment("seldon", version, **section(seldon)), SELDON)
    (found,) = [item for item in made if item["kind"] == "SeldonDeployment"]
    (only,) = found["spec"]["predictors"]
    assert found["spec"]["protocol"] == seldon.get("protocol", "seldon")
    return dict(only)


def environment(container: Object) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in container["env"]}


def test_without_its_operator_the_same_image_is_told_by_the_same_variables() -> None:
    made = server({"image": "team/digits:1", "args": ["--workers", "2"], "env": {"GUNICORN_THREADS": "4"}})
    assert made["image"] == "team/digits:1"
    assert made["args"] == ["--workers", "2"]
    assert environment(made) == {
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9000",
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "5000",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": "6000",
        "PREDICTIVE_UNIT_ID": "digits",
        "PREDICTOR_ID": "v1",
        "SELDON_DEPLOYMENT_ID": "digits",
        "GUNICORN_THREADS": "4",
    }
    assert [(port["name"], port["containerPort"]) for port in made["ports"]] == [
        ("rest", 9000),
        ("grpc", 5000),
        ("metrics", 6000),
    ]
    assert made["readinessProbe"].items() >= PROBE.items()
    assert made["livenessProbe"]["tcpSocket"] == {"port": "rest"}
    assert "command" not in made
    assert "workingDir" not in made


@pytest.mark.parametrize(
    ("model", "folder", "name"),
    [
        ("models/digits/Digits.py", "/models/digits", "Digits"),
        ("models/digits", "/models/digits", None),
        ("/Digits.py", "/", "Digits"),
        ("pvc://claim/digits/Digits.py", "/mnt/models/digits", "Digits"),
        ("pvc://claim/Digits.py", "/mnt/models", "Digits"),
        ("s3://bucket/digits/Digits.py", "/mnt/models/model", "Digits"),
        ("https://models.example/Digits.py", "/mnt/models/model", "Digits"),
        ("https://models.example/digits.tar.gz", "/mnt/models/model", None),
    ],
)
def test_a_class_runs_in_its_folder(model: str, folder: str, name: str | None) -> None:
    made = server({"image": "team/base:1", "model": model})
    assert made["workingDir"] == folder
    assert environment(made).get("MODEL_NAME") == name


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/iris", "/models/iris"),
        ("pvc://claim/iris", "/mnt/models/iris"),
        ("gs://bucket/iris", "/mnt/models/model"),
    ],
)
def test_a_prepackaged_server_is_told_where_its_model_is(model: str, path: str) -> None:
    made = server({"model": model, "implementation": "SKLEARN_SERVER"})
    assert made["image"] == "seldonio/sklearnserver:1.17.1"
    assert (
        environment(made)["PREDICTIVE_UNIT_PARAMETERS"]
        == f'[{{"name": "model_uri", "value": "{path}", "type": "STRING"}}]'
    )


def test_a_seldon_deployment_as_a_whole() -> None:
    version = {"image": "team/digits:1", "env": {"A": "b"}, "resources": {"requests": {"cpu": "0.5"}}}
    seldon, service = manifests(deployment("seldon", version), SELDON)
    assert service["spec"]["ports"] == [
        {"name": "rest", "port": 8000, "targetPort": 8000, "protocol": "TCP"},
        {"name": "grpc", "port": 5001, "targetPort": 5001, "protocol": "TCP"},
        {"name": "metrics", "port": 9090, "targetPort": 8000, "protocol": "TCP"},
    ]
    assert seldon["spec"].keys() == {"protocol", "predictors"}
    (only,) = seldon["spec"]["predictors"]
    probe = {"httpGet": {"path": "/health/status", "port": "http"}, "timeoutSeconds": 5}
    (component,) = only.pop("componentSpecs")
    assert only == {
        "name": "v1",
        "labels": {"turnout.dev/deployment": "digits", "turnout.dev/version": "v1"},
        "traffic": 100,
        "progressDeadlineSeconds": 2100,
        "replicas": 1,
        "graph": {"name": "digits", "type": "MODEL"},
    }
    assert component["spec"]["containers"] == [
        {
            "name": "digits",
            "image": "team/digits:1",
            "env": [{"name": "A", "value": "b"}],
            "resources": {"requests": {"cpu": "500m"}},
            "startupProbe": {**probe, "periodSeconds": 2, "failureThreshold": 900},
            "readinessProbe": {**probe, "periodSeconds": 5, "failureThreshold": 3},
            "livenessProbe": {
                "tcpSocket": {"port": "http"},
                "periodSeconds": 10,
                "timeoutSeconds": 5,
                "failureThreshold": 6,
            },
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ]


def test_seldons_operator_fetches_the_models_of_its_own_servers() -> None:
    pod = {"envFrom": [{"configMap": "c"}, {"secret": "bucket"}, {"secret": "b"}], "serviceAccount": "model-reader"}
    made = predictor({"model": "s3://bucket/iris", "implementation": "SKLEARN_SERVER", "pod": pod})
    assert made["graph"] == {
        "name": "digits",
        "type": "MODEL",
        "implementation": "SKLEARN_SERVER",
        "modelUri": "s3://bucket/iris",
        "serviceAccountName": "model-reader",
        "envSecretRefName": "bucket",
    }
    (component,) = made["componentSpecs"]
    assert "image" not in component["spec"]["containers"][0]
    assert "initContainers" not in component["spec"]


@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        ("seldon", "/api/v1.0/predictions"),
        ("v2", "/v2/models/digits/infer"),
        ("tensorflow", "/v1/models/digits:predict"),
    ],
)
def test_a_warm_up_goes_through_seldons_orchestrator(protocol: str, path: str) -> None:
    version = {"model": "s3://bucket/iris", "implementation": "SKLEARN_SERVER", "warmup": {"a": 1}}
    (component,) = predictor(version, protocol=protocol)["componentSpecs"]
    server, warmup = component["spec"]["containers"]
    assert warmup["readinessProbe"]["exec"]["command"][-1] == f"http://127.0.0.1:8000{path}"
    assert ("readinessProbe" in server) == (protocol == "seldon")


@pytest.mark.parametrize(
    ("version", "seldon", "options", "field", "advice"),
    [
        ({"model": "models/digits"}, {}, PLAIN, "spec.versions.0.image", "build one and write image:"),
        ({"model": "models/digits"}, {}, SELDON, "spec.versions.0.image", "build one and write image:"),
        (
            {"model": "s3://b/m", "implementation": "TENSORFLOW_SERVER"},
            {},
            PLAIN,
            "spec.versions.0.implementation",
            "runtime: tfserving",
        ),
        (
            {"model": "s3://b/m", "implementation": "TRITON_SERVER"},
            {"operator": False},
            SELDON,
            "spec.versions.0.implementation",
            "runtime: triton",
        ),
        (
            {"model": "models/iris", "implementation": "SKLEARN_SERVER"},
            {},
            SELDON,
            "spec.versions.0.model",
            "operator: false",
        ),
        ({"image": "x"}, {"operator": True}, PLAIN, "spec.seldon.operator", "install Seldon Core"),
        ({"image": "x"}, {"protocol": "v2"}, PLAIN, "spec.seldon.protocol", "write runtime: oip"),
        ({"image": "x"}, {"protocol": "tensorflow"}, PLAIN, "spec.seldon.protocol", "write runtime: tfserving"),
    ],
)
def test_what_cant_be_had_is_refused_with_what_to_do(
    version: dict[str, Any], seldon: dict[str, Any], options: Any, field: str, advice: str
) -> None:
    document = deployment("seldon", version, **section(seldon))
    with pytest.raises(CannotRender, match=advice) as caught:
        manifests(document, options)
    assert caught.value.field == field


def test_operator_false_is_a_plain_deployment_though_the_operator_is_there() -> None:
    document, options = CASES["seldon without its operator, though it is there"]
    assert [item["kind"] for item in manifests(document, options)] == ["Deployment", "Service"]


def test_a_class_in_a_place_that_is_none_is_named_to_seldons_operator_too() -> None:
    with pytest.raises(CannotRender, match=r"^spec\.versions\.0\.model: .*is no claim's name"):
        list(manifests(deployment("seldon", {"image": "team/base:1", "model": "pvc://Claim/1"}), SELDON))
