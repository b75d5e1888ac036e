"""An operator as a process of the tests' own, and what it is given to look after: pods that are only said to run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from deployer.kubernetes.crd.definition import crd
from loadtests import hollow
from tests.cluster.rig.cluster import Cluster
from tests.fakes.turnout import free_port, until

KINDS = "configmaps,services,deployments.apps,poddisruptionbudgets,horizontalpodautoscalers,endpointslices,pods"
TOP = Path(__file__).resolve().parents[2]


class Operator:
    """`turnout operator` for one namespace, its Lease in it too. `with` kills it in the end, whatever became of it."""

    def __init__(self, kubeconfig: Path, namespace: str, log: Path) -> None:
        self.port = free_port()
        self.log = log
        command = [
            *(sys.executable, "-m", "deployer.cli.main", "operator", "--namespace", namespace),
            *("--lease-namespace", namespace, "--host", "127.0.0.1", "--port", str(self.port)),
        ]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env={**os.environ, "KUBECONFIG": str(kubeconfig)},
                stdout=output,
                stderr=output,
                cwd=TOP,
            )

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def kill(self) -> None:
        """At once, as when its machine fails."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """In order; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def says(self, page: str) -> tuple[int, str]:
        """Status and text of a page; 0 where nothing answers."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", page)
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()
        except (OSError, HTTPException):
            return 0, ""
        finally:
            connection.close()

    def is_active(self) -> bool:
        assert self.process.poll() is None, f"the operator has ended: {self.log.read_text()}"
        return self.says("/readyz") == (200, "active")

    def metric(self, line: str) -> float:
        """The value of the series written as `line`."""
        values = [text.rpartition(" ")[2] for text in self.says("/metrics")[1].splitlines() if text.startswith(line)]
        return float(values[0]) if values else 0.0


class Space:
    """A Kubernetes namespace of a test's own, and what it asks of it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def kubectl(self, *args: str, input: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.name, *args, input=input)

    def apply(self, document: dict[str, Any]) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", input=json.dumps(document))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "--output", "json"))
        return found

    def status(self, name: str = "digits") -> dict[str, Any]:
        """The deployment's status once it is of the newest spec; {} before that."""
        found = self.get("modeldeployment", name)
        status: dict[str, Any] = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    def condition(self, kind: str, name: str = "digits") -> dict[str, Any]:
        return next((c for c in self.status(name).get("conditions", []) if c["type"] == kind), {})

    def settled(self, name: str = "digits") -> dict[str, Any]:
        """The status, once all is as declared."""
        status: dict[str, Any] = until(
            lambda: (found := self.status(name)).get("phase") == "Ready" and found, f"{name} is ready"
        )
        return status

    def objects(self, name: str = "digits", kinds: str = KINDS) -> list[dict[str, Any]]:
        """Whatever bears the deployment's label."""
        selector = f"turnout.dev/deployment={name}"
        found = self.kubectl("get", kinds, "--selector", selector, "--output", "json")
        items: list[dict[str, Any]] = json.loads(found)["items"]
        return items

    def names(self, kind: str, name: str = "digits") -> set[str]:
        return {item["metadata"]["name"] for item in self.objects(name, kind)}

    def events(self) -> set[tuple[str, str]]:
        """Reason and message of what was told of ModelDeployments."""
        items = json.loads(self.kubectl("get", "events", "--output", "json"))["items"]
        about = [item for item in items if item["involvedObject"]["kind"] == "ModelDeployment"]
        return {(item["reason"], item["message"]) for item in about}


def document(
    versions: Sequence[str] = ("v1", "v2"),
    stable: str = "v1",
    canary: str | None = "v2",
    weight: float = 10,
    **spec: Any,
) -> dict[str, Any]:
    """digits, on the node whose pods are only said to run; `v1={…}` gives a version more fields."""
    traffic = {"stable": stable, **({"canary": canary, "weight": weight} if canary else {})}
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits"},
        "spec": {
            "runtime": "tfserving",
            "versions": [
                {
                    "name": version,
                    "model": f"/models/digits/{version[1:]}",
                    "pod": {"nodeSelector": hollow.SELECTOR},
                    **spec.get(version, {}),
                }
                for version in versions
            ],
            "traffic": traffic,
        },
    }


def define(cluster: Cluster, definition: dict[str, Any]) -> None:
    """Make the resource's definition this one."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", input=json.dumps(definition))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{definition['metadata']['name']}", "--timeout=60s")


@contextmanager
def operable(cluster: Cluster, folder: Path) -> Iterator[None]:
    """The cluster with the definition, with the node, and with no other operator that would do what ours should."""
    define(cluster, crd())
    others = ("--all-namespaces", "--selector", "app.kubernetes.io/component=operator")
    found = json.loads(cluster.kubectl("get", "deployments", *others, "--output", "json"))["items"]
    for other in found:
        _scale(cluster, other, 0)
    until(lambda: not _pods(cluster, others), "no other operator is left")
    with (folder / "hollow.log").open("ab") as log:
        node = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "loadtests.hollow", str(cluster.kubeconfig)],
            cwd=TOP,
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: f"node/{hollow.NAME}" in cluster.kubectl("get", "nodes", "--output", "name"), "the node is there")
        yield
    finally:
        node.kill()
        node.wait()
        cluster.kubectl("delete", "node", hollow.NAME)
        for other in found:
            _scale(cluster, other, other["spec"]["replicas"])


def _pods(cluster: Cluster, where: Sequence[str]) -> list[Any]:
    items: list[Any] = json.loads(cluster.kubectl("get", "pods", *where, "--output", "json"))["items"]
    return items


def _scale(cluster: Cluster, deployment: dict[str, Any], replicas: int) -> None:
    metadata = deployment["metadata"]
    cluster.kubectl(
        "scale", "deployment", metadata["name"], "--namespace", metadata["namespace"], f"--replicas={replicas}"
    )
