"""What becomes of requests whose time is over, and of those that wait for a connection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes.gateway import PREDICT, SELDON, Gateway, table
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import ConnectionEnded, request
from tests.fakes.rest_servers import Server, Unaccepting, always, answer, dead, silent

Servers = Callable[..., Server]
Start = Callable[..., Gateway]

OK = always(answer(b"{}"))


@pytest.mark.parametrize("target", [PREDICT, SELDON])
def test_a_late_answer_is_an_error_in_the_callers_protocol(servers: Servers, start_gateway: Start, target: str) -> None:
    server = servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.client()
    got = client.post(target, b"{}", "x-turnout-timeout-ms: 50")
    assert (got.status, got.version) == (504, "v1")
    assert got.error.endswith("version v1: no whole answer within the deadline")
    assert gateway.outcomes("v1") | gateway.outcomes("v1", "s") == {"deadline": 1}
    eventually(lambda: server.open, lambda open: not open)  # the server is told, by the end of the connection
    assert client.get("/v1/models/nobody").status == 404


def test_the_default_deadline_and_no_longer_one(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(silent)]), timeout=0.1)
    assert gateway.client().post(PREDICT).status == 504
    assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 99999999").status == 504


def test_deadlines_eject_a_server_that_had_time_and_no_other(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(silent)]))
    for _ in range(6):
        assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 20").status == 504
    assert not gateway.ejected()
    patient = [gateway.client().send(request("POST", PREDICT, b"{}", "x-turnout-timeout-ms: 1100")) for _ in range(5)]
    assert [client.answer().status for client in patient] == [504] * 5
    assert gateway.ejected()


def test_no_time_at_all(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(OK)]))
    assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 0").status == 504


def test_a_late_rest_of_an_answer_ends_the_connection(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[servers(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))]))
    with pytest.raises(ConnectionEnded):
        gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 2000")
    assert gateway.outcomes("v1") == {"deadline": 1}


def test_the_deadline_comes_while_a_retry_waits(start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[dead()]), random=lambda: 0.999999)
    for _ in range(5):
        got = gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 20")
        assert got.status == 504
    assert gateway.outcomes("v1") == {"deadline": 5}


def test_the_deadline_comes_while_a_connection_is_awaited(start_gateway: Start) -> None:
    with Unaccepting() as server:
        gateway = start_gateway(table(v1=[server.endpoint]), connect_timeout=0.2)
        client = gateway.client()
        assert client.post(PREDICT, b"{}", "x-turnout-timeout-ms: 30").status == 504
        vanishing = gateway.client().send(request("POST", PREDICT, b"{}"))
        eventually(lambda: gateway.held()["attempts"] == 1)
        vanishing.close()
        gateway.rests()
        assert client.post(PREDICT).status == 503
    assert gateway.outcomes("v1") == {"deadline": 1, "cancelled": 1, "unavailable": 1}


def test_a_connection_made_for_a_caller_who_has_gone_is_closed(start_gateway: Start) -> None:
    with Unaccepting() as server:
        gateway = start_gateway(table(v1=[server.endpoint]), connect_timeout=20)
        assert gateway.client().post(PREDICT, b"{}", "x-turnout-timeout-ms: 30").status == 504
        with server.accept() as connection:
            assert connection.recv(1) == b""
