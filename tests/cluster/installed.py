"""Turnout as its users install it on the rig: the chart, then documents; and what they ask of the cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.cluster.rig.cluster import Cluster
from tests.cluster.rig.images import models
from tests.fakes.turnout import until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SYSTEM = "turnout-system"
RELEASE = "turnout"


class Installed:
    """The release on `cluster`. Objects of its namespace are the chart's, all others are the users'."""

    def __init__(self, cluster: Cluster, *values: str) -> None:
        self.cluster = cluster
        settings = [argument for value in values for argument in ("--set", value)]
        cluster.helm(
            "upgrade", "--install", RELEASE, str(ROOT / "charts/turnout"), "--namespace", SYSTEM, "--create-namespace",
            # Another test may have made the resource's definition.
            "--take-ownership", "--wait", "--timeout", "3m", *settings,
        )  # fmt: skip

    def uninstall(self) -> None:
        """Returns once no operator of it works."""
        self.cluster.helm("uninstall", RELEASE, "--namespace", SYSTEM)
        operators = ("--selector", "app.kubernetes.io/component=operator")
        self.cluster.kubectl("wait", "pods", "--for=delete", *operators, "--namespace", SYSTEM, "--timeout", "60s")

    @property
    def address(self) -> str:
        """The gateway's Service, for REST and gRPC."""
        service = self.get("service", f"{RELEASE}-gateway", SYSTEM)
        port = next(port["port"] for port in service["spec"]["ports"])
        return f"{service['spec']['clusterIP']}:{port}"

    def get(self, kind: str, name: str, namespace: str = "default") -> Any:
        return json.loads(self.cluster.kubectl("get", kind, name, "--namespace", namespace, "--output", "json"))

    def list(self, kind: str, selector: str = "", namespace: str = "default") -> list[Any]:
        found = self.cluster.kubectl("get", kind, "--selector", selector, "--namespace", namespace, "--output", "json")
        items: list[Any] = json.loads(found)["items"]
        return items

    def apply(self, document: Any, namespace: str = "default") -> None:
        """`document`: a file, or what would stand in one."""
        if isinstance(document, Path):
            self.cluster.kubectl("apply", "--namespace", namespace, "--filename", str(document))
        else:
            self.cluster.kubectl("apply", "--namespace", namespace, "--filename", "-", input=json.dumps(document))

    def patch(self, name: str, spec: dict[str, Any]) -> None:
        """A merge patch of a ModelDeployment's spec."""
        patch = json.dumps({"spec": spec})
        self.cluster.kubectl("patch", "modeldeployment", name, "--type", "merge", "--patch", patch)

    def condition(self, name: str, kind: str) -> Any:
        """A ModelDeployment's condition; {} where it isn't there."""
        conditions = self.get("modeldeployment", name).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def settled(self, name: str, seconds: float = 120.0) -> Any:
        """Wait until the newest spec is what runs; its status."""

        def ready() -> Any:
            found = self.get("modeldeployment", name)
            status = found.get("status", {})
            if status.get("observedGeneration") != found["metadata"]["generation"]:
                return None
            return status if status.get("phase") == "Ready" else None

        return until(ready, f"{name} is ready", seconds)

    def remove(self, name: str, seconds: float = 120.0) -> None:
        """Delete a ModelDeployment, and wait until nothing of it is left."""
        self.cluster.kubectl("delete", "modeldeployment", name)
        selector = f"turnout.dev/deployment={name}"
        until(lambda: not self.list("pods,services,deployments", selector), f"nothing of {name} is left", seconds)


def images(count: int = 50) -> tuple[list[list[float]], list[int]]:
    """Digits that the examples' models were not trained on, 64 numbers each, and what they show."""
    models()  # which are trained on the others
    with np.load(EXAMPLES / "digits.npz") as file:
        return file["unseen_images"][:count].tolist(), file["unseen_labels"][:count].tolist()
