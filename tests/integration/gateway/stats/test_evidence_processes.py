"""Evidence of a gateway of real processes: workers that die, lag and start anew, and what is told meanwhile."""

from __future__ import annotations

import base64
import http.client
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.contract.route_table import RouteTable, Sticky
from gateway.routing.sticky import position
from tests.fakes.gateway import PREDICT, GatewayProcess, deployment
from tests.fakes.loop import LoopThread
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import request
from tests.fakes.rest_servers import Server, always, answer, silent

Servers = Callable[..., Server]
Start = Callable[..., GatewayProcess]

SALT = "default/m v1 v2 1"
STICKY = Sticky(header="x-user")
OK, BAD = always(answer(b"{}")), always(answer(b"{}", "500 X"))


@pytest.fixture
def start(tmp_path: Path, loop: LoopThread) -> Iterator[Start]:
    started: list[GatewayProcess] = []

    def begin(routes: RouteTable, **settings: Any) -> GatewayProcess:
        started.append(GatewayProcess(tmp_path, routes, **settings))
        return started[-1]

    yield begin
    for gateway in started:
        gateway.close()
        assert "Traceback" not in gateway.log.read_text()


def routes(revision: int, epoch: int, stable: Server, canary: Server, weight: float = 100, **values: Any) -> RouteTable:
    fields = {"weight": weight, "epoch": epoch, "salt": SALT, "sticky": STICKY} | values
    plain = deployment("plain", {"v1": [stable]})
    return RouteTable(
        revision=revision, deployments=(deployment("m", {"v1": [stable], "v2": [canary]}, **fields), plain)
    )


def evidence(gateway: GatewayProcess, *keys: str) -> dict[str, Any]:
    answered = gateway.admin.get("/evidence", params={"deployment": keys})
    assert answered.status_code == 200
    page: dict[str, Any] = answered.json()
    return page


def of_m(gateway: GatewayProcess) -> dict[str, Any]:
    report: dict[str, Any] = evidence(gateway)["deployments"]["default/m"]
    return report


def counted(gateway: GatewayProcess) -> dict[tuple[str, int, bool], list[int]]:
    """Requests, errors, slow ones and rejections by version, epoch and whether they had a key."""
    return {
        (row["version"], row["epoch"], row["keyed"]): [
            row[name] for name in ("requests", "errors", "slow", "rejections")
        ]
        for row in of_m(gateway)["counts"]
        if row["requests"]
    }


def bucket(gateway: GatewayProcess, version: str, name: str) -> int:
    return int.from_bytes(base64.b64decode(of_m(gateway)["buckets"][version][name]), "little")


def post(gateway: GatewayProcess, number: int, *fields: str) -> None:
    """Each on a connection of its own, so that all workers get some. Waits until all are counted: a client may have its
    answer a moment before that."""
    before = sum(requests for requests, *_ in counted(gateway).values())
    for _ in range(number):
        with gateway.client() as client:
            client.post(PREDICT, b"{}", *fields)
    eventually(lambda: sum(requests for requests, *_ in counted(gateway).values()), lambda now: now >= before + number)


def test_the_page(servers: Servers, start: Start) -> None:
    gateway = start(routes(3, 7, servers(OK), servers(BAD)))
    post(gateway, 20)
    post(gateway, 20, "x-user: ada")
    page = evidence(gateway)
    assert (page["ready"], page["revision"], set(page["deployments"])) == (True, 3, {"default/m"})
    assert set(page) == {"contract", "source", "ready", "revision", "deployments"}
    report = page["deployments"]["default/m"]
    assert set(report) == {"epoch", "counts", "salt", "buckets", "callers"}
    assert (report["epoch"], report["salt"]) == (7, SALT)
    assert counted(gateway) == {("v2", 7, False): [20, 20, 0, 0], ("v2", 7, True): [20, 20, 0, 0]}
    assert {row["keyed"] for row in report["counts"]} == {True, False}
    assert bucket(gateway, "v2", "errors") == 1 << position(SALT, b"ada").bucket
    assert bucket(gateway, "v2", "requests") == bucket(gateway, "v2", "errors")
    assert bucket(gateway, "v2", "slow") == bucket(gateway, "v1", "errors") == 0
    assert evidence(gateway)["source"] == page["source"]


def test_callers_are_told_apart_by_their_address_on_all_workers(servers: Servers, start: Start) -> None:
    gateways = [start(routes(3, 7, servers(OK), servers(BAD)), workers=2) for _ in range(2)]
    groups = []
    for gateway in gateways:
        for last in range(1, 41):
            for _ in range(4):  # some on each worker
                client = http.client.HTTPConnection(*gateway.address, source_address=(f"127.0.0.{last}", 0))
                client.request("POST", PREDICT, b"{}")
                assert client.getresponse().status == 500
                client.close()
        eventually(lambda: counted(gateway), lambda now: now == {("v2", 7, False): [160, 160, 0, 0]})  # noqa: B023
        groups.append([row["callers"] for row in of_m(gateway)["counts"] if row["requests"]])
    [[first], [second]] = groups
    assert first == second
    assert all(requests % 4 == 0 for requests, *_ in first)
    assert sum(requests > 0 for requests, *_ in first) > 4


def test_the_page_of_some(servers: Servers, start: Start) -> None:
    gateway = start(routes(3, 7, servers(OK), servers(OK)))
    assert set(evidence(gateway, "default/m", "default/nobody")["deployments"]) == {"default/m"}
    assert evidence(gateway, "default/plain")["deployments"] == {
        "default/plain": {"epoch": 0, "counts": [], "salt": "", "buckets": {}, "callers": {}}
    }


def test_prometheus_reads_the_same(servers: Servers, start: Start) -> None:
    gateway = start(routes(1, 7, servers(OK), servers(BAD)))
    post(gateway, 10)
    labels = {"namespace": "default", "deployment": "m", "version": "v2", "epoch": "7", "keyed": "false"}
    assert gateway.total("turnout_evidence_requests_total", **labels) == 10
    assert gateway.total("turnout_evidence_bad_total", **labels, signal="errors") == 10
    assert gateway.total("turnout_evidence_bad_total", **labels) == 10
    assert gateway.total("turnout_evidence_requests_total", deployment="plain") == 0


def test_a_worker_that_dies_takes_no_evidence_along(servers: Servers, start: Start) -> None:
    gateway = start(routes(1, 7, servers(OK), servers(BAD)), workers=2)
    page = evidence(gateway)
    for round in range(1, 4):
        post(gateway, 30, "x-user: ada")
        before = counted(gateway)
        assert before == {("v2", 7, True): [30 * round, 30 * round, 0, 0]}
        pids = gateway.pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            assert counted(gateway) == before
        eventually(gateway.pids, lambda now: None not in now and not set(now) & set(pids))  # noqa: B023
        gateway.ready()
        assert counted(gateway) == before
        assert bucket(gateway, "v2", "errors") == 1 << position(SALT, b"ada").bucket
    assert evidence(gateway)["source"] == page["source"]


def test_of_what_a_dying_worker_had_in_flight_nothing_is_known(servers: Servers, start: Start) -> None:
    canary = servers(silent)
    gateway = start(routes(1, 7, servers(OK), canary), workers=1)
    client = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: canary.requests)
    (pid,) = gateway.pids()
    os.kill(pid, signal.SIGKILL)
    eventually(gateway.pids, lambda now: now not in ([None], [pid]))
    gateway.ready()
    assert counted(gateway) == {}
    client.close()


def test_a_gateway_that_starts_again_is_another_source(servers: Servers, start: Start) -> None:
    table = routes(1, 7, servers(OK), servers(BAD))
    first = start(table)
    post(first, 5)
    page = evidence(first)
    first.close()
    again = start(table)
    assert evidence(again)["source"] != page["source"]
    assert counted(again) == {}


def test_the_epoch_in_force_is_that_of_the_worker_that_lags(servers: Servers, start: Start) -> None:
    stable, canary = servers(OK), servers(OK)
    gateway = start(routes(1, 7, stable, canary), workers=2)
    lagging, other = gateway.pids()
    os.kill(lagging, signal.SIGSTOP)
    try:
        gateway.publish(routes(2, 8, stable, canary, 50))
        eventually(lambda: revision(gateway, other), lambda taken: taken == 2)
        page = evidence(gateway)
        assert (page["revision"], page["deployments"]["default/m"]["epoch"]) == (1, 7)
    finally:
        os.kill(lagging, signal.SIGCONT)
    eventually(lambda: of_m(gateway)["epoch"], lambda epoch: epoch == 8)
    assert revision(gateway, lagging) == 2


def test_a_worker_that_starts_stands_for_the_table_that_it_will_begin_with(servers: Servers, start: Start) -> None:
    stable, canary = servers(OK), servers(OK)
    gateway = start(routes(1, 7, stable, canary), workers=2)

    def stopped_at_its_start() -> int | None:
        """The pid of a worker that was stopped before it took a table; None where it was quicker."""
        victim, _ = gateway.pids()
        os.kill(victim, signal.SIGKILL)
        new, _ = eventually(gateway.pids, lambda pids: None not in pids and pids[0] != victim)
        os.kill(new, signal.SIGSTOP)
        if revision(gateway, new) is None:
            return new
        os.kill(new, signal.SIGCONT)
        return None

    starting = eventually(stopped_at_its_start)
    assert starting is not None
    try:
        gateway.publish(routes(2, 8, stable, canary, 50))
        eventually(lambda: revision(gateway, gateway.pids()[1]), lambda taken: taken == 2)
        page = evidence(gateway)
        assert (page["ready"], page["deployments"]["default/m"]["epoch"]) == (False, 7)
    finally:
        os.kill(starting, signal.SIGCONT)
    eventually(lambda: of_m(gateway)["epoch"], lambda epoch: epoch == 8)


def test_while_no_worker_runs_the_next_ones_epoch_is_told(servers: Servers, start: Start) -> None:
    stable, canary = servers(OK), servers(OK)
    gateway = start(routes(1, 7, stable, canary), workers=1)
    (pid,) = gateway.pids()
    os.kill(pid, signal.SIGSTOP)
    gateway.publish(routes(2, 8, stable, canary, 50))
    eventually(lambda: gateway.report()["newest"], lambda newest: newest == 2)
    assert of_m(gateway)["epoch"] == 7

    def epoch_without_worker() -> int | None:
        """One that dies again and again is replaced after longer and longer pauses; None where it was quicker."""
        for pid in filter(None, gateway.pids()):
            os.kill(pid, signal.SIGKILL)
        eventually(gateway.pids, lambda pids: pids != [pid])
        epoch: int = of_m(gateway)["epoch"]
        return epoch if gateway.pids() == [None] else None

    assert eventually(epoch_without_worker, lambda epoch: epoch is not None) == 8


def revision(gateway: GatewayProcess, pid: int) -> int | None:
    """That of the table which the worker has told to be in force."""
    found: int | None = next(one["revision"] for one in gateway.report()["workers"] if one["pid"] == pid)
    return found
