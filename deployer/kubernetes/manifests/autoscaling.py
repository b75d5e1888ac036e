"""A version's autoscaler: Kubernetes' own on CPU, KEDA's on the requests in flight. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.kubernetes.manifests.basics import Object, Options, field
from deployer.kubernetes.manifests.pod import SERVER

if TYPE_CHECKING:
    from deployer.document.model import Autoscaling, ModelDeployment, Version

GATEWAYS_JOB = "turnout-gateway"
"""The label `job` of the gateways' metrics."""

# Leaving is gentle, and after the cluster's own time of waiting: one replica or a tenth of them each half minute.
_BEHAVIOR: Object = {
    "scaleDown": {
        "policies": [
            {"type": "Pods", "value": 1, "periodSeconds": 30},
            {"type": "Percent", "value": 10, "periodSeconds": 30},
        ],
        "selectPolicy": "Max",
    }
}


def in_flight_query(deployment: ModelDeployment, version: Version) -> str:
    """PromQL for the requests in flight of all replicas of `version`, as the mean over a minute.

    A rate of seconds, since a gauge that is sampled now and then is noise. Scaled by the gateways that Prometheus knows
    over those that it reaches, since what the others carry would be missing (0019-scale-on-a-rate). Where it reaches
    none there is no result, and never 0.
    """
    labels = {
        "namespace": deployment.metadata.namespace,
        "deployment": deployment.metadata.name,
        "version": version.name,
    }
    matchers = ",".join(f'{name}="{value}"' for name, value in labels.items())
    up = f'up{{job="{GATEWAYS_JOB}"}}'
    return f"sum(rate(turnout_inflight_seconds_total{{{matchers}}}[1m])) * (count({up}) / count({up} == 1))"


def missing(deployment: ModelDeployment, version: Version, options: Options) -> str | None:
    """Why `version` has no autoscaler although it asks for one; None where it has one, or wants none."""
    wanted = _wanted(version)
    if wanted is None or wanted.target.cpu is not None or (options.keda and options.prometheus is not None):
        return None
    lacking = (
        "needs Prometheus; give its address by --prometheus"
        if options.keda
        else "needs KEDA, which is not installed; install it, or scale on cpu"
    )
    at = field(deployment, version, "autoscaling")
    return f"{at}: {version.name} stays at minReplicas, {wanted.min_replicas}, since scaling on inFlight {lacking}"


def autoscaler(deployment: ModelDeployment, version: Version, options: Options, metadata: Object) -> Object | None:
    """The object that scales the Deployment of the same name."""
    wanted = _wanted(version)
    if wanted is None or missing(deployment, version, options):
        return None
    subject = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"]}
    if wanted.target.cpu is not None:
        return {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata,
            "spec": {
                "scaleTargetRef": subject,
                "minReplicas": wanted.min_replicas,
                "maxReplicas": wanted.max_replicas,
                # Of the server alone: what else is in the pod, put there by a mesh for one, has other requests or none.
                "metrics": [
                    {
                        "type": "ContainerResource",
                        "containerResource": {"container": SERVER, **_cpu(wanted.target.cpu)},
                    }
                ],
                "behavior": _BEHAVIOR,
            },
        }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": subject,
            **_keda(deployment, version, wanted, options),
            # Without an answer of Prometheus, no version loses replicas.
            "fallback": {
                "failureThreshold": 3,
                "replicas": wanted.min_replicas,
                "behavior": "currentReplicasIfHigher",
            },
        },
    }


def seldon_autoscaling(deployment: ModelDeployment, version: Version, options: Options) -> Object:
    """The same as the part of a SeldonDeployment's `componentSpecs`, where Seldon's operator makes the autoscaler.

    Seldon's resource has no fallback that keeps replicas, so KEDA has none: without one, the replicas stay as they are.
    """
    wanted = _wanted(version)
    if wanted is None or missing(deployment, version, options):
        return {}
    if wanted.target.cpu is None:
        return {"kedaSpec": _keda(deployment, version, wanted, options)}
    return {
        "hpaSpec": {
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metricsv2": [{"type": "Resource", "resource": _cpu(wanted.target.cpu)}],
        }
    }


def _wanted(version: Version) -> Autoscaling | None:
    """What it says of scaling, if there is anything to scale."""
    wanted = version.autoscaling
    return wanted if wanted is not None and wanted.min_replicas < wanted.max_replicas else None


def _cpu(percent: int) -> Object:
    return {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}


def _keda(deployment: ModelDeployment, version: Version, wanted: Autoscaling, options: Options) -> Object:
    return {
        "pollingInterval": 15,
        "minReplicaCount": wanted.min_replicas,
        "maxReplicaCount": wanted.max_replicas,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _BEHAVIOR}},
        "triggers": [
            {
                "type": "prometheus",
                "name": "in-flight",
                "metricType": "AverageValue",
                "metadata": {
                    "serverAddress": options.prometheus,
                    "query": in_flight_query(deployment, version),
                    "threshold": f"{wanted.target.in_flight:.12g}",
                    # No result is a failure, not a load of 0 (docs/decisions/0019-scale-on-a-rate.md).
                    "ignoreNullValues": "false",
                },
            }
        ],
    }
