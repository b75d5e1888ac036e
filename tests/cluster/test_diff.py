"""`turnout diff` against a real API server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.document.loader import dump
from deployer.document.model import ModelDeployment
from deployer.kubernetes.crd.definition import crd
from deployer.kubernetes.manifests import Options, Owner, manifests
from tests.cluster.rig.cluster import Cluster
from tests.fakes.deployments import deployment

pytestmark = pytest.mark.cluster

NAMESPACE = "diff"
ONE = deployment("tfserving", {"model": "models/1"})
TWO = deployment("tfserving", {"model": "models/1", "args": ["--enable_batching=true"]}, {"model": "models/2"})


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Cluster]:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", input=json.dumps(crd()))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{crd()['metadata']['name']}", "--timeout=60s")
    cluster.kubectl("create", "namespace", NAMESPACE)
    yield cluster
    cluster.kubectl("delete", "namespace", NAMESPACE)


def placed(document: ModelDeployment) -> ModelDeployment:
    metadata = document.metadata.model_copy(update={"namespace": NAMESPACE})
    return document.model_copy(update={"metadata": metadata})


def diff(cluster: Cluster, document: ModelDeployment) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "deployer.cli.main", "diff", "-", "--kubeconfig", str(cluster.kubeconfig)],
        input=dump(placed(document)),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    return done.returncode, done.stdout, done.stderr


def headings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("--- ", "+++ "))]


def apply(cluster: Cluster, document: ModelDeployment) -> None:
    """What the operator does, once."""
    cluster.kubectl("apply", "--filename", "-", input=dump(placed(document)))
    read = ("get", "modeldeployment", document.metadata.name, "--namespace", NAMESPACE, "--output")
    owner = Owner(document.metadata.name, cluster.kubectl(*read, "jsonpath={.metadata.uid}"))
    listed = {"apiVersion": "v1", "kind": "List", "items": manifests(placed(document), Options(), owner)}
    cluster.kubectl("apply", "--server-side", "--field-manager=turnout", "--filename", "-", input=json.dumps(listed))


def test_what_an_apply_would_change_is_shown_and_nothing_changed(namespace: Cluster) -> None:
    code, out, err = diff(namespace, ONE)
    assert (code, err) == (1, "")
    assert headings(out) == [
        line
        for kind in ("ConfigMap", "Deployment", "Service")
        for line in ("--- /dev/null", f"+++ applied/{kind}/{NAMESPACE}/digits-v1")
    ]
    assert namespace.kubectl("get", "deployments", "--namespace", NAMESPACE) == ""

    apply(namespace, ONE)
    assert diff(namespace, ONE) == (0, "", "")

    code, out, err = diff(namespace, TWO)
    assert (code, err) == (1, "")
    assert headings(out)[:2] == [
        f"--- live/Deployment/{NAMESPACE}/digits-v1",
        f"+++ applied/Deployment/{NAMESPACE}/digits-v1",
    ]
    assert len(headings(out)) == 2 * 4
    changed = [line for line in out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed[0] == "+        - --enable_batching=true"

    apply(namespace, TWO)
    code, out, err = diff(namespace, ONE)
    assert [line for line in headings(out) if line.startswith("--- ")] == [
        f"--- live/{kind}/{NAMESPACE}/{name}"
        for kind, name in (
            ("Deployment", "digits-v1"),
            ("ConfigMap", "digits-v2"),
            ("Service", "digits-v2"),
            ("Deployment", "digits-v2"),
        )
    ]
    assert code == 1


def test_what_the_api_server_would_refuse_is_told(namespace: Cluster) -> None:
    document = deployment("tfserving", {"model": "models/1", "pod": {"nodeSelector": {"no/such/key": "x"}}})
    code, _, err = diff(namespace, document)
    assert code == 2
    assert f"Deployment {NAMESPACE}/digits-v1: " in err
    assert "nodeSelector" in err


def test_an_object_of_somebody_else_is_told(namespace: Cluster) -> None:
    namespace.kubectl("create", "configmap", "digits-v1", "--namespace", NAMESPACE)
    code, out, err = diff(namespace, ONE)
    assert (code, out) == (2, "")
    assert err.startswith("ConfigMap digits-v1 is there already and does not belong to this ModelDeployment")
