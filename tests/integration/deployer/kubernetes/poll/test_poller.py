"""The lookout with a real gateway: what is heard of it, what it misses, and whom it wakes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deployer.kubernetes.api.queue import Queue
from deployer.kubernetes.objects.kinds import Key, Object
from deployer.kubernetes.poll import poller
from deployer.kubernetes.poll.poller import Poller
from deployer.rollout.state import Phase
from gateway.contract.route_table import RouteTable
from tests.fakes.gateway import GatewayProcess, deployment
from tests.fakes.rolling_cluster import ROLLOUT, RollingCluster
from tests.fakes.store import KnownSlices, KnownStore, piece
from tests.fakes.turnout import free_port, until
from tests.unit.deployer.kubernetes.rollout.test_look import rolling

KEY = Key("default", "digits")
SERVES = {"ready": True, "serving": True}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(tmp_path, table(epoch=4))
    yield gateway
    gateway.close()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "PERIOD", 0.05)
    monkeypatch.setattr(poller, "SELDOM", 0.05)


def table(epoch: int, revision: int = 1) -> RouteTable:
    split = deployment("digits", {"v1": (), "v2": ()}, weight=25, epoch=epoch)
    return RouteTable(revision=revision, deployments=(split,))


def address(gateway: GatewayProcess) -> str:
    return f"{gateway.admin.base_url.host}:{gateway.admin.base_url.port}"


@contextmanager
def looking(
    store: KnownStore,
    slices: KnownSlices | None,
    leads: Callable[[], bool] = lambda: True,
    prometheus: str | None = None,
) -> Iterator[tuple[Poller, Queue]]:
    queue = Queue()
    looking = Poller(store, queue, slices, prometheus, leads)
    looking.start()
    try:
        yield looking, queue
    finally:
        looking.stop()


@cache
def stepping() -> Object:
    world = rolling()
    world.until_weight(5)
    return world.resource


def test_gateways_are_heard_and_the_deployment_is_looked_at_again(gateway: GatewayProcess) -> None:
    store = KnownStore([stepping()])
    with looking(store, KnownSlices({address(gateway): SERVES})) as (found, queue):
        assert queue.take(10) == KEY
        observation = until(lambda: (seen := found.latest(KEY)).readings and seen, "it is heard")
        assert (observation.in_force, observation.unread) == (4, ())
        assert [reading.epoch for reading in observation.readings] == [4]
        # A new epoch is heard of once it is in force.
        gateway.publish(table(epoch=5, revision=2))
        until(lambda: found.latest(KEY).in_force == 5, "the next epoch is in force")
        assert found.silences()[KEY] < 10


@pytest.mark.parametrize(
    ("conditions", "waited"),
    [(SERVES, True), (SERVES | {"terminating": True}, False), ({"ready": True, "serving": False}, False)],
)
def test_one_that_does_not_answer_is_waited_for_while_it_serves(
    gateway: GatewayProcess, conditions: dict[str, bool], waited: bool
) -> None:
    gone = f"127.0.0.1:{free_port()}"
    store = KnownStore([stepping()])
    with looking(store, KnownSlices({address(gateway): SERVES, gone: conditions})) as (found, _):
        observation = until(lambda: (seen := found.latest(KEY)).readings and seen, "one is heard")
        assert observation.unread == ((f"the gateway {gone}",) if waited else ())
        assert observation.in_force == (None if waited else 4)


def test_what_was_heard_counts_as_unread_once_it_is_old(
    gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with looking(KnownStore([stepping()]), KnownSlices({address(gateway): SERVES})) as (found, _):
        until(lambda: found.latest(KEY).readings, "it is heard")
        monkeypatch.setattr(poller, "STALE", 0.0)
        observation = found.latest(KEY)
        assert (observation.readings, observation.unread, observation.in_force) == ((), ("the gateways",), None)


@pytest.mark.parametrize("slices", [None, KnownSlices({})])
def test_without_gateways_a_rollout_holds(slices: KnownSlices | None) -> None:
    with looking(KnownStore([stepping()]), slices) as (found, queue):
        assert queue.take(10) == KEY
        observation = found.latest(KEY)
        assert observation.in_force is None
        assert len(observation.unread) == 1, observation


def test_one_that_waits_for_its_turn_asks_nobody(gateway: GatewayProcess) -> None:
    leads = threading.Event()
    store = KnownStore([stepping()])
    with looking(store, KnownSlices({address(gateway): SERVES}), leads.is_set) as (found, queue):
        assert queue.take(0.5) is None
        assert found.silences() == {}
        leads.set()
        assert queue.take(10) == KEY


def test_a_rollout_that_is_over_wakes_nobody(gateway: GatewayProcess) -> None:
    world = rolling()
    world.until_phase(Phase.PROMOTED)
    with looking(KnownStore([world.resource]), KnownSlices({address(gateway): SERVES})) as (_, queue):
        assert queue.take(0.5) is None


class Answers(BaseHTTPRequestHandler):
    """A model server, a Prometheus and a webhook in one."""

    def do_GET(self) -> None:
        tensor = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}], "unknown_rank": False}}
        signature = {"inputs": {"images": tensor}, "outputs": {"classes": tensor}}
        self._say({"metadata": {"signature_def": {"signature_def": {"serving_default": signature}}}})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        if self.path == "/hook":
            self._say({"value": json.loads(body)["weight"]})
            return
        requests = {"version": "v2", "epoch": "4", "keyed": "false", "source": "a"}
        labels = requests if "requests" in body else {**requests, "signal": "errors"}
        value = [1.0, "40" if "requests" in body else "2"]
        self._say(
            {"status": "success", "data": {"resultType": "vector", "result": [{"metric": labels, "value": value}]}}
        )

    def _say(self, content: Any) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def warming() -> RollingCluster:
    world = rolling()
    world.asked = frozenset()
    world.look()
    world.look()
    assert world.rollout.phase is Phase.WARMING
    return world


def test_signatures_are_asked_of_both_versions_before_the_first_weight(answering: str) -> None:
    world = warming()
    servers = [piece(answering, name="rest", service=f"digits-{v}", ready=True) for v in ("v1", "v2")]
    with looking(KnownStore([world.resource], list(world.live.values()), servers), None) as (found, _):
        observation = until(lambda: (seen := found.latest(KEY)).asked and seen, "both were asked")
        assert observation.asked == {"v1", "v2"}
        assert set(observation.signatures["v2"].inputs) == {"images"}


def test_one_that_does_not_tell_its_signature_is_asked_three_times(answering: str) -> None:
    world = warming()
    gone = f"127.0.0.1:{free_port()}"
    places = {"v1": answering, "v2": gone}
    servers = [piece(p, name="rest", service=f"digits-{v}", ready=True) for v, p in places.items()]
    with looking(KnownStore([world.resource], list(world.live.values()), servers), None) as (found, _):
        observation = until(lambda: (seen := found.latest(KEY)).asked and seen, "both were asked")
        assert set(observation.signatures) == {"v1"}


def test_none_is_asked_while_pods_are_replaced(answering: str) -> None:
    world = warming()
    servers = [piece(answering, name="rest", service=f"digits-{v}", ready=True) for v in ("v1", "v2")]
    live: list[Object] = [
        {**made, "status": {**made["status"], "updatedReplicas": 0}} if made["kind"] == "Deployment" else made
        for made in world.live.values()
    ]
    with looking(KnownStore([world.resource], live, servers), None) as (found, queue):
        for _ in range(5):
            assert queue.take(10) == KEY
        assert found.latest(KEY).asked == frozenset()


def test_prometheus_and_webhooks_are_heard(answering: str) -> None:
    rollout = {
        **ROLLOUT,
        "evidence": "prometheus",
        "objectives": {"metrics": [{"name": "mine", "webhook": f"http://{answering}/hook", "max": 1}]},
    }
    world = rolling(rollout)
    world.more = {"metrics": {"mine": 0.0}}
    world.until_weight(5)
    store = KnownStore([world.resource])
    with looking(store, None, prometheus=f"http://{answering}") as (found, _):
        observation = until(lambda: (seen := found.latest(KEY)).metrics and seen, "the webhook is heard")
        assert observation.metrics == {"mine": 5.0}
        (count,) = observation.readings[0].counts
        assert (count.version, count.epoch, count.requests, count.errors) == ("v2", 4, 40, 2)
        assert observation.unread == ()
    with looking(store, None, prometheus=f"http://127.0.0.1:{free_port()}") as (found, _):
        observation = until(lambda: (seen := found.latest(KEY)).metrics and seen, "the webhook is heard")
        assert observation.readings == ()
        assert observation.unread[0].startswith("Prometheus (Prometheus does not answer")
