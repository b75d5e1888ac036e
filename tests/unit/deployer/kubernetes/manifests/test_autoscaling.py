"""Autoscalers, and amounts in the API server's form."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.kubernetes.manifests import Object, Options, amounts, autoscaler_missing, manifests
from tests.fakes.deployments import ALL, KEDA, PLAIN, deployment

CPU = {"minReplicas": 1, "maxReplicas": 3, "target": {"cpu": 70}}
BEHAVIOR = {
    "scaleDown": {
        "policies": [
            {"type": "Pods", "value": 1, "periodSeconds": 30},
            {"type": "Percent", "value": 10, "periodSeconds": 30},
        ],
        "selectPolicy": "Max",
    }
}
QUERY = (
    'sum(rate(turnout_inflight_seconds_total{namespace="default",deployment="digits",version="v1"}[1m]))'
    ' * (count(up{job="turnout-gateway"}) / count(up{job="turnout-gateway"} == 1))'
)


def version(autoscaling: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"model": "models/1", "resources": {"requests": {"cpu": "1"}}}
    return found if autoscaling is None else {**found, "autoscaling": autoscaling}


def scalers(autoscaling: dict[str, Any] | None, options: Options) -> list[Object]:
    objects = manifests(deployment("tfserving", version(autoscaling)), options)
    return [item for item in objects if item["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")]


def test_on_cpu_kubernetes_scales_by_the_server_alone() -> None:
    (scaler,) = scalers(CPU, PLAIN)
    assert scaler["apiVersion"] == "autoscaling/v2"
    assert scaler["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "digits-v1"},
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [
            {
                "type": "ContainerResource",
                "containerResource": {
                    "container": "server",
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 70},
                },
            }
        ],
        "behavior": BEHAVIOR,
    }


def test_on_requests_in_flight_keda_scales_and_never_down_without_an_answer() -> None:
    (scaler,) = scalers({"minReplicas": 2, "maxReplicas": 8, "target": {"inFlight": 2.5}}, KEDA)
    assert scaler["kind"] == "ScaledObject"
    assert scaler["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "digits-v1"},
        "pollingInterval": 15,
        "minReplicaCount": 2,
        "maxReplicaCount": 8,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}},
        "triggers": [
            {
                "type": "prometheus",
                "name": "in-flight",
                "metricType": "AverageValue",
                "metadata": {
                    "serverAddress": "http://prometheus.monitoring:9090",
                    "query": QUERY,
                    "threshold": "2.5",
                    "ignoreNullValues": "false",
                },
            }
        ],
        "fallback": {"failureThreshold": 3, "replicas": 2, "behavior": "currentReplicasIfHigher"},
    }


@pytest.mark.parametrize(("load", "threshold"), [(4, "4"), (0.1, "0.1"), (10_000, "10000"), (1234.567, "1234.567")])
def test_the_threshold_is_the_number_that_was_written(load: float, threshold: str) -> None:
    (scaler,) = scalers({"maxReplicas": 2, "target": {"inFlight": load}}, KEDA)
    assert scaler["spec"]["triggers"][0]["metadata"]["threshold"] == threshold


@pytest.mark.parametrize(
    ("autoscaling", "options", "missing"),
    [
        (None, PLAIN, None),
        (CPU, PLAIN, None),
        ({"maxReplicas": 3}, KEDA, None),
        ({"minReplicas": 3, "maxReplicas": 3}, PLAIN, None),
        ({"maxReplicas": 3}, PLAIN, "needs KEDA, which is not installed; install it, or scale on cpu"),
        ({"maxReplicas": 3}, Options(prometheus="http://p"), "needs KEDA"),
        ({"maxReplicas": 3}, Options(keda=True), "needs Prometheus; give its address by --prometheus"),
    ],
)
def test_why_there_is_no_autoscaler(autoscaling: dict[str, Any] | None, options: Options, missing: str | None) -> None:
    document = deployment("tfserving", version(autoscaling))
    message = autoscaler_missing(document, document.spec.versions[0], options)
    if missing is None:
        assert message is None
    else:
        assert message is not None
        assert message.startswith("spec.versions.0.autoscaling: v1 stays at minReplicas, 1, since scaling on inFlight ")
        assert missing in message
        assert scalers(autoscaling, options) == []


def test_a_seldon_deployment_has_its_scaling_within() -> None:
    cpu = {"image": "team/digits:1", "resources": {"requests": {"cpu": "1"}}, "autoscaling": CPU}
    objects = manifests(
        deployment("seldon", cpu, {"image": "x", "autoscaling": {"maxReplicas": 4}}, {"image": "y"}), ALL
    )
    predictors = [item["spec"]["predictors"][0] for item in objects if item["kind"] == "SeldonDeployment"]
    by_cpu, by_load, alone = (predictor["componentSpecs"][0] for predictor in predictors)
    assert by_cpu["hpaSpec"]["maxReplicas"] == 3
    assert by_load["kedaSpec"]["triggers"][0]["metadata"]["query"] == QUERY.replace('"v1"', '"v2"')
    assert "fallback" not in by_load["kedaSpec"]
    assert alone.keys() == {"spec"}
    assert [predictor.get("replicas") for predictor in predictors] == [None, None, 1]
    assert not [item for item in objects if item["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")]


@pytest.mark.parametrize(
    ("written", "returned"),
    [("1", "1"), ("0.5", "500m"), ("1000m", "1"), ("1500m", "1500m"), ("0.001", "1m"), ("2000", "2k"), ("10.0", "10")],
)
def test_cpu_is_as_the_api_server_returns_it(written: str, returned: str) -> None:
    assert amounts.cpu(written) == returned


@pytest.mark.parametrize(
    ("written", "returned"),
    [
        ("1Gi", "1Gi"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("0.1Gi", "107374182400m"),
        ("1000M", "1G"),
        ("1024", "1024"),
        ("1000", "1k"),
        ("1.5k", "1500"),
        ("0.5", "500m"),
        ("1Ei", "1Ei"),
    ],
)
def test_memory_is_as_the_api_server_returns_it(written: str, returned: str) -> None:
    assert amounts.memory(written) == returned
