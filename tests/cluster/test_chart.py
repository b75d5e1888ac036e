"""The chart on a real API server: each render is accepted, and what is installed works, with no right too many."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.renders import CHART, NAMESPACE, VALUES, render
from tests.cluster.installed import EXAMPLES, RELEASE, SYSTEM, Installed
from tests.cluster.rig.cluster import Cluster, CommandFailed
from tests.fakes.needs import lacking

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MONITORING = ("servicemonitors.yaml", "prometheusrules.yaml")


@pytest.fixture(scope="module")
def with_monitoring(cluster: Cluster) -> Iterator[Cluster]:
    """With the resources of Prometheus' operator, and the namespaces that renders are for."""
    folder = os.environ.get("TURNOUT_TEST_CRDS")
    if folder is None:
        lacking("TURNOUT_TEST_CRDS is not set: the folder of others' custom resources")
    files = [f"--filename={Path(folder) / name}" for name in MONITORING]
    cluster.kubectl("apply", "--server-side", *files)
    cluster.kubectl("wait", "--for=condition=Established", *files)
    made = [name for name in (NAMESPACE, "vision") if not _exists(cluster, name)]
    for name in made:
        cluster.kubectl("create", "namespace", name)
    yield cluster
    for name in made:
        cluster.kubectl("delete", "namespace", name)
    cluster.kubectl("delete", *files)


def _exists(cluster: Cluster, namespace: str) -> bool:
    return bool(cluster.kubectl("get", "namespace", namespace, "--ignore-not-found"))


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_the_api_server_accepts_each_render(with_monitoring: Cluster, values: Path) -> None:
    """By its own schemas and checks, with no field that it doesn't know."""
    objects = render("--values", values)
    output = with_monitoring.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename", "-"),
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
    )
    assert len(output.splitlines()) == len(objects)


def test_a_field_that_it_does_not_know_is_refused(with_monitoring: Cluster) -> None:
    """What the test above relies on."""
    (service, *_) = (one for one in render() if one["kind"] == "Service")
    service["spec"]["sessionAfinity"] = "None"
    with pytest.raises(CommandFailed, match="sessionAfinity"):
        with_monitoring.kubectl(
            *("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-"),
            input=json.dumps(service),
        )


Rights = set[tuple[str, str, str]]
"""Resource, names (none: all), verbs; as `kubectl auth can-i --list` has them."""


def rights(cluster: Cluster, account: str, namespace: str) -> Rights:
    """Of a service account, in `namespace`."""
    output = cluster.kubectl(
        *("auth", "can-i", "--list", "--no-headers", "--namespace", namespace),
        f"--as=system:serviceaccount:{account}",
    )
    # Resources, non-resource URLs, names, verbs.
    row = re.compile(r"^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]$")
    found = [match for line in output.splitlines() if (match := row.match(line.strip() if line[:1] != " " else line))]
    assert found, output
    return {(match[1] or match[2], match[3], " ".join(sorted(match[4].split()))) for match in found}


def granted(cluster: Cluster, account: str, namespace: str) -> Rights:
    """Beyond what every account may do, such as asking what it may."""
    return rights(cluster, f"{SYSTEM}:{account}", namespace) - rights(cluster, f"{SYSTEM}:default", namespace)


ALL = "create delete get list patch watch"
GATEWAY = {
    ("modeldeployments.turnout.dev", "", "list watch"),
    ("endpointslices.discovery.k8s.io", "", "list watch"),
}
OPERATOR = {
    ("modeldeployments.turnout.dev", "", "get list watch"),
    ("modeldeployments.turnout.dev/status", "", "update"),
    ("modeldeployments.turnout.dev/finalizers", "", "update"),
    ("configmaps", "", ALL),
    ("services", "", ALL),
    ("deployments.apps", "", ALL),
    ("poddisruptionbudgets.policy", "", ALL),
    ("horizontalpodautoscalers.autoscaling", "", ALL),
    ("scaledobjects.keda.sh", "", ALL),
    ("seldondeployments.machinelearning.seldon.io", "", ALL),
    ("pods", "", "list watch"),
    ("endpointslices.discovery.k8s.io", "", "list watch"),
    ("events", "", "create"),
}
LEASE = {
    ("leases.coordination.k8s.io", "", "create"),
    ("leases.coordination.k8s.io", "turnout-operator", "get update"),
}


def test_each_account_may_do_what_it_needs(installed: Installed) -> None:
    cluster = installed.cluster
    assert granted(cluster, f"{RELEASE}-gateway", "default") == GATEWAY
    assert granted(cluster, f"{RELEASE}-gateway", SYSTEM) == GATEWAY
    assert granted(cluster, f"{RELEASE}-operator", "default") == OPERATOR
    assert granted(cluster, f"{RELEASE}-operator", SYSTEM) == OPERATOR | LEASE


def test_the_chart_s_own_test_passes(installed: Installed) -> None:
    output = installed.cluster.helm("test", RELEASE, "--namespace", SYSTEM, "--timeout", "60s")
    assert re.search(r"Phase:\s+Succeeded", output), output


def test_an_upgrade_changes_what_runs(installed: Installed) -> None:
    """And back; Helm waits until all is ready."""
    try:
        Installed(installed.cluster, "gateway.workers=1", "gateway.replicas=3", "operator.replicas=2")
        assert installed.get("deployment", f"{RELEASE}-gateway", SYSTEM)["status"]["readyReplicas"] == 3
        assert installed.get("deployment", f"{RELEASE}-operator", SYSTEM)["status"]["readyReplicas"] == 2
    finally:
        Installed(installed.cluster, "gateway.workers=1")
    assert installed.get("deployment", f"{RELEASE}-gateway", SYSTEM)["spec"]["replicas"] == 2


def test_a_release_for_one_namespace_sees_no_other(installed: Installed) -> None:
    cluster = installed.cluster
    cluster.kubectl("create", "namespace", "team")
    try:
        cluster.helm(
            *("install", "own", str(CHART), "--namespace", "team", "--wait", "--timeout", "3m"),
            *("--set", "watchNamespace=team,crd.install=false,gateway.workers=1,gateway.replicas=1"),
        )
        nothing = rights(cluster, "team:default", "default")
        assert rights(cluster, "team:own-gateway", "default") == nothing
        assert rights(cluster, "team:own-operator", "default") == nothing
        assert rights(cluster, "team:own-gateway", "team") - nothing == GATEWAY
        assert rights(cluster, "team:own-operator", "team") - nothing == OPERATOR | LEASE
    finally:
        cluster.kubectl("delete", "namespace", "team")


def test_what_is_removed_leaves_the_documents(installed: Installed) -> None:
    """With the definition, and all that runs for them; the next release takes them up."""
    installed.apply(EXAMPLES / "minimal.yaml")
    installed.settled("digits")
    pods = {pod["metadata"]["uid"] for pod in installed.list("pods", "turnout.dev/deployment=digits")}
    try:
        installed.cluster.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout", "3m")
        assert (
            installed.list("deployments,services,serviceaccounts", f"app.kubernetes.io/instance={RELEASE}", SYSTEM)
            == []
        )
        assert installed.get("modeldeployment", "digits")["status"]["phase"] == "Ready"
    finally:
        Installed(installed.cluster, "gateway.workers=1")
    installed.settled("digits")
    assert {pod["metadata"]["uid"] for pod in installed.list("pods", "turnout.dev/deployment=digits")} == pods
    installed.remove("digits")
