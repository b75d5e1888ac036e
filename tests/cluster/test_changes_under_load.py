"""100 requests a second over REST and gRPC, and meanwhile everything that an operator does to a cluster. None fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.installed import RELEASE, SYSTEM, Installed, images
from tests.cluster.load import Load
from tests.fakes.turnout import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAME = "digits"
LEAST = 10.0
"""Seconds of load after each change, for what it does late."""


def document(replicas: int) -> dict[str, Any]:
    def version(number: int) -> dict[str, Any]:
        return {
            "name": f"v{number}",
            "model": f"models/digits/{number}",
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
            "autoscaling": {"minReplicas": replicas, "maxReplicas": replicas},
        }

    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "runtime": "tfserving",
            "versions": [version(1), version(2)],
            "traffic": {"stable": "v1", "canary": "v2", "weight": 20},
        },
    }


@pytest.fixture(scope="module")
def serving(installed: Installed) -> Iterator[Installed]:
    installed.apply(document(replicas=2))
    installed.settled(NAME)
    yield installed
    installed.remove(NAME)


def unharmed(serving: Installed, change: Callable[[], object]) -> Load:
    """The load during which `change` was made, and some seconds more; none of it failed."""
    with Load(serving.address, images()[0]) as load:
        until(lambda: load.sent > 200, "the load runs")
        change()
        enough = load.sent + 100 * LEAST
        until(lambda: load.sent >= enough, "the load goes on", 10 * LEAST)
    assert load.failures == []
    assert set(load.answered) == {"v1", "v2"}
    return load


def rolled(serving: Installed, name: str, namespace: str = "default") -> None:
    serving.cluster.kubectl("rollout", "status", f"deployment/{name}", "--namespace", namespace, "--timeout", "180s")


def test_a_new_image_of_a_version(serving: Installed) -> None:
    def change() -> None:
        spec = document(replicas=2)["spec"]
        spec["versions"][0]["image"] = "tensorflow/serving:2.19.0"
        serving.patch(NAME, spec)
        serving.settled(NAME)
        rolled(serving, f"{NAME}-v1")
        pods = serving.list("pods", f"turnout.dev/deployment={NAME},turnout.dev/version=v1")
        ready = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        assert {pod["spec"]["containers"][0]["image"] for pod in ready} == {"tensorflow/serving:2.19.0"}

    unharmed(serving, change)


@pytest.mark.parametrize("program", ["gateway", "operator"])
def test_a_rolling_update_of_our_own(serving: Installed, program: str) -> None:
    def change() -> None:
        name = f"{RELEASE}-{program}"
        serving.cluster.kubectl("rollout", "restart", f"deployment/{name}", "--namespace", SYSTEM)
        rolled(serving, name, SYSTEM)

    unharmed(serving, change)


def test_weights_move(serving: Installed) -> None:
    def in_force(weight: float) -> None:
        until(lambda: serving.settled(NAME)["weight"] == weight, f"the weight is {weight}")

    def change() -> None:
        for weight in (50, 0, 100, 5, 20):
            serving.patch(NAME, {"traffic": {"weight": weight}})
            in_force(weight)

    unharmed(serving, change)


def test_a_node_is_drained(serving: Installed) -> None:
    def change() -> None:
        node = serving.list("pods", f"turnout.dev/deployment={NAME}")[0]["spec"]["nodeName"]
        try:
            serving.cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout", "300s")
            left = [pod for pod in serving.list("pods") if pod["spec"]["nodeName"] == node]
            assert left == []
        finally:
            serving.cluster.kubectl("uncordon", node)

    unharmed(serving, change)
    serving.settled(NAME)


def test_the_api_server_is_away_for_a_minute(serving: Installed) -> None:
    def change() -> None:
        serving.cluster.stop_api_server()
        try:
            away = time.monotonic()
            until(lambda: time.monotonic() - away >= 60, "the API server is away for a minute", 70)
        finally:
            serving.cluster.start_api_server()
        serving.settled(NAME)

    load = unharmed(serving, change)
    share = load.answered["v2"] / load.sent
    assert 0.15 < share < 0.25, "the weights hold"


def test_fewer_replicas(serving: Installed) -> None:
    def change() -> None:
        serving.patch(NAME, document(replicas=1)["spec"])
        serving.settled(NAME)
        until(lambda: len(serving.list("pods", f"turnout.dev/deployment={NAME}")) == 2, "one pod a version", 180)

    unharmed(serving, change)
