"""The rig's node agent: pods as real processes, told of as a kubelet tells of them."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.cluster.rig.cluster import Cluster
from tests.support.turnout import until

pytestmark = pytest.mark.cluster

Object = dict[str, Any]


class Space:
    """A namespace of a test's own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.name = f"agent-{uuid.uuid4().hex[:8]}"
        cluster.kubectl("create", "namespace", self.name)
        until(lambda: self.items("serviceaccounts"), "the default service account is there")
        until(lambda: self.items("configmaps"), "the certificate of the API server is there")

    def apply(self, *objects: Object) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.cluster.kubectl("apply", "--namespace", self.name, "--filename", "-", input=text)

    def items(self, kind: str, *options: str) -> list[Any]:
        text = self.cluster.kubectl("get", kind, "--namespace", self.name, "--output", "json", *options)
        found: list[Any] = json.loads(text)["items"]
        return found

    def get(self, kind: str, name: str) -> Any:
        return json.loads(self.cluster.kubectl("get", kind, name, "--namespace", self.name, "--output", "json"))

    def pod(self, container: Object, name: str = "one", **spec: Any) -> Any:
        """Apply a pod of one container."""
        container = {"name": "main", **container}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": name}},
                "spec": {"containers": [container], **spec},
            }
        )

    def container(self, name: str = "one") -> Any:
        """The status of that pod's container; {} while there is none."""
        return next(iter(self.get("pod", name)["status"].get("containerStatuses", [])), {})

    def ready(self, count: int, selector: str = "") -> list[Any]:
        """So many ready pods, once there are no others."""

        def found() -> list[Any] | None:
            pods = self.items("pods", "--selector", selector)
            return pods if len(pods) == count and all(map(is_ready, pods)) else None

        pods: list[Any] = until(found, f"{count} pods are ready")
        return pods

    def endpoints(self, service: str) -> list[Any]:
        slices = self.items("endpointslices", "--selector", f"kubernetes.io/service-name={service}")
        return [endpoint for found in slices for endpoint in found["endpoints"] or []]


def is_ready(pod: Any) -> bool:
    conditions = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def answer(pod: Any, path: str = "/") -> Any:
    with httpx.Client(trust_env=False) as client:
        return client.get(f"http://{pod['status']['podIP']}:8080{path}").json()


@pytest.fixture
def space(cluster: Cluster) -> Iterator[Space]:
    space = Space(cluster)
    yield space
    cluster.kubectl("delete", "namespace", space.name, "--wait=false")


WEB = {
    "image": "test/http:1",
    "ports": [{"name": "http", "containerPort": 8080}],
    "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1},
}


def deployment(replicas: int, container: Object) -> tuple[Object, Object]:
    """With a headless Service."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", **container}]}}
    return (
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080}]},
        },
    )


def shell(script: str) -> Object:
    return {"image": "busybox:1", "command": ["sh", "-c", script]}


def test_the_nodes_are_ready_and_take_pods(cluster: Cluster) -> None:
    nodes = json.loads(cluster.kubectl("get", "nodes", "--output", "json"))["items"]
    assert nodes
    assert all(is_ready(node) for node in nodes)
    until(
        lambda: (
            not any(
                node["spec"].get("taints")
                for node in json.loads(cluster.kubectl("get", "nodes", "--output", "json"))["items"]
            )
        ),
        "no node has a taint",
    )


def test_a_deployment_serves_and_a_new_image_replaces_it(space: Space) -> None:
    space.apply(*deployment(2, WEB))
    first = space.ready(2)
    assert {answer(pod)["pod"] for pod in first} == {pod["metadata"]["name"] for pod in first}
    until(lambda: [one["conditions"]["ready"] for one in space.endpoints("web")] == [True, True], "both are endpoints")

    space.apply(*deployment(2, {**WEB, "image": "test/http:2", "args": ["$(TAG)", "$(NONE)"]}))
    second = until(
        lambda: [pod for pod in space.ready(2) if pod["spec"]["containers"][0]["image"] == "test/http:2"],
        "new pods are there",
    )
    space.cluster.kubectl("rollout", "status", "deployment/web", "--namespace", space.name)
    second = space.ready(2)
    assert [answer(pod)["tag"] for pod in second] == ["2", "2"]
    assert {pod["metadata"]["uid"] for pod in first}.isdisjoint(pod["metadata"]["uid"] for pod in second)


def test_a_deleted_pod_serves_on_as_a_terminating_endpoint_until_its_hook_is_over(space: Space) -> None:
    space.apply(*deployment(1, {**WEB, "lifecycle": {"preStop": {"sleep": {"seconds": 3}}}}))
    (pod,) = space.ready(1)
    space.cluster.kubectl("scale", "deployment/web", "--replicas=0", "--namespace", space.name)
    (endpoint,) = until(
        lambda: [one for one in space.endpoints("web") if one["conditions"]["terminating"]], "the endpoint terminates"
    )
    assert endpoint["conditions"] == {"ready": False, "serving": True, "terminating": True}
    assert answer(pod)["pod"] == pod["metadata"]["name"]
    until(lambda: not space.items("pods") and not space.endpoints("web"), "the pod is gone")
    with pytest.raises(httpx.TransportError):
        answer(pod)


def test_one_that_ignores_the_signal_is_killed_with_all_it_started(space: Space) -> None:
    seconds = str(uuid.uuid4().int % 10**9 + 10**9)  # told from all other sleeps
    space.pod(shell(f"trap '' TERM; sleep {seconds} & sleep {seconds} & wait"), terminationGracePeriodSeconds=1)
    space.ready(1)

    def running() -> list[psutil.Process]:
        return [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", seconds]]

    until(lambda: len(running()) == 2, "both processes run")
    space.cluster.kubectl("delete", "pod", "one", "--namespace", space.name, "--wait=false")
    until(lambda: not space.items("pods"), "the pod is gone")
    assert running() == []


def test_one_that_ends_again_and_again_is_in_a_crash_loop(space: Space) -> None:
    space.pod(shell("exit 3"))
    status = until(
        lambda: (
            (found := space.container()).get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
            and found
        ),
        "it is in a crash loop",
    )
    assert status["restartCount"] >= 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["ready"] is False
    assert space.get("pod", "one")["status"]["phase"] == "Running"


def test_what_ends_well_is_not_started_again(space: Space) -> None:
    space.pod(shell("exit 0"), restartPolicy="Never")
    space.pod(shell("exit 4"), name="two", restartPolicy="Never")
    until(lambda: space.get("pod", "one")["status"]["phase"] == "Succeeded", "the first has succeeded")
    until(lambda: space.get("pod", "two")["status"]["phase"] == "Failed", "the second has failed")


def test_a_failing_liveness_probe_starts_the_container_again(space: Space) -> None:
    space.pod({**WEB, "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1}})
    (pod,) = space.ready(1)
    answer(pod, "/broken")
    until(lambda: not is_ready(space.get("pod", "one")), "it is not ready")
    until(lambda: space.container().get("restartCount") == 1, "it was started again")
    space.ready(1)


def test_a_slow_start_is_given_time_by_its_startup_probe(space: Space) -> None:
    slow = shell("sleep 3; touch /up; sleep 1000")
    probe = {"exec": {"command": ["test", "-e", "/up"]}, "periodSeconds": 1}
    space.pod(
        {**slow, "startupProbe": {**probe, "failureThreshold": 30}, "livenessProbe": probe | {"failureThreshold": 1}}
    )
    until(lambda: space.container().get("state", {}).get("running"), "it runs")
    assert space.container()["started"] is False
    space.ready(1)
    assert space.container()["restartCount"] == 0


def test_an_unknown_image_is_waited_for(space: Space) -> None:
    space.pod({"image": "nobody/knows:1"})
    until(
        lambda: space.container().get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff",
        "the image can't be had",
    )
    events = until(lambda: space.items("events", "--field-selector", "reason=Failed"), "an event tells it")
    assert "nobody/knows:1" in events[0]["message"]


def test_a_command_that_is_not_there_is_told(space: Space) -> None:
    space.pod({"image": "busybox", "command": ["nowhere"]}, restartPolicy="Never")
    ended = until(lambda: space.container().get("state", {}).get("terminated"), "it can't be started")
    assert ended["reason"] == "StartError"
    assert "nowhere" in ended["message"]


def test_volumes_are_where_the_pod_wants_them(space: Space, tmp_path: Path) -> None:
    claim = f"{space.name}-claim"
    space.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1", "b": "2"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}, "stringData": {"word": "abc"}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": claim},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "hostPath": {"path": str(tmp_path)},
                "claimRef": {"namespace": space.name, "name": "claim"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "claim"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "volumeName": claim,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    )
    volumes = [
        {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "b", "path": "deep/b"}]}},
        {"name": "hidden", "secret": {"secretName": "hidden"}},
        {"name": "shared", "emptyDir": {}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "claim"}},
        {
            "name": "about",
            "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]},
        },
    ]
    mounts = [
        {"name": "settings", "mountPath": "/etc/settings"},
        {"name": "hidden", "mountPath": "/etc/hidden"},
        {"name": "shared", "mountPath": "/srv/shared", "readOnly": True},
        {"name": "claim", "mountPath": "/data"},
        {"name": "about", "mountPath": "/etc/about"},
    ]
    env = [
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "BOTH", "value": "$(WORD)/$(C_a)"},
    ]
    script = """
    cat /etc/settings/deep/b /etc/hidden/word /srv/shared/first /etc/about/labels > /data/seen
    for file in /etc/settings/new /srv/shared/new; do (echo > $file) || echo "$file: no" >> /data/seen; done
    echo "$IP $MEMORY $BOTH $(hostname)" >> /data/seen
    touch /data/done
    sleep 1000
    """
    first = {**shell("printf first > /srv/shared/first"), "name": "first"}
    first["volumeMounts"] = [{"name": "shared", "mountPath": "/srv/shared"}]
    main = {**shell(script), "volumeMounts": mounts, "env": env, "resources": {"limits": {"memory": "64Mi"}}}
    main["envFrom"] = [{"prefix": "C_", "configMapRef": {"name": "settings"}}]
    space.pod(main, volumes=volumes, initContainers=[first])
    until((tmp_path / "done").exists, "the container has looked")
    address = space.get("pod", "one")["status"]["podIP"]
    assert (tmp_path / "seen").read_text().splitlines() == [
        '2abcfirstapp="one"/etc/settings/new: no',
        "/srv/shared/new: no",
        f"{address} 64 abc/1 one",
    ]
    space.cluster.kubectl("delete", "pod", "one", "--namespace", space.name, "--grace-period=1")
    assert (tmp_path / "seen").exists()
    space.cluster.kubectl("delete", "pvc", "claim", "--namespace", space.name)
    space.cluster.kubectl("delete", "pv", claim)


def test_a_pod_reaches_the_api_server_as_its_service_account(space: Space, tmp_path: Path) -> None:
    program = """
import pathlib
from kubernetes import client, config
config.load_incluster_config()
review = client.AuthenticationV1Api().create_self_subject_review({})
pathlib.Path("/out/user").write_text(review.status.user_info.username)
"""
    container: Object = {"image": "test/http", "command": [sys.executable, "-c", program]}
    container["volumeMounts"] = [{"name": "out", "mountPath": "/out"}]
    volumes = [{"name": "out", "hostPath": {"path": str(tmp_path)}}]
    space.pod(container, restartPolicy="Never", volumes=volumes)
    until(lambda: space.get("pod", "one")["status"]["phase"] == "Succeeded", "the program has ended well")
    assert (tmp_path / "user").read_text() == f"system:serviceaccount:{space.name}:default"


def test_a_pod_reaches_a_service_by_its_name(space: Space, tmp_path: Path) -> None:
    web, service = deployment(1, WEB)
    service["spec"] = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}
    space.apply(web, service)
    (pod,) = space.ready(1)
    program = f"""
import pathlib, time, urllib.request
while True:
    try:
        answer = urllib.request.urlopen("http://web.{space.name}.svc", timeout=5).read()
        break
    except OSError:
        time.sleep(0.1)
pathlib.Path("/out/answer").write_bytes(answer)
"""
    container: Object = {"image": "test/http", "command": [sys.executable, "-c", program]}
    container["volumeMounts"] = [{"name": "out", "mountPath": "/out"}]
    volumes = [{"name": "out", "hostPath": {"path": str(tmp_path)}}]
    space.pod(container, restartPolicy="Never", volumes=volumes)
    until(lambda: space.get("pod", "one")["status"]["phase"] == "Succeeded", "the program has ended well")
    assert json.loads((tmp_path / "answer").read_text())["pod"] == pod["metadata"]["name"]


def test_a_container_is_confined_as_its_security_context_says(space: Space, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    program = "import os; print(os.getuid(), os.getgid(), os.getgroups())"
    script = f"{sys.executable} -c '{program}' > /out/seen; touch /new || echo no >> /out/seen; touch /out/done"
    container = {**shell(script), "volumeMounts": [{"name": "out", "mountPath": "/out"}]}
    container["securityContext"] = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}
    volumes = [{"name": "out", "hostPath": {"path": str(tmp_path)}}]
    security = {"runAsNonRoot": True, "runAsUser": 1234, "runAsGroup": 1235, "fsGroup": 1236}
    space.pod(container, restartPolicy="Never", volumes=volumes, securityContext=security)
    until((tmp_path / "done").exists, "the container has looked")
    assert (tmp_path / "seen").read_text() == "1234 1235 [1235, 1236]\nno\n"

    space.pod(shell("true"), name="root", securityContext={"runAsNonRoot": True})
    waiting = until(lambda: space.container("root").get("state", {}).get("waiting", {}).get("message"), "it is refused")
    assert "runAsNonRoot" in waiting


def test_pods_go_on_while_the_api_server_is_away(space: Space) -> None:
    space.apply(*deployment(1, WEB))
    (pod,) = space.ready(1)
    space.cluster.stop_api_server()
    try:
        assert answer(pod)["pod"] == pod["metadata"]["name"]
    finally:
        space.cluster.start_api_server()
    space.cluster.kubectl("scale", "deployment/web", "--replicas=2", "--namespace", space.name)
    assert pod["metadata"]["uid"] in {pod["metadata"]["uid"] for pod in space.ready(2)}
