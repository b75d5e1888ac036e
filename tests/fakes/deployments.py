"""ModelDeployments of every kind that can be had on Kubernetes, each with what the cluster has."""

from __future__ import annotations

from typing import Any

from deployer.document.model import API_VERSION, KIND, ModelDeployment
from deployer.kubernetes.manifests import Options

PLAIN = Options()
SELDON = Options(seldon_crd=True)
KEDA = Options(keda=True, prometheus="http://prometheus.monitoring:9090")
ALL = Options(seldon_crd=True, keda=True, prometheus="http://prometheus.monitoring:9090")

_POD = {
    "nodeSelector": {"accelerator": "a100", "kubernetes.io/os": "linux", "empty": ""},
    "tolerations": [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "value": "vision"},
        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
    ],
    "serviceAccount": "model-reader",
    "pullSecrets": ["registry"],
    "envFrom": [{"secret": "bucket"}, {"configMap": "endpoint"}],
    "volumes": [
        {"secret": "google", "path": "/var/secrets/google"},
        {"configMap": "batching", "path": "/etc/batching"},
        {"pvc": "cache", "path": "/var/cache/models", "readOnly": False},
    ],
}
_RESOURCES = {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"cpu": "1500m", "memory": "1.5Gi", "gpu": 1}}
_IN_FLIGHT = {"minReplicas": 2, "maxReplicas": 8, "target": {"inFlight": 2.5}}
_CPU = {"minReplicas": 1, "maxReplicas": 3, "target": {"cpu": 70}}


def deployment(runtime: str, *versions: dict[str, Any], name: str = "digits", **spec: Any) -> ModelDeployment:
    """One of `versions`, called v1, v2, … where they have no name."""
    named = [{"name": f"v{index}", **version} for index, version in enumerate(versions, 1)]
    return ModelDeployment.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"runtime": runtime, "versions": named, "traffic": {"stable": named[0]["name"]}, **spec},
        }
    )


CASES: dict[str, tuple[ModelDeployment, Options]] = {
    "tfserving": (deployment("tfserving", {"model": "models/digits/1"}, {"model": "/models/digits/2"}), PLAIN),
    "tfserving with everything": (
        deployment(
            "tfserving",
            {
                "model": "s3://models/digits/1",
                "image": "tensorflow/serving:2.18.0-gpu",
                "args": ["--enable_batching=true", "--batching_parameters_file=/etc/batching/parameters"],
                "resources": _RESOURCES,
                "autoscaling": _IN_FLIGHT,
                "warmup": {"instances": [[0.5, None]]},
                "env": {"TF_CPP_MIN_LOG_LEVEL": "2", "EMPTY": ""},
                "pod": _POD,
            },
        ),
        KEDA,
    ),
    "tfserving on cpu": (
        deployment("tfserving", {"model": "models/1", "resources": _RESOURCES, "autoscaling": _CPU}),
        PLAIN,
    ),
    "tfserving from everywhere": (
        deployment(
            "tfserving",
            {"model": "gs://models/digits/1"},
            {"model": "gs://models/digits/latest", "servable": 2},
            {"model": "s3://models/digits/3"},
            {"model": "pvc://models/digits/4"},
            {"model": "pvc://models", "servable": 5},
            {"model": "https://models.example/digits.tar.gz", "servable": 6},
            {"model": "models/other", "servable": 7},
        ),
        PLAIN,
    ),
    "long names": (
        deployment(
            "tfserving",
            {"model": "models/1", "name": f"{'v' * 61}-1"},
            {"model": "models/2", "name": f"{'v' * 61}-2"},
            name="d" * 63,
        ),
        PLAIN,
    ),
    "a digit first": (deployment("tfserving", {"model": "models/1", "name": "1"}, name="3d"), PLAIN),
    "oip mlserver": (
        deployment(
            "oip",
            {"model": "models/digits.joblib", "implementation": "mlserver_sklearn.SKLearnModel"},
            {"model": "pvc://models/iris/model.joblib", "implementation": "mlserver_sklearn.SKLearnModel"},
            {"model": "s3://models/iris"},
            {"image": "team/digits:3", "warmup": {"inputs": []}, "resources": _RESOURCES, "autoscaling": _CPU},
        ),
        PLAIN,
    ),
    "oip mlserver on other ports": (
        deployment("oip", {"image": "team/digits:1"}, oip={"ports": {"rest": 9000, "grpc": 9001}}),
        PLAIN,
    ),
    "triton": (
        deployment(
            "triton",
            {"model": "models/digits/1"},
            {"model": "models/digits-onnx", "resources": _RESOURCES},
            {"model": "gs://models/digits/3", "autoscaling": _IN_FLIGHT},
            {"image": "team/triton:1"},
        ),
        KEDA,
    ),
    "oip other": (
        deployment(
            "oip",
            {"image": "team/server:1", "model": "s3://models/digits", "args": ["--models=/mnt/models/model"]},
            oip={"server": "other", "ports": {"rest": 8080, "grpc": 9000}},
        ),
        PLAIN,
    ),
    "seldon without its operator": (
        deployment(
            "seldon",
            {"image": "team/digits:1", "pod": _POD, "autoscaling": _IN_FLIGHT},
            {"image": "team/digits:2", "model": "pvc://models/digits/Digits.py"},
            {"model": "s3://models/iris", "implementation": "SKLEARN_SERVER", "warmup": {"data": {"ndarray": [[1]]}}},
        ),
        KEDA,
    ),
    "seldon without its operator, though it is there": (
        deployment("seldon", {"image": "team/digits:1"}, seldon={"operator": False}),
        SELDON,
    ),
    "seldon": (
        deployment(
            "seldon",
            {
                "image": "team/digits:1",
                "pod": _POD,
                "resources": _RESOURCES,
                "autoscaling": _IN_FLIGHT,
                "env": {"EMPTY": "", "A": "b"},
            },
            {"image": "team/digits:2", "model": "s3://models/digits/Digits.py", "autoscaling": _IN_FLIGHT},
            {
                "model": "s3://models/iris",
                "implementation": "SKLEARN_SERVER",
                "warmup": {"data": {"ndarray": [[1]]}},
                "pod": {"envFrom": [{"secret": "bucket"}], "serviceAccount": "model-reader"},
            },
            {"image": "team/digits:4", "resources": _RESOURCES, "autoscaling": _CPU},
        ),
        ALL,
    ),
    "seldon v2": (
        deployment(
            "seldon",
            {"model": "gs://models/iris", "implementation": "HUGGINGFACE_SERVER"},
            seldon={"operator": True, "protocol": "v2"},
        ),
        SELDON,
    ),
    "seldon tensorflow": (
        deployment(
            "seldon",
            {"model": "pvc://models/digits", "implementation": "TENSORFLOW_SERVER"},
            seldon={"protocol": "tensorflow"},
        ),
        SELDON,
    ),
}
