"""Killed before and after each of its writes, the operator comes to the same objects, and leaves none behind."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster.operators import Operator, Space, document, operable
from tests.cluster.rig.cluster import Cluster
from tests.cluster.write_proxy import Write, WriteProxy
from tests.fakes.turnout import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

MADE = "configmaps,services,deployments.apps,poddisruptionbudgets,horizontalpodautoscalers"
SCALED = {
    "autoscaling": {"minReplicas": 2, "maxReplicas": 3, "target": {"cpu": 70}},
    "resources": {"requests": {"cpu": 1}},
}


class Step(NamedTuple):
    document: dict[str, Any]
    versions: set[str]


STEPS = (
    Step(document(v1=SCALED), {"digits-v1", "digits-v2"}),
    # v1 loses its autoscaler and its budget and gets a variable, v2 goes, v3 comes, and the traffic moves.
    Step(
        document(["v1", "v3"], stable="v3", canary="v1", weight=20, v1={"env": {"TEST_A": "1"}}),
        {"digits-v1", "digits-v3"},
    ),
)


@pytest.fixture(scope="module")
def prepared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with operable(cluster, tmp_path_factory.mktemp("kills")):
        yield cluster


@pytest.fixture
def spaces(prepared: Cluster) -> Iterator[Callable[[], Space]]:
    made: list[str] = []

    def make() -> Space:
        made.append(f"kills-{uuid.uuid4().hex[:8]}")
        prepared.kubectl("create", "namespace", made[-1])
        return Space(prepared, made[-1])

    yield make
    for name in made:
        prepared.kubectl("delete", "namespace", name, "--wait=false")


def settled(space: Space, versions: set[str]) -> bool:
    """Whether all is as the spec says, with the objects of these versions and no others."""
    found = json.loads(space.kubectl("get", "modeldeployments,deployments.apps", "--output", "json"))["items"]
    (deployment,) = (item for item in found if item["kind"] == "ModelDeployment")
    status = deployment.get("status", {})
    current = status.get("observedGeneration") == deployment["metadata"]["generation"]
    names = {item["metadata"]["name"] for item in found if item["kind"] == "Deployment"}
    return current and status["phase"] == "Ready" and names == versions


def essence(space: Space) -> dict[str, Any]:
    """What is there, without what differs between two makings of the same."""
    found = {}
    for made in space.objects(kinds=MADE):
        metadata = made["metadata"]
        # The cluster's own controllers are to agree too, but what they write down is theirs.
        annotations = {k: v for k, v in metadata["annotations"].items() if k.startswith("turnout.dev/config")}
        owners = [(owner["kind"], owner["name"]) for owner in metadata["ownerReferences"]]
        spec = {k: v for k, v in made.get("spec", {}).items() if k not in ("clusterIP", "clusterIPs")}
        content = {"labels": metadata["labels"], "annotations": annotations, "owners": owners, "data": made.get("data")}
        found[f"{made['kind']}/{metadata['name']}"] = {**content, "spec": spec}
    return found


def route(space: Space) -> dict[str, Any]:
    """The route without its number of changes: killed, the operator may find two changes at once."""
    found = space.status()["route"]
    return {name: value for name, value in found.items() if name not in ("epoch", "namespace")}


class Killed:
    """Runs operators one after another, each to its next write and no further: in turn before it and after it."""

    def __init__(self, space: Space, proxy: WriteProxy, folder: Path) -> None:
        self.kills: list[str] = []
        self._space = space
        self._proxy = proxy
        self._log = folder / "operators.log"

    def run(self, end: Callable[[], bool], what: str) -> None:
        """Until `end` is true while an operator still runs, with nothing left for it to write."""
        for _ in range(200):
            self._space.kubectl("delete", "lease", "turnout-operator", "--ignore-not-found")
            moment = "after" if self.kills and self.kills[-1] == "before" else "before"
            with Operator(self._proxy.kubeconfig, self._space.name, self._log) as operator:
                setattr(self._proxy, moment, operator.process.kill)

                def over(operator: Operator = operator) -> bool:
                    return operator.process.poll() is not None or (
                        operator.is_active() and operator.metric("turnout_operator_queue") == 0 and end()
                    )

                until(over, what)
                if operator.process.poll() is None:
                    self._proxy.before = self._proxy.after = None
                    return
                self.kills.append(moment)
        raise AssertionError(f"{what}: not after 200 operators")


def test_whenever_it_is_killed_the_same_comes_about(spaces: Callable[[], Space], tmp_path: Path) -> None:
    quiet, killed = spaces(), spaces()
    expected = []
    with Operator(quiet.cluster.kubeconfig, quiet.name, tmp_path / "quiet.log"):
        for step in STEPS:
            quiet.apply(step.document)
            until(partial(settled, quiet, step.versions), "all is as declared")
            expected.append((essence(quiet), route(quiet)))
    with WriteProxy(killed.cluster, tmp_path) as proxy:
        chain = Killed(killed, proxy, tmp_path)
        for step, wanted in zip(STEPS, expected, strict=True):
            killed.apply(step.document)
            chain.run(partial(settled, killed, step.versions), "all is as declared")
            assert (essence(killed), route(killed)) == wanted
        check_order(proxy.writes)
        killed.kubectl("delete", "modeldeployment", "digits", "--wait=false")
        chain.run(lambda: not killed.objects(kinds=f"{MADE},pods"), "nothing is left")
        print(f"{len(chain.kills)} operators killed; {len(proxy.writes)} writes")
    assert chain.kills.count("before") >= 15
    assert chain.kills.count("after") >= 15


def check_order(writes: Sequence[Write]) -> None:
    """What belongs to a version that is declared no more goes once the route in force doesn't name it."""
    routed: set[str] = set()
    deleted = set()
    for write in writes:
        if write.path.endswith("/status"):
            routed = {version["name"] for version in write.body["status"]["route"]["versions"]}
        if write.method == "DELETE" and write.path.endswith("/digits-v2"):
            assert "v2" not in routed
            deleted.add(write.path.split("/")[-2])
    assert deleted == {"configmaps", "deployments", "services"}
