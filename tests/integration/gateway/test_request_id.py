"""What a call is found again by, in the caller's log, the gateway's and the model server's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.refusal import Code
from tests.fakes.gateway import PREDICT, Gateway, table
from tests.fakes.grpc_client import PREDICT as GRPC_PREDICT
from tests.fakes.grpc_client import Answer, predict
from tests.fakes.grpc_servers import GrpcServer, answering, failing
from tests.fakes.rest_client import request
from tests.fakes.rest_servers import Server, always, answer, dead

Servers = Callable[..., Server]
GrpcServers = Callable[..., GrpcServer]
Start = Callable[..., Gateway]

SANE = ("7", "0190f2b4-2f5e-7d1c-9c8e-2f1f6f1d0a11", "Root=1-67891233-abcdef012345678912345678", "a" * 120)
OTHERS = ("", "a" * 121, "two words", 'quo"te', "line\\nbreak", "gr\u00fcn")
OWN_OF_SERVER = "X-Request-Id: of-the-server"


def callers(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {record.caller for record in caplog.records if hasattr(record, "caller")}


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.request_id for record in caplog.records if hasattr(record, "request_id")]


@pytest.mark.parametrize("sent", SANE)
def test_the_callers_own_goes_on_and_comes_back(servers: Servers, start_gateway: Start, sent: str) -> None:
    server = servers(always(answer(b"{}", "200 OK", OWN_OF_SERVER)))
    client = start_gateway(table(v1=[server])).client()
    for _ in range(2):  # the second time its head is known
        got = client.post(PREDICT, b"{}", f"X-Request-ID: {sent}")
        assert got.fields["x-request-id"] == sent
    assert [came.fields[b"x-request-id"] for came in server.requests] == [sent.encode()] * 2


@pytest.mark.parametrize("sent", OTHERS)
def test_one_that_is_fit_for_no_log_is_replaced(servers: Servers, start_gateway: Start, sent: str) -> None:
    server = servers(always(answer(b"{}")))
    client = start_gateway(table(v1=[server])).client()
    got = client.post(PREDICT, b"{}", f"X-Request-ID: {sent}")
    assert got.fields["x-request-id"] not in ("", sent)
    assert server.requests[0].fields[b"x-request-id"].decode() == got.fields["x-request-id"]


def test_without_one_each_request_gets_its_own(servers: Servers, start_gateway: Start) -> None:
    server = servers(always(answer(b"{}", "200 OK", OWN_OF_SERVER)))
    routes = table(v1=[server])
    clients = [start_gateway(routes).client() for _ in range(2)]
    got = [client.post(PREDICT).fields["x-request-id"] for client in clients * 3]
    assert len(set(got)) == 6
    assert [came.fields[b"x-request-id"].decode() for came in server.requests] == got


def test_a_call_that_failed_is_found_in_the_log(start_gateway: Start, caplog: pytest.LogCaptureFixture) -> None:
    client = start_gateway(table(v1=[dead()])).client()
    assert client.post(PREDICT, b"{}", "x-request-id: mine").fields["x-request-id"] == "mine"
    made = client.post(PREDICT).fields["x-request-id"]
    unknown = client.post("/v1/models/nobody:predict").fields["x-request-id"]
    malformed = client.post("/nowhere", b"{}", "x-request-id: lost").fields["x-request-id"]
    garbage = client.send(request("GET", "/", None, "x-request-id: half", "Transfer-Encoding: gzip")).answer()
    assert logged(caplog) == ["mine", made, unknown, malformed, garbage.fields["x-request-id"]]
    assert (malformed, garbage.fields["x-request-id"]) == ("lost", "half")
    assert callers(caplog) == {"127.0.0.1"}


def test_over_grpc_too(grpc_servers: GrpcServers, start_gateway: Start, caplog: pytest.LogCaptureFixture) -> None:
    server = grpc_servers(answering(b"well", {"x-request-id": "of-the-server"}))
    client = start_gateway(table(v1=[server])).grpc_client()

    def request_id(answer: Answer) -> str:
        assert answer.head is not None
        return answer.head["x-request-id"]

    got = [request_id(client.call(GRPC_PREDICT, predict(), {"x-request-id": sent})) for sent in SANE]
    assert got == list(SANE)
    got += [
        request_id(client.call(GRPC_PREDICT, predict(), {"x-request-id": "two words"} if odd else {})) for odd in (0, 1)
    ]
    assert len(set(got)) == len(got)
    assert [call.metadata["x-request-id"] for call in server.calls] == got
    server.script = failing(Code.INTERNAL)
    failed = request_id(client.call(GRPC_PREDICT, predict(), {"x-request-id": "mine"}))
    refused = request_id(client.call(GRPC_PREDICT, predict("nobody")))
    unserved = request_id(client.call("/a.B/C", b"", {"x-request-id": "lost"}))
    assert (failed, unserved) == ("mine", "lost")
    assert logged(caplog) == [failed, refused, unserved]
    assert callers(caplog) == {"127.0.0.1"}
