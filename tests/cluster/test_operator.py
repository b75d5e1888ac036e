"""The operator against a real API server: what it makes, what it puts right, what it leaves alone."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.kubernetes.crd.definition import crd
from tests.cluster.operators import Operator, Space, define, document, operable
from tests.cluster.rig.cluster import Cluster
from tests.fakes.turnout import until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def prepared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with operable(cluster, tmp_path_factory.mktemp("operator")):
        yield cluster


@pytest.fixture
def space(prepared: Cluster) -> Iterator[Space]:
    name = f"operator-{uuid.uuid4().hex[:8]}"
    prepared.kubectl("create", "namespace", name)
    yield Space(prepared, name)
    prepared.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def operator(space: Space, tmp_path: Path) -> Iterator[Operator]:
    with Operator(space.cluster.kubeconfig, space.name, tmp_path / "operator.log") as running:
        yield running
        print(running.process.poll(), running.says("/livez"), running.says("/readyz"), running.says("/metrics")[1])
        print(running.log.read_text())


def split(status: dict[str, Any]) -> tuple[str, str | None, float]:
    route = status.get("route", {})
    return route.get("stable"), route.get("canary"), route.get("weight")


def test_what_is_declared_is_made_and_routed(space: Space, operator: Operator) -> None:
    space.apply(document())
    status = space.settled()
    assert split(status) == ("v1", "v2", 10)
    assert (status["stable"], status["canary"], status["weight"], status["ready"]) == ("v1", "v2", 10, "2/2")
    assert [(v["name"], v["role"], v["share"], v["ready"]) for v in status["versions"]] == [
        ("v1", "stable", 90, 1),
        ("v2", "canary", 10, 1),
    ]
    assert [v["service"] for v in status["route"]["versions"]] == ["digits-v1", "digits-v2"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Accepted": "True",
        "Ready": "True",
        "Progressing": "False",
        "Degraded": "False",
    }
    uid = space.get("modeldeployment", "digits")["metadata"]["uid"]
    for made in space.objects(kinds="configmaps,services,deployments.apps"):
        (owner,) = made["metadata"]["ownerReferences"]
        assert owner["uid"] == uid
    events = space.events()
    assert ("VersionReady", "version v2 is ready") in events
    assert ("WeightInForce", "10 % of the requests go to v2, the others to v1") in events


def test_at_rest_nothing_is_asked_but_watches_and_the_lease(space: Space, operator: Operator) -> None:
    space.apply(document())
    space.settled()
    rests(operator)


def test_it_rests_where_the_definition_lacks_a_field(space: Space, operator: Operator) -> None:
    """As that of the release before does, where somebody else is to upgrade it. The API server drops the field."""
    older = crd()
    status = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    del status["properties"]["ready"], status["properties"]["route"]["properties"]["weight"]
    define(space.cluster, older)
    try:
        space.apply(document())
        until(lambda: "ready" not in space.settled(), "the definition is in force")
        rests(operator)
        space.apply(document(["v1"], canary=None))
        until(lambda: space.names("deployments.apps") == {"digits-v1"}, "v2 is gone")
        rests(operator)
    finally:
        define(space.cluster, crd())


def rests(operator: Operator) -> None:
    def asked() -> dict[str, float]:
        lines = operator.says("/metrics")[1].splitlines()
        pairs = [line.rpartition(" ") for line in lines if line.startswith("turnout_operator_api_requests_total")]
        # Kinds of other projects that are not there are looked for now and then.
        return {name: float(n) for name, _, n in pairs if 'kind="Lease"' not in name and 'outcome="404"' not in name}

    def renewals() -> float:
        return operator.metric('turnout_operator_api_requests_total{kind="Lease",outcome="ok",verb="update"}')

    until(lambda: operator.metric("turnout_operator_queue") == 0, "nothing waits")
    before, renewed = asked(), renewals()
    until(lambda: renewals() >= renewed + 2, "the lease is renewed")
    assert asked() == before


def test_a_weight_is_written_with_a_new_epoch(space: Space, operator: Operator) -> None:
    space.apply(document())
    epoch = space.settled()["route"]["epoch"]
    space.apply(document(weight=50))
    status = space.settled()
    assert split(status) == ("v1", "v2", 50)
    assert status["route"]["epoch"] == epoch + 1


def test_drift_is_put_back(space: Space, operator: Operator) -> None:
    space.apply(document())
    space.settled()
    before = space.get("deployment", "digits-v1")["spec"]

    def replicas() -> int:
        found: int = space.get("deployment", "digits-v1")["spec"]["replicas"]
        return found

    space.kubectl("scale", "deployment", "digits-v1", "--replicas=3")
    until(lambda: replicas() == 1, "the replicas are put back")
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "busybox:1"}]
    space.kubectl("patch", "deployment", "digits-v1", "--type=json", "--patch", json.dumps(patch))
    until(lambda: space.get("deployment", "digits-v1")["spec"] == before, "the image is put back")
    space.kubectl("delete", "service", "digits-v1")
    until(lambda: "digits-v1" in space.names("services"), "the Service is made again")
    space.kubectl("label", "configmap", "digits-v1", "turnout.dev/version-")
    until(
        lambda: space.get("configmap", "digits-v1")["metadata"]["labels"].get("turnout.dev/version") == "v1",
        "the label is put back",
    )


def test_a_field_that_is_no_longer_declared_is_taken_away(space: Space, operator: Operator) -> None:
    def env() -> list[str]:
        (server,) = space.get("deployment", "digits-v1")["spec"]["template"]["spec"]["containers"]
        return [item["name"] for item in server.get("env", []) if item["name"].startswith("TEST_")]

    space.apply(document(v1={"env": {"TEST_A": "1", "TEST_B": "2"}}))
    space.settled()
    assert env() == ["TEST_A", "TEST_B"]
    space.apply(document(v1={"env": {"TEST_B": "2"}}))
    space.settled()
    assert env() == ["TEST_B"]


def test_a_version_that_is_no_longer_declared_is_deleted(space: Space, operator: Operator) -> None:
    space.apply(document())
    space.settled()
    space.apply(document(["v1"], canary=None))
    status = space.settled()
    until(lambda: space.names("deployments.apps") == {"digits-v1"}, "v2 is gone")
    assert [version["name"] for version in status["route"]["versions"]] == ["v1"]


def test_stable_is_kept_until_its_successor_is_ready(space: Space, operator: Operator) -> None:
    space.apply(document(["v1"], canary=None))
    space.settled()
    nowhere = {"pod": {"nodeSelector": {"kubernetes.io/hostname": "nowhere"}}}
    space.apply(document(["v3"], stable="v3", canary=None, v3=nowhere))
    condition = until(lambda: space.condition("Unschedulable"), "v3 is unschedulable")
    assert "nodes are available" in condition["message"]
    status = space.status()
    assert status["phase"] == "Degraded"
    assert split(status) == ("v1", None, 0)
    assert "digits-v1" in space.names("deployments.apps")
    space.apply(document(["v3"], stable="v3", canary=None))
    assert split(space.settled()) == ("v3", None, 0)
    until(lambda: space.names("deployments.apps") == {"digits-v3"}, "v1 is gone")
    assert ("Promoted", "version v3 is stable now, instead of v1") in space.events()


def test_a_bad_spec_is_answered_and_leaves_what_runs(space: Space, operator: Operator) -> None:
    space.apply(document())
    before = space.settled()
    bad = document(v2={"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}, weight=90)
    space.apply(bad)
    condition = until(lambda: (c := space.condition("Accepted")).get("status") == "False" and c, "it is refused")
    assert condition["reason"] == "InvalidSpec"
    assert condition["message"].startswith("spec.versions[1].resources.requests.cpu: 2 is above the limit of 1")
    status = space.status()
    assert status["phase"] == "Invalid"
    assert status["route"] == before["route"]
    assert space.names("deployments.apps") == {"digits-v1", "digits-v2"}
    space.apply(document(weight=90))
    assert split(space.settled()) == ("v1", "v2", 90)


def test_what_belongs_to_others_is_left_alone(space: Space, operator: Operator) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "digits-v2"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }
    space.kubectl("apply", "--filename", "-", input=json.dumps(theirs))
    space.apply(document())
    condition = until(lambda: space.condition("ForeignObject"), "it is told")
    assert condition["message"].startswith("Service digits-v2 is there already")
    until(lambda: split(space.status()) == ("v1", "v2", 0), "v1 answers")
    assert [version.get("service") for version in space.status()["route"]["versions"]] == ["digits-v1", None]
    service = space.get("service", "digits-v2")
    assert service["spec"]["selector"] == {"app": "theirs"}
    assert "ownerReferences" not in service["metadata"]
    space.kubectl("delete", "service", "digits-v2")
    assert split(space.settled()) == ("v1", "v2", 10)
    assert space.condition("ForeignObject") == {}


def test_what_is_deleted_leaves_nothing(space: Space, operator: Operator) -> None:
    space.apply(document())
    space.settled()
    space.kubectl("delete", "modeldeployment", "digits")
    until(lambda: not space.objects(), "nothing is left")


def test_a_standby_takes_over(space: Space, operator: Operator, tmp_path: Path) -> None:
    until(operator.is_active, "the first is active")
    with Operator(space.cluster.kubeconfig, space.name, tmp_path / "second.log") as second:
        until(lambda: second.says("/readyz")[0] == 200, "the second has read the cluster")
        assert second.says("/readyz")[1].startswith("standing by")
        space.apply(document())
        space.settled()
        assert 'verb="apply"' not in second.says("/metrics")[1]
        operator.kill()
        space.apply(document(weight=50))
        assert split(space.settled()) == ("v1", "v2", 50)
        assert second.is_active()
        with Operator(space.cluster.kubeconfig, space.name, tmp_path / "third.log") as third:
            until(lambda: third.says("/readyz")[0] == 200, "the third has read the cluster")
            assert second.end() == 0
            until(third.is_active, "given up, the lease is taken at once", 10)
