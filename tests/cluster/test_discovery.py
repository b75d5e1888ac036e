"""Gateways that follow a real API server, and go on without it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployer.kubernetes.crd.definition import crd
from tests.cluster.rig.cluster import Cluster
from tests.fakes.gateway import GatewayProcess
from tests.fakes.loop import LoopThread
from tests.fakes.parent_process import eventually
from tests.fakes.rest_servers import Peer, Script, Server, answer

pytestmark = pytest.mark.cluster

PREDICT = "/v1/models/m:predict"
PORT = 8501


def model(name: str, body: str) -> Script:
    """A server of the model `name` that answers `body`."""

    async def script(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            if b"wait" in request.body:
                await peer.server.gate.wait()
            known = request.line.split()[1].startswith(f"/v1/models/{name}".encode())
            await peer.send(answer(body.encode()) if known else answer(b"{}", "404 Not Found"))

    return script


class Space:
    """A Kubernetes namespace of the test's own, and gateways that follow it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.name = f"discovery-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.loop = LoopThread()
        self.servers: dict[str, Server] = {}
        self.gateways: list[GatewayProcess] = []
        cluster.kubectl("create", "namespace", self.name)

    def gateway(self) -> GatewayProcess:
        """Begins with what the last one has saved."""
        environment = {"KUBECONFIG": str(self.cluster.kubeconfig)}
        made = GatewayProcess(self.folder, None, environment, discovery="kubernetes", namespace=self.name)
        self.gateways.append(made)
        return made

    def server(self, host: str, script: Script) -> Server:
        self.servers[host] = Server(self.loop, script, PORT, host)
        return self.servers[host]

    def apply(self, *items: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.cluster.kubectl("apply", "--namespace", self.name, "--filename", "-", input=text)

    def route(self, name: str, **route: Any) -> None:
        """As the operator writes it."""
        full = {"namespace": self.name, "name": name, "runtime": "tfserving", "stable": "v1"} | route
        full.setdefault("versions", [{"name": "v1", "servable": 1, "service": f"{name}-v1"}])
        patch = json.dumps({"status": {"route": full}})
        arguments = ("modeldeployment", name, "--subresource=status", "--type=merge", "--patch", patch)
        self.cluster.kubectl("patch", "--namespace", self.name, *arguments)

    def close(self) -> None:
        for gateway in self.gateways:
            gateway.close()
        for server in self.servers.values():
            server.close()
        self.loop.close()
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false")


@pytest.fixture
def space(cluster: Cluster, tmp_path: Path) -> Iterator[Space]:
    cluster.kubectl("apply", "--server-side", "--filename", "-", input=json.dumps(crd()))
    cluster.kubectl("wait", "--for=condition=Established", "crd/modeldeployments.turnout.dev")
    space = Space(cluster, tmp_path)
    yield space
    space.close()


def deployment(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "runtime": "tfserving",
            "versions": [{"name": "v1", "model": "models/m/1"}],
            "traffic": {"stable": "v1"},
        },
    }


def piece(name: str, service: str, *hosts: str, leaving: tuple[str, ...] = ()) -> dict[str, Any]:
    endpoints: list[dict[str, Any]] = [{"addresses": [host], "conditions": {"ready": True}} for host in hosts]
    gone = {"ready": False, "serving": True, "terminating": True}
    endpoints += [{"addresses": [host], "conditions": gone} for host in leaving]
    labels = {"kubernetes.io/service-name": service, "turnout.dev/deployment": service.rpartition("-")[0]}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "rest", "port": PORT}, {"name": "grpc", "port": PORT}],
        "endpoints": endpoints,
    }


def predicted(gateway: GatewayProcess, body: bytes = b"{}") -> str:
    with httpx.Client(trust_env=False) as http:
        return http.post(f"http://{gateway.address[0]}:{gateway.address[1]}{PREDICT}", content=body).text


def says(gateway: GatewayProcess, text: str) -> Callable[[], bool]:
    return lambda: predicted(gateway) == text


def readiness(gateway: GatewayProcess) -> tuple[int, str]:
    response = gateway.admin.get("/readyz")
    return response.status_code, response.text


def connected(gateway: GatewayProcess) -> float:
    return gateway.total("turnout_discovery_connected")


def test_it_follows_what_changes(space: Space) -> None:
    gateway = space.gateway().ready()
    assert readiness(gateway) == (200, "ok\n")
    assert gateway.report()["table"]["deployments"] == []
    assert connected(gateway) == 1

    first = space.server("10.96.250.1", model("m", "first"))
    second = space.server("10.96.250.2", model("m", "second"))
    space.apply(deployment("m"), piece("s-1", "m-v1", "10.96.250.1"))
    assert "unknown" in predicted(gateway) or "no deployment" in predicted(gateway)
    space.route("m")
    eventually(says(gateway, "first"))

    waiting = gateway.client()
    waiting.send(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nwait".encode())
    eventually(lambda: b"wait" in first.bodies)
    space.apply(piece("s-1", "m-v1", "10.96.250.2", leaving=("10.96.250.1",)))
    eventually(says(gateway, "second"))
    before = len(first.requests)
    assert {predicted(gateway) for _ in range(50)} == {"second"}
    assert len(first.requests) == before
    first.open_gate()
    assert waiting.answer().body == b"first"

    space.apply(piece("s-1", "m-v1", leaving=("10.96.250.1",)))
    eventually(says(gateway, "first"))
    space.apply(piece("s-1", "m-v1", "10.96.250.1"), piece("s-2", "m-v1", "10.96.250.2"))
    eventually(lambda: {predicted(gateway) for _ in range(50)} == {"first", "second"})

    space.apply(deployment("bad"))
    space.route("m", epoch=1)
    space.route("bad", stable="v9")
    eventually(lambda: gateway.total("turnout_table_rejecting") == 1)
    status, text = readiness(gateway)
    assert status == 200
    assert f"{space.name}/bad: status.route: Value error, {space.name}/bad: stable is 'v9'" in text
    assert predicted(gateway) in ("first", "second")
    space.route("bad")
    eventually(lambda: readiness(gateway) == (200, "ok\n"))
    assert gateway.total("turnout_table_rejected_total") == 1

    space.cluster.kubectl("delete", "modeldeployment", "m", "--namespace", space.name)
    eventually(lambda: "no deployment" in predicted(gateway))
    assert len(second.requests) > 0


def test_a_service_gives_its_labels_to_its_slices(space: Space) -> None:
    """By them the gateway asks for those that matter."""
    spec = {"clusterIP": "None", "selector": {"app": "none"}, "ports": [{"name": "rest", "port": PORT}]}
    labels = {"turnout.dev/deployment": "m", "app.kubernetes.io/managed-by": "turnout"}
    space.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "m-v1", "labels": labels}, "spec": spec})
    ask = ("get", "endpointslices", "--namespace", space.name, "--selector", "turnout.dev/deployment")
    found = eventually(lambda: json.loads(space.cluster.kubectl(*ask, "--output=json"))["items"])
    assert found[0]["metadata"]["labels"]["kubernetes.io/service-name"] == "m-v1"


def test_without_the_api_server_it_goes_on_also_over_a_restart(space: Space) -> None:
    cluster = space.cluster
    gateway = space.gateway().ready()
    own = space.server("10.96.250.3", model("m", "own"))
    reused = space.server("10.96.250.4", model("m", "reused"))
    space.apply(deployment("m"), piece("s-1", "m-v1", "10.96.250.3", "10.96.250.4"))
    space.route("m")
    eventually(lambda: {predicted(gateway) for _ in range(50)} == {"own", "reused"})
    saved = space.folder / "routes.kubernetes.json"
    eventually(lambda: saved.exists() and "10.96.250.4" in saved.read_text())

    cluster.stop_api_server()
    try:
        eventually(lambda: connected(gateway) == 0)
        status, text = readiness(gateway)
        assert status == 200
        assert text.startswith("ok, by the last good route table (https://10.244.0.1:6443: /apis/")
        assert gateway.total("turnout_discovery_silence_seconds") > 0
        assert {predicted(gateway) for _ in range(50)} == {"own", "reused"}

        gateway.term()
        assert gateway.process.wait(60) == 0
        reused.close()
        space.server("10.96.250.4", model("another", "wrong"))
        gateway = space.gateway().ready()
        assert readiness(gateway)[1].startswith("ok, by the last good route table")
        assert connected(gateway) == 0
        assert {predicted(gateway) for _ in range(50)} == {"own"}
        assert "10.96.250.4:8501" in gateway.log.read_text()

        (space.folder / "new").mkdir()
        without = GatewayProcess(
            space.folder / "new",
            None,
            {"KUBECONFIG": str(cluster.kubeconfig)},
            discovery="kubernetes",
            namespace=space.name,
        )
        space.gateways.append(without)
        status, text = eventually(lambda: readiness(without), lambda state: "/apis/" in state[1])
        assert status == 503
        assert text.startswith("there is no route table yet (https://10.244.0.1:6443: /apis/")
    finally:
        cluster.start_api_server()

    for one in (gateway, without):
        eventually(partial(readiness, one), lambda state: state == (200, "ok\n"))
        assert connected(one) == 1
    space.server("10.96.250.5", model("m", "new"))
    space.apply(piece("s-1", "m-v1", "10.96.250.5"))
    for one in (gateway, without):
        eventually(says(one, "new"))
    assert len(own.requests) > 0


def test_a_gateway_lists_again_where_it_missed_more_than_the_api_server_remembers(space: Space) -> None:
    cluster = space.cluster
    gateway = space.gateway().ready()
    space.server("10.96.250.6", model("m", "here"))
    space.apply(deployment("m"), piece("s-1", "m-v1", "10.96.250.6"))
    space.route("m")
    eventually(says(gateway, "here"))
    # A new API server remembers nothing from before; what others write meanwhile makes our version an old one.
    for number in range(3):
        space.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"other-{number}"}})
    cluster.stop_api_server()
    cluster.start_api_server()
    space.route("m", runtime="seldon")
    eventually(lambda: gateway.report()["table"]["deployments"][0]["runtime"] == "seldon")
    assert "listing again" in gateway.log.read_text()
