"""TensorFlow Serving as Kubernetes objects."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.kubernetes.manifests import CannotRender, Object, Options, manifests
from deployer.kubernetes.objects import names
from tests.fakes.deployments import CASES, deployment

FETCHER = "rclone/rclone:1.71.1"


def made(version: dict[str, Any], options: Options = Options()) -> dict[str, Object]:  # noqa: B008
    return {item["kind"]: item for item in manifests(deployment("tfserving", version), options)}


def pod(version: dict[str, Any]) -> Object:
    found: Object = made(version)["Deployment"]["spec"]["template"]["spec"]
    return found


def test_the_deployment_as_a_whole() -> None:
    objects = made({"model": "models/digits/1", "args": ["--enable_batching=true"], "env": {"EMPTY": "", "A": "b"}})
    assert objects["ConfigMap"]["data"]["models.config"] == (
        'model_config_list {\n  config {\n    name: "digits"\n    base_path: "/models/digits"\n'
        '    model_platform: "tensorflow"\n    model_version_policy { specific { versions: 1 } }\n'
        '    version_labels { key: "stable" value: 1 }\n    version_labels { key: "canary" value: 1 }\n  }\n}\n'
    )
    template = objects["Deployment"]["spec"]["template"]
    assert template["metadata"]["annotations"].keys() == {names.CONFIG_ANNOTATION}
    probe = {"httpGet": {"path": "/v1/models/digits/versions/1/metadata", "port": "rest"}}
    assert template["spec"] == {
        "automountServiceAccountToken": False,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {
                    "matchLabels": {"turnout.dev/deployment": "digits", "turnout.dev/version": "v1"},
                },
            }
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 70,
        "containers": [
            {
                "name": "server",
                "image": "tensorflow/serving:2.19.1",
                "command": ["tensorflow_model_server"],
                "args": [
                    "--port=8500",
                    "--rest_api_port=8501",
                    "--model_config_file=/etc/turnout/models.config",
                    "--monitoring_config_file=/etc/turnout/monitoring.config",
                    "--allow_version_labels_for_unavailable_models=true",
                    "--enable_batching=true",
                ],
                "env": [{"name": "EMPTY"}, {"name": "A", "value": "b"}],
                "ports": [
                    {"name": "rest", "containerPort": 8501, "protocol": "TCP"},
                    {"name": "grpc", "containerPort": 8500, "protocol": "TCP"},
                ],
                "startupProbe": {**probe, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 900},
                "readinessProbe": {**probe, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
                "livenessProbe": {
                    "tcpSocket": {"port": "rest"},
                    "periodSeconds": 10,
                    "timeoutSeconds": 5,
                    "failureThreshold": 6,
                },
                "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "volumeMounts": [
                    {"name": "config", "mountPath": "/etc/turnout", "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": "digits-v1"}}, {"name": "tmp", "emptyDir": {}}],
    }
    assert [(port["name"], port["targetPort"]) for port in objects["Service"]["spec"]["ports"]] == [
        ("rest", 8501),
        ("grpc", 8500),
        ("metrics", 8501),
    ]


def test_another_config_is_another_pod_template() -> None:
    annotations = [
        made({"model": "models/digits/1", **changed})["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        for changed in ({}, {"servable": 2}, {"warmup": {"instances": [1]}})
    ]
    assert len({annotation[names.CONFIG_ANNOTATION] for annotation in annotations}) == 3


@pytest.mark.parametrize(
    ("version", "base"),
    [
        ({"model": "models/digits/1"}, "/models/digits"),
        ({"model": "file:///srv/digits/1/"}, "/srv/digits"),
        ({"model": "1"}, "/"),
        ({"model": "gs://bucket/digits/1/"}, "gs://bucket/digits"),
        ({"model": "models/digits", "servable": 3}, "/mnt/models"),
        ({"model": "pvc://claim/digits/3"}, "/mnt/models"),
        ({"model": "gs://bucket/digits", "servable": 3}, "/mnt/models"),
        ({"model": "s3://bucket/digits/3"}, "/mnt/models"),
        ({"model": "https://models.example/3.tgz", "servable": 3}, "/mnt/models"),
    ],
)
def test_the_base_path_holds_a_folder_named_by_the_servable(version: dict[str, Any], base: str) -> None:
    assert f'base_path: "{base}"\n' in made(version)["ConfigMap"]["data"]["models.config"]


@pytest.mark.parametrize(
    ("version", "image", "arguments"),
    [
        ({"model": "a/b", "servable": 3}, "tensorflow/serving:2.19.1-gpu", ["/a/b", "/mnt/models/3"]),
        ({"model": "x/y", "servable": 3, "image": "team/tf:1"}, "team/tf:1", ["/x/y", "/mnt/models/3"]),
        ({"model": "s3://bucket/digits/3"}, FETCHER, [":s3:bucket/digits/3", "/mnt/models/3", "3"]),
        ({"model": "gs://bucket/x", "servable": 3}, FETCHER, [":gcs:bucket/x", "/mnt/models/3", "3"]),
        (
            {"model": "https://models.example/d.tar.gz?sign=1", "servable": 3},
            FETCHER,
            ["https://models.example/d.tar.gz?sign=1", "/mnt/models/3", "-xzf"],
        ),
        ({"model": "http://m/d.tar", "servable": 3}, FETCHER, ["http://m/d.tar", "/mnt/models/3", "-xf"]),
    ],
)  # fmt: skip
def test_what_is_not_there_is_brought_before_the_server_starts(
    version: dict[str, Any], image: str, arguments: list[str]
) -> None:
    spec = pod(
        {**version, "resources": {"limits": {"memory": "1Gi", "gpu": 1}}, "pod": {"envFrom": [{"secret": "key"}]}}
    )
    (container,) = spec["initContainers"]
    assert container["image"] == image
    assert container["command"][:2] == ["sh", "-c"]
    assert container["command"][4:] == arguments
    assert container["resources"] == {"limits": {"memory": "1Gi"}}
    assert container["envFrom"] == [{"secretRef": {"name": "key"}}]
    assert {"name": "model", "emptyDir": {}} in spec["volumes"]
    assert {"name": "model", "mountPath": "/mnt/models", "readOnly": True} in spec["containers"][0]["volumeMounts"]


def test_a_claim_is_mounted_where_the_server_looks() -> None:
    spec = pod({"model": "pvc://models/digits/7"})
    assert {"name": "model", "persistentVolumeClaim": {"claimName": "models"}} in spec["volumes"]
    mount = {"name": "model", "mountPath": "/mnt/models/7", "readOnly": True, "subPath": "digits/7"}
    assert mount in spec["containers"][0]["volumeMounts"]
    assert "initContainers" not in spec


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("https://models.example/saved_model.pb", "spec.versions.0.model: over HTTP a folder comes packed"),
        ("pvc://claim/../x", "spec.versions.0.model: '../x' is no path in a claim"),
        ("pvc://Claim/x", "spec.versions.0.model: 'Claim' is no claim's name"),
    ],
)
def test_a_model_that_cant_be_brought_is_refused(model: str, message: str) -> None:
    with pytest.raises(CannotRender, match=message) as caught:
        made({"model": model, "servable": 1})
    assert caught.value.field == "spec.versions.0.model"


def test_what_the_spec_says_of_pods_is_in_them() -> None:
    document, options = CASES["tfserving with everything"]
    objects = {item["kind"]: item for item in manifests(document, options)}
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    server, warmup = spec["containers"]
    assert spec["serviceAccountName"] == "model-reader"
    assert spec["automountServiceAccountToken"] is True
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["nodeSelector"] == {"accelerator": "a100", "kubernetes.io/os": "linux", "empty": ""}
    assert spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "operator": "Equal", "value": "vision"},
        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
    ]
    assert server["image"] == "tensorflow/serving:2.18.0-gpu"
    assert server["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "1500m", "memory": "1536Mi", "nvidia.com/gpu": "1"},
    }
    assert server["envFrom"] == [{"secretRef": {"name": "bucket"}}, {"configMapRef": {"name": "endpoint"}}]
    assert server["volumeMounts"][-3:] == [
        {"name": "volume-0", "mountPath": "/var/secrets/google", "readOnly": True},
        {"name": "volume-1", "mountPath": "/etc/batching", "readOnly": True},
        {"name": "volume-2", "mountPath": "/var/cache/models"},
    ]
    assert spec["volumes"][-3:] == [
        {"name": "volume-0", "secret": {"secretName": "google"}},
        {"name": "volume-1", "configMap": {"name": "batching"}},
        {"name": "volume-2", "persistentVolumeClaim": {"claimName": "cache"}},
    ]
    assert warmup["name"] == "warmup"
    assert objects["ConfigMap"]["data"]["warmup.json"] == '{"instances": [[0.5, null]]}'
    assert (
        warmup["readinessProbe"]["exec"]["command"][-1] == "http://127.0.0.1:8501/v1/models/digits/versions/1:predict"
    )
    assert objects["Deployment"]["spec"]["replicas"] == 2
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_a_single_replica_has_no_disruption_budget() -> None:
    assert "PodDisruptionBudget" not in made({"model": "models/1", "autoscaling": {"maxReplicas": 4}})


@pytest.mark.parametrize(
    ("version", "image"),
    [
        ({}, "tensorflow/serving:2.19.1"),
        ({"resources": {"limits": {"gpu": 0}}}, "tensorflow/serving:2.19.1"),
        ({"resources": {"limits": {"gpu": 1}}}, "tensorflow/serving:2.19.1-gpu"),
        ({"resources": {"limits": {"gpu": 1}}, "image": "team/tf:1"}, "team/tf:1"),
    ],
)
def test_a_version_with_gpus_has_the_image_that_uses_them(version: dict[str, Any], image: str) -> None:
    assert pod({"model": "models/digits/3", **version})["containers"][0]["image"] == image
