"""metrics.k8s.io/v1beta1 for pods: what their processes use, as the kernel counts it.

`python -m tests.cluster.rig.metrics_api KUBECONFIG FOLDER CERTIFICATE KEY`, in the rig's network namespace. In FOLDER
lie the nodes' folders, whose `pods/*.json` name the containers' first processes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.tasks import spawn
from tests.cluster.rig import namespace
from tests.cluster.rig.agent.api import Api, Object, timestamp

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
PORT = 4443
SERVICE, NAMESPACE = "metrics-server", "kube-system"
_INTERVAL = 2.0
"""Seconds from sample to sample: a fifteenth of metrics-server's, so that autoscalers' tests take no minutes."""


def objects(authority: str) -> list[Object]:
    """What makes the API server ask this one. `authority`: its certificate in base64."""
    metadata = {"name": SERVICE, "namespace": NAMESPACE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": PORT}],
            "endpoints": [{"addresses": [namespace.ADDRESS]}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{VERSION}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "version": VERSION,
                "service": {"name": SERVICE, "namespace": NAMESPACE},
                "caBundle": authority,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]


class Counted(NamedTuple):
    """A process, by what the kernel has counted so far."""

    parent: int
    seconds: float
    """Of CPU."""
    memory: int
    """Bytes resident."""


Process = tuple[int, float]
"""Its id and when it was created: ids are used again."""


class Usage:
    """What each container used between the last two samples."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._at = time.monotonic()
        self._last = _processes()
        self.window = 0.0
        """Seconds between the last two samples."""
        self.time = timestamp()
        self.pods: dict[str, list[Object]] = {}
        """PodMetrics' `containers` by the pod's uid."""

    def sample(self) -> None:
        at, now = time.monotonic(), _processes()
        window, children = at - self._at, _children(now)
        created = dict(now.keys())
        pods = {}
        for file in self._folder.glob("*/pods/*.json"):
            try:
                pod = json.loads(file.read_text())
            except FileNotFoundError:
                continue
            pods[pod["uid"]] = [
                {"name": name, "usage": self._usage(container["pid"], now, children, window)}
                for name, container in pod["containers"].items()
                if container["pid"] in created
            ]
        self.pods, self.window, self.time, self._at, self._last = pods, window, timestamp(), at, now

    def _usage(
        self, first: int, now: dict[Process, Counted], children: dict[int, list[Process]], window: float
    ) -> Object:
        """Of the process `first` and all under it."""
        seconds, memory = 0.0, 0
        left = [process for process in now if process[0] == first]
        while left:
            process = left.pop()
            before = self._last.get(process)
            seconds += now[process].seconds - (before.seconds if before else 0.0)
            memory += now[process].memory
            left += children.get(process[0], [])
        return {"cpu": f"{round(seconds / window * 1e9)}n", "memory": f"{memory // 1024}Ki"}


def _processes() -> dict[Process, Counted]:
    found = {}
    for process in psutil.process_iter(("pid", "ppid", "create_time", "cpu_times", "memory_info")):
        info = process.info
        if info["cpu_times"] is not None and info["memory_info"] is not None:
            seconds = info["cpu_times"].user + info["cpu_times"].system
            found[info["pid"], info["create_time"]] = Counted(info["ppid"], seconds, info["memory_info"].rss)
    return found


def _children(processes: dict[Process, Counted]) -> dict[int, list[Process]]:
    children: dict[int, list[Process]] = {}
    for process, counted in processes.items():
        children.setdefault(counted.parent, []).append(process)
    return children


class MetricsApi:
    def __init__(self, api: Api, usage: Usage) -> None:
        self._api = api
        self._usage = usage
        self.app = Starlette(
            routes=[
                Route(f"/apis/{GROUP}/{VERSION}", self._resources),
                Route(f"/apis/{GROUP}/{VERSION}/pods", self._list),
                Route(f"/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/pods", self._list),
                Route(f"/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/pods/{{name}}", self._one),
            ],
            lifespan=self._running,
        )

    @asynccontextmanager
    async def _running(self, app: Starlette) -> AsyncIterator[None]:
        sampling = spawn(self._sample(), "sampling")
        yield
        sampling.cancel()

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            self._usage.sample()

    async def _resources(self, request: Request) -> JSONResponse:
        pods = {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
        resources = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{GROUP}/{VERSION}",
            "resources": [pods],
        }
        return JSONResponse(resources)

    async def _list(self, request: Request) -> JSONResponse:
        """Which pods a selector means, the API server itself is asked."""
        inside = f"/namespaces/{request.path_params['namespace']}" if "namespace" in request.path_params else ""
        selectors = {key: request.query_params.get(key, "") for key in ("labelSelector", "fieldSelector")}
        found = (await self._api.get(f"/api/v1{inside}/pods", **selectors))["items"]
        items = [self._metrics(pod) for pod in found if self._usage.pods.get(pod["metadata"]["uid"])]
        pod_metrics = {"kind": "PodMetricsList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}
        return JSONResponse(pod_metrics)

    async def _one(self, request: Request) -> JSONResponse:
        path = "/api/v1/namespaces/{namespace}/pods/{name}".format(**request.path_params)
        pod = await self._api.get(path)
        if not self._usage.pods.get(pod["metadata"]["uid"]):
            return JSONResponse({"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404}, 404)
        return JSONResponse(self._metrics(pod))

    def _metrics(self, pod: Object) -> Object:
        metadata = pod["metadata"]
        return {
            "kind": "PodMetrics",
            "apiVersion": f"{GROUP}/{VERSION}",
            "metadata": {key: metadata.get(key) for key in ("name", "namespace", "labels", "creationTimestamp")},
            "timestamp": self._usage.time,
            "window": f"{self._usage.window:.3f}s",
            "containers": self._usage.pods[metadata["uid"]],
        }


def main() -> None:
    kubeconfig, folder, certificate, key = sys.argv[1:]
    app = MetricsApi(Api(Path(kubeconfig)), Usage(Path(folder))).app
    at = namespace.ADDRESS
    uvicorn.run(app, host=at, port=PORT, ssl_certfile=certificate, ssl_keyfile=key, access_log=False)


if __name__ == "__main__":
    main()
