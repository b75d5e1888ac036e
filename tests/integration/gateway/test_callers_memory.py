"""A thousand callers behind one proxy, of whom one holds as much memory as he may."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, ip_network

import pytest

from gateway import descriptors
from gateway.refusal import Code
from gateway.wire.proxy_header import SIGNATURE
from tests.fakes.gateway import PREDICT, Gateway, table
from tests.fakes.grpc_client import PREDICT as GRPC_PREDICT
from tests.fakes.grpc_client import predict
from tests.fakes.grpc_servers import GrpcServer, answering
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import Client, request
from tests.fakes.rest_servers import Server, echo

BUDGET = 400_000
BODY = bytes(4000)
"""More than whoever holds what he can leaves in the end, where each of his connections has a share."""

HOARDER = "192.0.2.1"
OTHERS = [str(IPv4Address("198.18.0.0") + number) for number in range(1000)]

Start = Callable[[Server | GrpcServer], Gateway]


@pytest.fixture
def start(start_gateway: Callable[..., Gateway]) -> Start:
    descriptors.raise_limit()
    return lambda server: start_gateway(
        table(v1=[server]), proxies=(ip_network("127.0.0.1"),), gather_budget_bytes=BUDGET
    )


def proxied(source: str) -> bytes:
    return SIGNATURE + b"\x21\x11\0\x0c" + IPv4Address(source).packed * 2 + bytes(4)


def half_request(size: int, *fields: str) -> bytes:
    """So many bytes of a body in pieces, and more to come."""
    head = request("POST", PREDICT, None, "Transfer-Encoding: chunked", *fields)
    return head + b"64\r\n%b\r\n" % bytes(100) * (size // 100)


def shrinking(gateway: Gateway, share: Callable[[int], int]) -> Iterator[int]:
    """What may still be had, again and again, but for a tenth."""
    for _ in range(25):
        yield 9 * share(gateway.forwarder.budget.held) // 10


def held_or_refused(gateway: Gateway, held: int, client: Client) -> None:
    """Wait until so much is held, or the client is answered."""
    eventually(lambda: gateway.forwarder.budget.held >= held or select.select([client.socket], [], [], 0)[0])


def test_each_on_a_connection_of_his_own(start: Start, servers: Callable[..., Server]) -> None:
    gateway = start(servers(echo))
    for size in shrinking(gateway, lambda held: (BUDGET - held) // 2):
        held = gateway.forwarder.budget.held + size // 100 * 100
        hoarding = gateway.client().send(proxied(HOARDER) + half_request(size))
        held_or_refused(gateway, held, hoarding)
    assert gateway.forwarder.budget.held > 0.4 * BUDGET
    clients = [gateway.client().send(proxied(other)) for other in OTHERS]
    assert {client.post(PREDICT, BODY).status for client in clients} == {200}


def test_all_on_connections_of_the_proxy_s(start: Start, servers: Callable[..., Server]) -> None:
    gateway = start(servers(echo))
    for size in shrinking(gateway, lambda held: (BUDGET - held) // 2):
        held = gateway.forwarder.budget.held + size // 100 * 100
        hoarding = gateway.client().send(half_request(size, f"X-Forwarded-For: {HOARDER}"))
        held_or_refused(gateway, held, hoarding)
    assert gateway.forwarder.budget.held > 0.4 * BUDGET
    client = gateway.client()
    for other in OTHERS:
        assert client.post(PREDICT, BODY, f"X-Forwarded-For: {other}").status == 200


def test_all_on_one_connection_of_grpc(start: Start, grpc_servers: Callable[..., GrpcServer]) -> None:
    gateway = start(grpc_servers(answering()))
    client = gateway.grpc_client()
    assert client.call(GRPC_PREDICT, predict()).code == Code.OK
    for size in shrinking(gateway, lambda held: BUDGET // 2 - held):
        client.data(client.open(GRPC_PREDICT, {"x-forwarded-for": HOARDER}), bytes(size))
        client.call(GRPC_PREDICT, predict(), {"x-forwarded-for": OTHERS[0]})  # by its answer all that is taken in
    assert gateway.forwarder.budget.held > 0.4 * BUDGET
    for other in OTHERS:
        assert client.call(GRPC_PREDICT, predict(), {"x-forwarded-for": other}).code == Code.OK
