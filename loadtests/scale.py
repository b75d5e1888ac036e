"""`python -m loadtests.scale`: the control plane with 1,000 ModelDeployments on a real API server. Needs root and Go.

Pods are only said to run (see hollow.py), but for the operator's and the gateways'. Told is: how long a full look at
everything takes, memory, what is asked of the API server at rest, and how long a change of weight takes from the write
of the document to the last worker of the last gateway that routes by it.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from loadtests import hollow
from tests.cluster.installed import RELEASE, SYSTEM, Installed
from tests.cluster.rig.cluster import NODES, Cluster, enter
from tests.fakes.turnout import until

_IN_FORCE = re.compile(r'^time=(\S+) .*message="route table in force"', re.MULTILINE)
_PATIENCE = 1800.0
_REST = 120.0
"""Seconds of rest over which requests to the API server are counted."""


def document(number: int, weight: int) -> dict[str, Any]:
    def version(name: str, servable: int) -> dict[str, Any]:
        return {
            "name": name,
            "model": f"models/{servable}",
            "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
            "pod": {
                "nodeSelector": hollow.SELECTOR,
                "tolerations": [{"key": hollow.TAINT, "operator": "Exists"}],
            },
        }

    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": f"model-{number}"},
        "spec": {
            "runtime": "tfserving",
            "versions": [version("v1", 1), version("v2", 2)],
            "traffic": {"stable": "v1", "canary": "v2", "weight": weight},
        },
    }


class Scale:
    """The figures of one cluster."""

    def __init__(self, cluster: Cluster, deployments: int) -> None:
        self._cluster = cluster
        self._deployments = deployments
        self._installed = Installed(cluster, "gateway.workers=1")

    def fill(self) -> float:
        """Seconds until all are ready."""
        began = time.monotonic()
        for first in range(0, self._deployments, 100):
            some = [document(number, 10) for number in range(first, min(first + 100, self._deployments))]
            self._installed.apply({"apiVersion": "v1", "kind": "List", "items": some})
            progress = f"{first + len(some)} are applied; {self._ready()} are ready"
            print(progress, file=sys.stderr)
        until(lambda: self._ready() == self._deployments, "all are ready", _PATIENCE)
        return time.monotonic() - began

    def change(self, number: int, weight: int) -> float:
        """Seconds from the write to the last worker's switch."""
        logs = {pod: log.read_text() for pod, log in self._gateway_logs()}
        before = {pod: len(_IN_FORCE.findall(text)) for pod, text in logs.items()}
        wrote = time.time()
        self._installed.patch(f"model-{number}", {"traffic": {"weight": weight}})

        def switched() -> list[str] | None:
            found = {pod: _IN_FORCE.findall(log.read_text()) for pod, log in self._gateway_logs()}
            new = [times[before[pod]] for pod, times in found.items() if len(times) > before[pod]]
            return new if len(new) == len(before) else None

        times = until(switched, f"model-{number} has weight {weight} everywhere", 60)
        return max(datetime.fromisoformat(moment).timestamp() for moment in times) - wrote

    def full_look(self) -> float:
        """Seconds in which an operator that has just started has looked at everything."""
        self._cluster.kubectl("rollout", "restart", f"deployment/{RELEASE}-operator", "--namespace", SYSTEM)
        self._cluster.kubectl(
            "rollout", "status", f"deployment/{RELEASE}-operator", "--namespace", SYSTEM, "--timeout", "300s"
        )
        until(lambda: self.passes()[0] >= self._deployments, "everything has been looked at", _PATIENCE)
        return self.passes()[1]

    def passes(self) -> tuple[float, float]:
        """Looks at one deployment, and the seconds that they took in all; 0 while the operator can't be asked."""
        try:
            metrics = self._operator_metrics()
        except httpx.TransportError:
            return 0, 0
        return (
            sum(value for name, _, value in metrics if name == "turnout_operator_passes_total"),
            sum(value for name, _, value in metrics if name == "turnout_operator_pass_seconds_sum"),
        )

    def requests_at_rest(self) -> float:
        """The operator's requests to the API server, per minute."""
        first = self._requests()
        time.sleep(_REST)
        return (self._requests() - first) * 60 / _REST

    def memory(self) -> dict[str, float]:
        """MiB of each program's processes, shared pages counted once for each."""
        return {
            f"{pod} ({'+'.join(str(round(one / 2**20)) for one in sizes)})": sum(sizes) / 2**20
            for pod, sizes in self._sizes()
        }

    def _ready(self) -> int:
        found = self._cluster.kubectl("get", "modeldeployments", "--output", "jsonpath={.items[*].status.phase}")
        return found.split().count("Ready")

    def _pods(self, part: str) -> list[Any]:
        pods = self._installed.list("pods", namespace=SYSTEM)
        named = [pod for pod in pods if pod["metadata"]["name"].startswith(f"{RELEASE}-{part}-")]
        return [pod for pod in named if "deletionTimestamp" not in pod["metadata"]]

    def _operator_metrics(self) -> list[tuple[str, dict[str, str], float]]:
        (pod,) = self._pods("operator")
        answer = httpx.get(f"http://{pod['status']['podIP']}:8082/metrics", trust_env=False, timeout=30)
        families = text_string_to_metric_families(answer.text)
        return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]

    def _requests(self) -> float:
        return sum(
            value for name, _, value in self._operator_metrics() if name == "turnout_operator_api_requests_total"
        )

    def _gateway_logs(self) -> Iterator[tuple[str, Path]]:
        if not hasattr(self, "_gateways"):
            self._gateways = [pod["metadata"]["name"] for pod in self._pods("gateway")]
        for name in self._gateways:
            for node in NODES:
                for log in (self._cluster.folder / "nodes" / node / "logs").glob(f"{SYSTEM}_{name}_*.log"):
                    yield name, log

    def _sizes(self) -> Iterator[tuple[str, list[int]]]:
        for part in ("operator", "gateway"):
            for pod in self._pods(part):
                name = pod["metadata"]["name"]
                for node in NODES:
                    record = self._cluster.folder / "nodes" / node / "pods" / f"{SYSTEM}_{name}.json"
                    if record.exists():
                        for container in json.loads(record.read_text())["containers"].values():
                            first = psutil.Process(container["pid"])
                            yield name, [one.memory_info().rss for one in (first, *first.children(recursive=True))]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.scale", description=__doc__)
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="turnout-scale-") as folder, ThreadPoolExecutor(1) as pool:
        # A thread of its own, since it enters the cluster's network for good.
        pool.submit(_measure, Path(folder), chosen.deployments, chosen.changes).result()
    return 0


def _measure(folder: Path, deployments: int, changes: int) -> None:
    cluster = Cluster.start(folder)
    node = None
    try:
        enter(cluster.netns)
        node = subprocess.Popen([sys.executable, "-m", "loadtests.hollow", str(cluster.kubeconfig)])
        until(lambda: _exists(lambda: cluster.kubectl("get", "node", hollow.NAME)), "the hollow node is there")
        cluster.kubectl("taint", "node", hollow.NAME, f"{hollow.TAINT}=:NoSchedule")
        scale = Scale(cluster, deployments)
        print(f"{deployments} ModelDeployments of 2 versions, all ready after: {scale.fill():.0f} s")
        print(f"requests of the operator to the API server at rest: {scale.requests_at_rest():.1f} per minute")
        took = [scale.change(number % deployments, 20 + number // deployments) for number in range(changes)]
        ordered = sorted(took)
        p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
        print(
            f"a change of weight, from the write to the last worker: median {statistics.median(took) * 1000:.0f} ms, "
            f"p99 {p99 * 1000:.0f} ms, most {ordered[-1] * 1000:.0f} ms, of {changes}"
        )
        print(f"a full look at everything by an operator that has just started: {scale.full_look():.1f} s")
        for name, size in scale.memory().items():
            print(f"memory of {name}: {size:.0f} MiB")
    finally:
        if node is not None:
            node.terminate()
            node.wait()
        cluster.stop()


def _exists(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except RuntimeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
