"""The rig itself: what it starts is a Kubernetes cluster, as far as the other tests rely on it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client

from tests.cluster.rig import build
from tests.cluster.rig.cluster import Cluster, CommandFailed
from tests.cluster.rig.processes import inside
from tests.fakes.turnout import until

pytestmark = pytest.mark.cluster

WEB = {
    "image": "test/http:1",
    "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
}
# Two tenths of one CPU, whatever the machine.
BURN = """
import time
while True:
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    time.sleep(0.08)
"""
WHO = """
import json, os, ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
server = "https://" + os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"]
request = urllib.request.Request(
    server + "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    json.dumps({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}).encode(),
    {"Authorization": "Bearer " + open(folder + "token").read(), "Content-Type": "application/json"},
)
with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=folder + "ca.crt")) as answer:
    name = json.load(answer)["status"]["userInfo"]["username"]
assert name == "system:serviceaccount:" + open(folder + "namespace").read() + ":default", name
"""


@pytest.fixture
def space(cluster: Cluster) -> Iterator[str]:
    """A Kubernetes namespace of the test's own."""
    name = f"rig-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def apply(cluster: Cluster, space: str, *items: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    cluster.kubectl("apply", "--namespace", space, "--filename", "-", input=text)


def deployment(name: str, replicas: int, container: dict[str, Any]) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def service(cluster: Cluster, space: str, name: str) -> tuple[str, int]:
    """Make one for the deployment of this name; its address."""
    cluster.kubectl("expose", "deployment", name, "--namespace", space, "--port=80", "--target-port=8080")
    cluster_ip = cluster.kubectl("get", "service", name, "--namespace", space, "--output=jsonpath={.spec.clusterIP}")
    return cluster_ip, 80


def who(address: tuple[str, int]) -> str | None:
    """The pod that answers a new connection, if one does."""
    try:
        with httpx.Client(trust_env=False) as http:
            return str(http.get(f"http://{address[0]}:{address[1]}/").json()["pod"])
    except httpx.TransportError:
        return None


def refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def test_versions(cluster: Cluster) -> None:
    versions = json.loads(cluster.kubectl("version", "--output=json"))
    assert versions["serverVersion"]["gitVersion"] == versions["clientVersion"]["gitVersion"] == build.version()
    assert client.VersionApi(cluster.api()).get_code().git_version == build.version()
    assert cluster.helm("version", "--short").strip() == "v4.2"


def test_objects_are_kept_and_wrong_ones_refused(cluster: Cluster, space: str) -> None:
    apply(
        cluster,
        space,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"key": "value"}},
    )
    assert client.CoreV1Api(cluster.api()).read_namespaced_config_map("kept", space).data == {"key": "value"}
    with pytest.raises(CommandFailed, match="unknown field"):
        apply(cluster, space, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wrong"}, "dat": {}})


def test_it_is_reached_from_outside_too(cluster: Cluster, outside: Path) -> None:
    program = (str(build.kubectl()), "--kubeconfig", str(cluster.host_kubeconfig), "get", "--raw", "/readyz")
    done = subprocess.run(inside(outside, program), capture_output=True, text=True)
    assert done.stdout == "ok", done.stderr


def test_a_service_answers_while_it_has_ready_pods(cluster: Cluster, space: str) -> None:
    apply(cluster, space, deployment("web", 2, WEB))
    address = service(cluster, space, "web")
    seen: set[str | None] = set()

    def both() -> bool:
        seen.add(who(address))
        return len(seen - {None}) == 2

    until(both, "both pods answer")
    cluster.kubectl("scale", "deployment/web", "--namespace", space, "--replicas=0")
    until(lambda: refused(address), "connections are refused")
    cluster.kubectl("scale", "deployment/web", "--namespace", space, "--replicas=1")
    until(lambda: who(address), "it answers again")


def test_a_connection_stays_when_its_pod_is_ready_no_more(cluster: Cluster, space: str) -> None:
    apply(cluster, space, deployment("web", 1, WEB))
    address = service(cluster, space, "web")
    pod = until(lambda: who(address), "it answers")
    with socket.create_connection(address, timeout=30) as connection:
        httpx.get(f"http://{address[0]}:{address[1]}/broken", trust_env=False)
        until(lambda: refused(address), "new connections are refused")
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile() as answer:
            assert str(pod) in answer.read()


def test_a_pod_reaches_the_api_server_as_its_service_account(cluster: Cluster, space: str) -> None:
    until(
        lambda: cluster.kubectl("get", "serviceaccounts", "--namespace", space, "--output=name"),
        "the default service account is there",
    )
    container = {"name": "main", "image": "busybox", "command": [sys.executable, "-I", "-c", WHO]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    apply(cluster, space, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asks"}, "spec": pod})

    def ended() -> str | None:
        phase = cluster.kubectl("get", "pod", "asks", "--namespace", space, "--output=jsonpath={.status.phase}")
        return phase if phase in ("Succeeded", "Failed") else None

    phase = until(ended, "the pod has ended")
    assert phase == "Succeeded", cluster.kubectl("get", "pod", "asks", "--namespace", space, "--output=yaml")


def test_pods_are_measured_and_an_autoscaler_acts_on_it(cluster: Cluster, space: str) -> None:
    burn = {"image": "busybox", "command": [sys.executable, "-I", "-S", "-c", BURN]}
    apply(cluster, space, deployment("burn", 1, {**burn, "resources": {"requests": {"cpu": "100m"}}}))

    def measured() -> list[str]:
        try:
            return cluster.kubectl("top", "pods", "--namespace", space, "--no-headers").split()
        except CommandFailed:  # until the first sample
            return []

    until(lambda: [word for word in measured() if word.endswith("m") and int(word[:-1]) >= 100], "its CPU is measured")
    assert int(measured()[2].removesuffix("Mi")) >= 3
    options = ("--min=1", "--max=3", "--cpu=80%")
    cluster.kubectl("autoscale", "deployment", "burn", "--namespace", space, *options)
    until(
        lambda: (
            cluster.kubectl(
                "get", "deployment", "burn", "--namespace", space, "--output=jsonpath={.status.readyReplicas}"
            )
            == "3"
        ),
        "there are three replicas",
    )


def test_pods_serve_while_the_api_server_is_away(cluster: Cluster, space: str) -> None:
    apply(cluster, space, deployment("web", 1, WEB))
    address = service(cluster, space, "web")
    pod = until(lambda: who(address), "it answers")
    cluster.stop_api_server()
    try:
        with pytest.raises(CommandFailed):
            cluster.kubectl("get", "--raw", "/readyz")
        assert who(address) == pod
    finally:
        cluster.start_api_server()
    cluster.kubectl("scale", "deployment/web", "--namespace", space, "--replicas=2")
    until(lambda: who(address) not in (pod, None), "a pod that was made afterwards answers, too")
    assert pod in cluster.kubectl("get", "pods", "--namespace", space, "--field-selector=status.phase=Running")
