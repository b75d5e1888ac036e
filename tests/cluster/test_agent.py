"""The rig's node agent: pods as real processes, told of as a kubelet tells of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cluster.rig.cluster import Cluster
from tests.cluster.space import WEB, Space, answer, deployment, is_ready, shell
from tests.fakes.turnout import until

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.cluster


@pytest.fixture
def space(cluster: Cluster) -> Iterator[Space]:
    space = Space(cluster)
    yield space
    cluster.kubectl("delete", "namespace", space.name, "--wait=false")


def some_seconds() -> str:
    """A long time, told from that of all other sleeps."""
    return str(uuid.uuid4().int % 10**9 + 10**9)


def sleeping(seconds: str) -> list[psutil.Process]:
    """This machine's processes that sleep so long."""
    return [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", seconds]]


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
    seconds = some_seconds()
    space.pod(shell(f"trap '' TERM; sleep {seconds} & sleep {seconds} & wait"), terminationGracePeriodSeconds=1)
    space.ready(1)
    until(lambda: len(sleeping(seconds)) == 2, "both processes run")
    space.cluster.kubectl("delete", "pod", "one", "--namespace", space.name, "--wait=false")
    until(lambda: not space.items("pods"), "the pod is gone")
    assert sleeping(seconds) == []


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_an_agent_is_the_end_of_its_pods(space: Space, tmp_path: Path, number: signal.Signals) -> None:
    seconds, node = some_seconds(), space.name
    options = {"node": node, "cidr": "10.244.9.0/24", "kubeconfig": space.cluster.kubeconfig, "folder": tmp_path}
    command = [sys.executable, "-m", "tests.cluster.rig.agent", *(f"--{key}={value}" for key, value in options.items())]
    with subprocess.Popen(command, cwd=ROOT) as agent:
        try:
            space.pod(shell(f"sleep {seconds} & sleep {seconds} & wait"), nodeName=node)
            until(lambda: len(sleeping(seconds)) == 2, "both processes run")
            agent.send_signal(number)
            agent.wait(30)
        finally:
            agent.kill()
    until(lambda: not sleeping(seconds), "neither process runs")
    space.cluster.kubectl("delete", "node", node)
    space.cluster.kubectl("delete", "pod", "one", "--namespace", space.name, "--force", "--ignore-not-found")


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
