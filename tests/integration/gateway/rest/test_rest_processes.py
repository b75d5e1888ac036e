"""REST through a gateway of real processes: tables that change, signals, deaths, and what is left when all is over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.contract.route_table import RouteTable, write
from gateway.contract.skew import CONTRACT
from gateway.contract.state import State
from tests.fakes.gateway import PREDICT, SELDON, GatewayProcess, table
from tests.fakes.loop import LoopThread
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import ConnectionEnded, request
from tests.fakes.rest_servers import Peer, Server, always, answer, resetting, silent

Servers = Callable[..., Server]
Start = Callable[..., GatewayProcess]


@pytest.fixture
def start(tmp_path: Path, loop: LoopThread) -> Iterator[Start]:
    started: list[GatewayProcess] = []

    def begin(routes: RouteTable | None = None, **settings: Any) -> GatewayProcess:
        started.append(GatewayProcess(tmp_path, routes, **settings))
        return started[-1]

    yield begin
    for gateway in started:
        gateway.close()
        assert "Traceback" not in gateway.log.read_text()


class Load:
    """Clients that send until they are told to stop, each on a connection of its own."""

    def __init__(self, gateway: GatewayProcess, clients: int = 8) -> None:
        self.answers: Counter[tuple[int, str | None]] = Counter()
        """By status and version."""
        self.failures: list[str] = []
        self._gateway = gateway
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]

    def _send(self) -> None:
        client = self._gateway.client()
        while not self._stop.is_set():
            try:
                got = client.post(PREDICT)
                self.answers[got.status, got.version] += 1
                if got.fields.get("connection") == "close":
                    break
            except (ConnectionEnded, OSError) as error:
                self.failures.append(repr(error))
                break
        client.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def test_workers_have_their_settings_and_do_not_show_them(start: Start, servers: Servers) -> None:
    """`ps` shows everyone on the machine what is in a command line."""
    gateway = start(table(v1=[servers(always(answer(b"{}")))]), max_message_bytes=1_234, timeout=43.25)
    assert gateway.client().post(PREDICT, bytes(1_234)).status == 200
    assert gateway.client().post(PREDICT, bytes(1_235)).status == 413
    for pid in gateway.pids():
        argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        assert argv[-4:-2] == ["-m", "gateway.worker"]
        assert json.loads(argv[-2]).keys() == {"index", "listen", "counters", "control"}


def test_twenty_tables_under_load_without_a_failed_request(servers: Servers, start: Start) -> None:
    made = {name: [servers(always(answer(b"{}"))) for _ in range(2)] for name in ("v1", "v2")}
    gateway = start(table(0, v1=made["v1"], v2=made["v2"]))
    with Load(gateway) as load:
        for revision in range(1, 21):
            # Versions come and go, their endpoints too, and the weight moves.
            stable = made["v1"][revision % 2 :]
            routes = (
                table(revision, v1=stable)
                if revision % 5 == 0
                else table(revision, revision * 4, v1=stable, v2=made["v2"])
            )
            gateway.publish(routes)
            gateway.in_force(revision)
            before = load.answers.total()
            eventually(lambda: load.answers.total() > before + 50 or load.failures)  # noqa: B023
    assert load.failures == []
    assert set(load.answers) == {(200, "v1"), (200, "v2")}
    assert sum(load.answers.values()) == sum(len(server.requests) for both in made.values() for server in both)


def test_tables_of_the_releases_before_and_after_under_load(servers: Servers, start: Start) -> None:
    """The last ones have a field that this release does not know, and require of `s` what it can't do."""
    server = {name: [servers(always(answer(b"{}")))] for name in ("v1", "v2")}
    gateway = start(table(0, v1=server["v1"], v2=server["v2"]))
    with Load(gateway) as load:
        for revision in range(1, 13):
            contract = CONTRACT - 1 + (revision - 1) // 4
            routes = table(revision, 10 + 20 * (revision % 4), v1=server["v1"], v2=server["v2"])
            written = json.loads(write(routes))
            for deployment in written["deployments"]:
                deployment |= {"contract": contract}
                if contract > CONTRACT:
                    deployment |= {"mirror": {"to": "v2"}}
                    if deployment["name"] == "s":
                        deployment |= {"requires": ["mirror"], "weight": 99}
            new = gateway.table.with_suffix(".new")
            new.write_text(json.dumps(written))
            new.replace(gateway.table)
            gateway.in_force(revision)
            before = load.answers.total()
            eventually(lambda: load.answers.total() > before + 50 or load.failures)  # noqa: B023
            weights = {one["name"]: one["weight"] for one in gateway.report()["table"]["deployments"]}
            assert weights == {"m": routes.deployments[0].weight, "s": 10 if contract > CONTRACT else weights["m"]}
    assert load.failures == []
    assert set(load.answers) == {(200, "v1"), (200, "v2")}
    why = "it requires what this release does not know: mirror"
    state = State.model_validate_json(gateway.admin.get("/state").content)
    assert (state.ready, state.revision, state.refused) == (True, 12, {"default/s": why})
    assert gateway.admin.get("/readyz").text.endswith(f"default/s: {why})\n")
    assert gateway.total("turnout_table_rejected_total") == gateway.total("turnout_table_rejecting") == 1
    assert why in gateway.log.read_text()
    assert gateway.client().post(SELDON).status == 200  # as it was
    gateway.publish(table(13, v1=server["v1"]))
    gateway.in_force(13)
    assert State.model_validate_json(gateway.admin.get("/state").content).refused == {}


@pytest.mark.parametrize("text", ["", "   \n", '{"revision": 9', "[]", '{"revision": 9, "deployments": [{}]}'])
def test_a_table_that_is_none_leaves_the_last_good_one(servers: Servers, start: Start, text: str) -> None:
    gateway = start(table(4, v1=[servers(always(answer(b"{}")))]), workers=1)
    gateway.table.write_text(text)
    metrics = eventually(
        lambda: gateway.admin.get("/metrics").text, lambda text: "turnout_table_rejected_total 1.0" in text
    )
    assert "turnout_table_rejecting 1.0" in metrics
    assert "turnout_table_revision_in_force 4.0" in metrics
    assert gateway.client().post(PREDICT).status == 200
    gateway.publish(table(5, v1=[servers(always(answer(b"{}")))]))
    gateway.in_force(5)
    assert "turnout_table_rejecting 0.0" in gateway.admin.get("/metrics").text


def test_sigterm_answers_what_is_in_flight_and_refuses_what_is_new(servers: Servers, start: Start) -> None:
    async def held(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.server.gate.wait()
            await peer.send(answer(b"{}"))

    server = servers(held)
    gateway = start(table(v1=[server]))
    clients = [gateway.client().send(request("POST", PREDICT, b"{}")) for _ in range(10)]
    eventually(lambda: len(server.requests) == 10)
    gateway.term()

    def refused() -> bool:
        with contextlib.suppress(ConnectionEnded, ConnectionResetError):
            try:
                with gateway.client() as client:
                    client.rest()  # one that came in while the worker was told: it is closed, not kept waiting
            except ConnectionRefusedError:
                return True
        return False

    eventually(refused)
    server.open_gate()
    for client in clients:
        got = client.answer()
        assert (got.status, got.fields["connection"], client.rest()) == (200, "close", b"")
        client.close()
    assert gateway.process.wait(20) == 0
    assert "requests are cut off" not in gateway.log.read_text()


def test_sigterm_under_load_breaks_nothing_that_was_begun(servers: Servers, start: Start) -> None:
    gateway = start(table(v1=[servers(always(answer(b"{}")))]))
    with Load(gateway) as load:
        eventually(lambda: load.answers.total() > 100)
        gateway.term()
        assert gateway.process.wait(20) == 0
    assert load.failures == []
    assert set(load.answers) == {(200, "v1")}


def test_a_worker_that_is_killed_takes_only_its_own_along(servers: Servers, start: Start) -> None:
    server = servers(silent)
    gateway = start(table(v1=[server]), workers=2)
    clients = [gateway.client().send(request("POST", PREDICT, b"{}")) for _ in range(16)]
    eventually(lambda: len(server.requests) == 16)
    victim, other = gateway.pids()
    os.kill(victim, signal.SIGKILL)
    eventually(gateway.pids, lambda pids: None not in pids and victim not in pids)
    gateway.ready()
    assert other in gateway.pids()
    assert [gateway.client().get("/v1/models/nobody").status for _ in range(20)] == [404] * 20
    for client in clients:
        client.close()
    eventually(lambda: server.open, lambda open: not open)
    assert "turnout_worker_restarts_total 1.0" in gateway.admin.get("/metrics").text


def test_when_all_is_over_nothing_is_left(servers: Servers, start: Start) -> None:
    good, bad, never = servers(always(answer(b"{}"))), servers(resetting), servers(silent)
    gateway = start(table(1, 50, v1=[good, bad], v2=[never]), workers=1, max_message_bytes=100_000)
    (pid,) = gateway.pids()
    before = psutil.Process(pid).num_fds()

    def misbehave() -> None:
        for target in (PREDICT, SELDON):
            gateway.client().send(request("POST", target, b"x" * 50_000)[:-5]).reset()
            gateway.client().send(request("POST", target, b"x" * 200_000)).close()
            gateway.client().send(request("POST", target, b"{}") * 20).reset()
            gateway.client().send(b"garbage\r\n\r\n").close()
            with gateway.client() as client:
                for _ in range(10):
                    assert client.post(target, b"{}", "x-turnout-timeout-ms: 20").status in (200, 504)

    for _ in range(5):
        misbehave()
    metrics = eventually(
        lambda: gateway.admin.get("/metrics").text,
        lambda text: (
            samples(text, "turnout_requests_in_flight") == 0
            and samples(text, "turnout_endpoint_requests_in_flight") == 0
            and samples(text, "turnout_connections") == 0
            and samples(text, "turnout_gathered_bytes") == 0
        ),
    )
    assert samples(metrics, "turnout_requests_total") > 0
    gateway.publish(table(2, v1=[]))
    eventually(lambda: psutil.Process(pid).num_fds(), lambda now: now == before)


def samples(text: str, name: str) -> float:
    """The sum over a metric's series."""
    lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
