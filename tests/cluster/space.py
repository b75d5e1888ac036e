"""A namespace for one test, and what its pods are made of."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx

from tests.cluster.rig.cluster import Cluster
from tests.fakes.turnout import until

Object = dict[str, Any]

WEB = {
    "image": "test/http:1",
    "ports": [{"name": "http", "containerPort": 8080}],
    "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1},
}


class Space:
    """A namespace of a test's own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.name = f"agent-{uuid.uuid4().hex[:8]}"
        cluster.kubectl("create", "namespace", self.name)
        until(lambda: self.items("serviceaccounts"), "the default service account is there")
        until(lambda: self.items("configmaps"), "the certificate of the API server is there")

    def apply(self, *objects: Object) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.cluster.kubectl("apply", "--namespace", self.name, "--filename", "-", input=text)

    def items(self, kind: str, *options: str) -> list[Any]:
        text = self.cluster.kubectl("get", kind, "--namespace", self.name, "--output", "json", *options)
        found: list[Any] = json.loads(text)["items"]
        return found

    def get(self, kind: str, name: str) -> Any:
        return json.loads(self.cluster.kubectl("get", kind, name, "--namespace", self.name, "--output", "json"))

    def pod(self, container: Object, name: str = "one", **spec: Any) -> Any:
        """Apply a pod of one container."""
        container = {"name": "main", **container}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": name}},
                "spec": {"containers": [container], **spec},
            }
        )

    def container(self, name: str = "one") -> Any:
        """The status of that pod's container; {} while there is none."""
        return next(iter(self.get("pod", name)["status"].get("containerStatuses", [])), {})

    def ready(self, count: int, selector: str = "") -> list[Any]:
        """So many ready pods, once there are no others."""

        def found() -> list[Any] | None:
            pods = self.items("pods", "--selector", selector)
            return pods if len(pods) == count and all(map(is_ready, pods)) else None

        try:
            pods: list[Any] = until(found, f"{count} pods are ready")
        except AssertionError as error:
            error.add_note(self.cluster.kubectl("describe", "pods", "--namespace", self.name))
            raise
        return pods

    def endpoints(self, service: str) -> list[Any]:
        slices = self.items("endpointslices", "--selector", f"kubernetes.io/service-name={service}")
        return [endpoint for found in slices for endpoint in found["endpoints"] or []]


def is_ready(pod: Any) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def answer(pod: Any, path: str = "/") -> Any:
    with httpx.Client(trust_env=False) as client:
        return client.get(f"http://{pod['status']['podIP']}:8080{path}").json()


def deployment(replicas: int, container: Object) -> tuple[Object, Object]:
    """With a headless Service."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", **container}]}}
    return (
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080}]},
        },
    )


def shell(script: str) -> Object:
    return {"image": "busybox:1", "command": ["sh", "-c", script]}
