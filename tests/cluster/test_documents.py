"""The API server, by the custom resource's definition: what it takes, and what it says of what it refuses."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.document.loader import dump, read
from deployer.kubernetes.crd.definition import crd
from deployer.kubernetes.objects import resource
from deployer.kubernetes.status.model import Condition, DeploymentStatus, VersionStatus
from gateway.contract import route_table
from tests.cluster.bad_documents import (
    ALLOWED,
    ANSWERED,
    FIXED,
    OIP,
    REFUSED,
    ROLLOUT,
    SELDON,
    TFSERVING,
    WHOLE,
    Bad,
    change,
    document,
)
from tests.cluster.rig.cluster import Cluster, CommandFailed

pytestmark = pytest.mark.cluster

TOP = Path(__file__).parents[2]
EXAMPLES = [*sorted((TOP / "examples").glob("*.yaml")), *sorted((TOP / "tests/fakes/documents").glob("valid*.yaml"))]


@pytest.fixture(scope="module")
def defined(cluster: Cluster) -> Cluster:
    """The cluster with the definition as the sources have it now."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", input=json.dumps(crd()))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{crd()['metadata']['name']}", "--timeout=60s")
    return cluster


@pytest.fixture
def made(defined: Cluster) -> Iterator[list[str]]:
    """The names of the ModelDeployments that a test made, which are deleted after it."""
    names: list[str] = []
    yield names
    for name in names:
        defined.kubectl("delete", "modeldeployment", name, "--ignore-not-found")


def apply(cluster: Cluster, resource: dict[str, Any], *options: str) -> str:
    return cluster.kubectl("apply", *options, "--filename", "-", input=json.dumps(resource))


def refusal(cluster: Cluster, resource: dict[str, Any], *options: str) -> str:
    """What the API server says; `apply` has to fail."""
    with pytest.raises(CommandFailed) as raised:
        apply(cluster, resource, *options)
    return str(raised.value)


def case_name(bad: Bad) -> str:
    return f"{bad.path}-{'-'.join(bad.words)}"


@pytest.mark.parametrize("bad", REFUSED, ids=case_name)
def test_a_bad_document_is_refused(bad: Bad, defined: Cluster) -> None:
    message = refusal(defined, bad.document(), "--dry-run=server")
    assert [word for word in bad.words if word not in message] == [], message


@pytest.mark.parametrize("bad", ANSWERED, ids=case_name)
def test_what_only_the_operator_can_see_is_taken(bad: Bad, defined: Cluster) -> None:
    apply(defined, bad.document(), "--dry-run=server")


@pytest.mark.parametrize("bad", FIXED, ids=case_name)
def test_a_forbidden_change_is_refused(bad: Bad, defined: Cluster, made: list[str]) -> None:
    made.append("fixed")
    apply(defined, document("fixed", bad.spec))
    message = refusal(defined, bad._replace(name="fixed").document())
    assert [word for word in bad.words if word not in message] == [], message


def test_changes_are_taken(defined: Cluster, made: list[str]) -> None:
    for number, (before, path, value) in enumerate(ALLOWED):
        name = f"allowed-{number}"
        made.append(name)
        apply(defined, document(name, before))
        after = copy.deepcopy(before)
        change(after, path, value)
        apply(defined, document(name, after))
        stored = json.loads(defined.kubectl("get", "md", name, "--output", "json"))
        assert stored["spec"] == after


@pytest.mark.parametrize("spec", [TFSERVING, SELDON, OIP, ROLLOUT], ids=["tfserving", "seldon", "oip", "rollout"])
def test_what_the_bad_documents_were_made_from_is_taken(spec: dict[str, Any], defined: Cluster) -> None:
    apply(defined, document("good", spec), "--dry-run=server")


def test_each_field_is_stored_as_it_is_written(defined: Cluster, made: list[str]) -> None:
    for number, spec in enumerate(WHOLE):
        made.append(f"whole-{number}")
        apply(defined, document(made[-1], spec))
        stored = json.loads(defined.kubectl("get", "md", made[-1], "--output", "json"))
        assert stored["spec"] == spec
        resource.read(stored)


def test_the_status_is_stored_and_shown(defined: Cluster, made: list[str]) -> None:
    made.append("told")
    apply(defined, document("told", TFSERVING))
    versions = (
        VersionStatus(name="v1", role="stable", share=87.5, ready=1, desired=1),
        VersionStatus(name="v2", role="canary", share=12.5, ready=0, desired=2, message="m" * 2000),
    )
    condition = Condition(type="Ready", status="False", reason="Replicas", last_transition_time="2026-01-02T03:04:05Z")
    route = route_table.Deployment(
        namespace="default",
        name="told",
        runtime="tfserving",
        stable="v1",
        canary="v2",
        weight=12.5,
        epoch=3,
        versions=tuple(route_table.Version(name=f"v{n}", servable=n, service=f"told-v{n}") for n in (1, 2)),
    )
    status = DeploymentStatus(
        observed_generation=1,
        phase="Progressing",
        stable="v1",
        canary="v2",
        weight=12.5,
        ready="1/2",
        route=route,
        versions=versions,
        conditions=(condition,),
    )
    without = {"route": {"versions": {"__all__": {"endpoints"}}}}
    written = status.model_dump(mode="json", exclude_none=True, exclude=without)
    patch = json.dumps({"status": written})
    defined.kubectl("patch", "md", "told", "--subresource=status", "--type=merge", "--patch", patch)
    stored = json.loads(defined.kubectl("get", "md", "told", "--output", "json"))["status"]
    assert stored == written
    assert DeploymentStatus.model_validate(stored) == status
    shown = defined.kubectl("get", "modeldeployments", "told").splitlines()
    assert shown[0].split() == ["NAME", "STABLE", "CANARY", "WEIGHT", "ROLLOUT", "PHASE", "READY", "AGE"]
    assert shown[1].split()[:-1] == ["told", "v1", "v2", "12.5", "Progressing", "1/2"]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.name))
def test_examples_are_taken(file: Path, defined: Cluster) -> None:
    deployments = read([str(file)], models=False)
    for namespace in {deployment.metadata.namespace for deployment in deployments}:
        apply(defined, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    assert "created" in defined.kubectl("apply", "--dry-run=server", "--filename", str(file))
    for deployment in deployments:
        defined.kubectl("apply", "--dry-run=server", "--filename", "-", input=dump(deployment))


def test_weights_of_two_decimals_are_taken(defined: Cluster) -> None:
    weighed = []
    for hundredths in [*range(0, 10_001, 101), 7, 29, 115, 1007, 3333, 5730, 6667, 9999, 10_000]:
        weighed.append(document(f"weighed-{hundredths}", copy.deepcopy(TFSERVING)))
        weighed[-1]["spec"]["traffic"]["weight"] = hundredths / 100
    apply(defined, {"apiVersion": "v1", "kind": "List", "items": weighed}, "--dry-run=server")
