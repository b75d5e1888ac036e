"""When a request counts as evidence, and to which weight it belongs, on real connections.

A row is requests, errors, slow ones, rejections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.contract.route_table import RouteTable, Sticky
from gateway.stats import counters, evidence_slots, evidence_totals
from gateway.stats.counters import Counters
from gateway.stats.evidence_recorder import Evidence
from tests.fakes.evidence import CANARY, STABLE, held, routes, to_canary
from tests.fakes.gateway import PREDICT, Gateway
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import Client, request
from tests.fakes.rest_servers import Peer, Server, always, answer, dead, silent

Servers = Callable[..., Server]
Start = Callable[..., Gateway]

OK = always(answer(b"{}"))


# When it counts.


def waiting(gateway: Gateway, server: Server) -> Client:
    """A client whose request the server has, and has not answered."""
    client = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: server.requests)
    return client


def test_a_request_counts_once_something_is_known_of_it(servers: Servers, start_gateway: Start) -> None:
    """Or a canary that answers nothing would be one of which nothing fails."""
    canary = servers(held)
    gateway = start_gateway(routes(servers(OK), canary), random=to_canary)
    client = waiting(gateway, canary)
    assert gateway.evidence() == {}
    canary.open_gate()
    assert client.answer().status == 200
    assert gateway.evidence() == {CANARY: [1, 0, 0, 0]}


def test_a_slow_answer_counts_the_moment_it_is_late(servers: Servers, start_gateway: Start) -> None:
    canary = servers(held)
    gateway = start_gateway(routes(servers(OK), canary, slow=0.05), random=to_canary)
    client = waiting(gateway, canary)
    eventually(gateway.evidence, lambda now: now == {CANARY: [1, 0, 1, 0]})
    assert gateway.held()["requests"] == 1
    canary.open_gate()
    assert client.answer().status == 200
    assert gateway.evidence() == {CANARY: [1, 0, 1, 0]}


def test_a_client_that_goes_once_it_is_slow_leaves_it_slow(servers: Servers, start_gateway: Start) -> None:
    canary = servers(silent)
    gateway = start_gateway(routes(servers(OK), canary, slow=0.05), random=to_canary)
    client = waiting(gateway, canary)
    eventually(gateway.evidence, lambda now: now == {CANARY: [1, 0, 1, 0]})
    client.close()
    eventually(lambda: gateway.outcomes("v2"), lambda now: now == {"cancelled": 1})
    assert gateway.evidence() == {CANARY: [1, 0, 1, 0]}


def test_a_client_that_goes_before_says_nothing(servers: Servers, start_gateway: Start) -> None:
    canary = servers(silent)
    gateway = start_gateway(routes(servers(OK), canary, slow=600), random=to_canary)
    waiting(gateway, canary).close()
    eventually(lambda: gateway.outcomes("v2"), lambda now: now == {"cancelled": 1})
    assert gateway.evidence() == {}


@pytest.mark.parametrize(("slow", "row"), [(None, [1, 1, 0, 0]), (0.05, [1, 1, 1, 0])])
def test_a_deadline_is_an_error_and_was_slow_before_where_that_passed(
    servers: Servers, start_gateway: Start, slow: float | None, row: list[int]
) -> None:
    gateway = start_gateway(routes(servers(OK), servers(silent), slow=slow), random=to_canary)
    assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 500").status == 504
    assert gateway.evidence() == {CANARY: row}


@pytest.mark.parametrize("weight", [0, 100])
def test_a_deadline_that_no_server_could_keep_is_nobodys_evidence(
    servers: Servers, start_gateway: Start, weight: float
) -> None:
    """Else whoever may call decides: as the error of both arms it hides one that is worse."""
    gateway = start_gateway(routes(servers(silent), servers(silent), weight, slow=0.5), random=to_canary)
    client = gateway.client()
    for milliseconds in (1, 100, 400):
        assert client.post(PREDICT, b"{}", f"x-turnout-timeout-ms: {milliseconds}").status == 504
    assert gateway.evidence() == {}


def test_without_a_limit_a_deadline_is_held_against_what_stable_takes(servers: Servers, start_gateway: Start) -> None:
    async def taking_100_ms(peer: Peer) -> None:
        while await peer.request() is not None:
            await asyncio.sleep(0.1)  # what is tested: a server that takes time
            await peer.send(answer(b"{}"))

    draws = iter([0.999] * 3 + [0.0] * 3)
    gateway = start_gateway(routes(servers(taking_100_ms), servers(silent), 50), random=lambda: next(draws))
    client = gateway.client()
    assert [client.post(PREDICT, b"{}").version for _ in range(3)] == ["v1"] * 3
    for milliseconds in (1, 50, 400):  # the last would have been answered by stable, and counts as the canary's failure
        assert client.post(PREDICT, b"{}", f"x-turnout-timeout-ms: {milliseconds}").status == 504
    assert gateway.evidence() == {STABLE: [3, 0, 0, 0], CANARY: [1, 1, 0, 0]}


@pytest.mark.parametrize(
    ("over", "rows"),
    [
        (lambda evidence: evidence.answered(200, 0.0), [[1, 0, 0, 0]]),
        (lambda evidence: evidence.answered(404, 0.0), [[1, 0, 0, 1]]),
        (lambda evidence: evidence.failed(), [[1, 1, 0, 0]]),
        (lambda evidence: evidence.left(0.5), []),
        (lambda evidence: evidence.left(1.5), [[1, 1, 0, 0]]),
    ],
)
def test_nothing_is_slow_once_the_first_attempt_is_over(
    over: Callable[[Evidence], None], rows: list[list[int]]
) -> None:
    """Neither a retry's time nor stable's, where it answers instead."""
    buffer = bytearray(counters.SIZE)
    arm = Counters(buffer).evidence.of(routes(None, None).deployments[0]).arms["v2", False]

    async def time_passes() -> None:
        later = asyncio.Event()
        evidence = Evidence(arm, 0, None, 0.01)
        over(evidence)
        asyncio.get_running_loop().call_later(0.05, later.set)
        await later.wait()

    asyncio.run(time_passes())
    counts = evidence_totals.read(buffer).counts.values()
    assert [total for total in map(evidence_totals.total, counts) if total[0]] == rows


# To which weight it belongs.


def test_what_is_late_counts_to_the_epoch_of_its_assignment(servers: Servers, start_gateway: Start) -> None:
    async def refusing_late(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.server.gate.wait()
            await peer.send(answer(b"{}", "400 Bad Request"))

    stable, canary = servers(OK), servers(refusing_late)
    gateway = start_gateway(routes(stable, canary, slow=0.05), random=to_canary)
    client = waiting(gateway, canary)
    gateway.swap(routes(stable, canary, 0, epoch=8, revision=2))
    assert gateway.client().post(PREDICT).version == "v1"
    eventually(lambda: gateway.evidence().get(CANARY))
    canary.open_gate()
    assert client.answer().status == 400
    assert gateway.evidence() == {CANARY: [1, 0, 1, 1], ("v1", "8", "false"): [1, 0, 0, 0]}


def test_a_retry_under_another_weight_counts_to_the_first(servers: Servers, start_gateway: Start) -> None:
    stable, canary = [servers(OK), servers(OK)], servers(silent)
    gateway = start_gateway(routes(stable, canary), random=to_canary)
    client = waiting(gateway, canary)
    gateway.swap(routes(stable, dead(), 1, epoch=8, revision=2))
    canary.close()
    assert client.answer().version == "v1"
    assert gateway.evidence() == {CANARY: [1, 1, 0, 0]}


def test_old_epochs_are_let_go(servers: Servers, start_gateway: Start) -> None:
    stable, canary = servers(OK), servers(held)
    gateway = start_gateway(routes(stable, canary), random=to_canary)
    client = waiting(gateway, canary)
    for epoch in range(8, 7 + 3 * evidence_slots.EPOCHS_KEPT):
        gateway.swap(routes(stable, canary, 0, epoch=epoch, revision=epoch))
        assert gateway.client().post(PREDICT).version == "v1"
        epochs = {int(key[3]) for key in gateway.evidence_sums().counts}
        assert epochs == set(range(max(7, epoch - evidence_slots.EPOCHS_KEPT + 1), epoch + 1))
    before = gateway.evidence_sums()
    canary.open_gate()
    assert client.answer().status == 200  # what it was assigned to is gone: nobody else's counts change
    assert gateway.evidence_sums() == before


def test_a_deployment_that_is_gone_leaves_nothing(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(routes(servers(OK), servers(OK), sticky=Sticky(header="x-user")), random=to_canary)
    assert gateway.client().post(PREDICT).status == 200
    assert gateway.evidence_sums() != ({}, {})
    gateway.swap(RouteTable(revision=2))
    assert gateway.evidence_sums() == ({}, {})
