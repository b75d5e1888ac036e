"""Who calls, where a proxy stands in front."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import closing
from ipaddress import ip_address, ip_network
from pathlib import Path
from time import monotonic

import pytest

from gateway.refusal import Code
from gateway.wire.proxy_header import SIGNATURE
from tests.fakes.gateway import PREDICT, Gateway, GatewayProcess, table
from tests.fakes.grpc_client import PREDICT as GRPC_PREDICT
from tests.fakes.grpc_client import predict
from tests.fakes.grpc_servers import GrpcServer, answering
from tests.fakes.needs import lacking
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import Client, ConnectionEnded, request
from tests.fakes.rest_servers import Server, echo

Servers = Callable[..., Server]
GrpcServers = Callable[..., GrpcServer]
Start = Callable[..., Gateway]
Fields = dict[str, str]

NAMED = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))
NOBODY = "/v1/models/nobody:predict"
LOCAL = SIGNATURE + b"\x20\0\0\0"
FORWARDED = {"forwarded": 'for="[2001:db8::9]:4711", for=10.0.0.9'}
X_FORWARDED_FOR = {"x-forwarded-for": "192.0.2.66, 192.0.2.9, 10.0.0.9"}


def of(source: str) -> bytes:
    """PROXY protocol's header for a connection from there."""
    address = ip_address(source).packed
    size = 2 * len(address) + 4
    return SIGNATURE + bytes((0x21, 0x11 if len(address) == 4 else 0x21, 0, size)) + address * 2 + bytes(4)


def lines(fields: Fields) -> list[str]:
    return [f"{name.title()}: {value}" for name, value in fields.items()]


def callers(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.caller for record in caplog.records if hasattr(record, "caller")]


@pytest.mark.parametrize(
    ("header", "fields", "caller"),
    [
        (b"", {}, "127.0.0.1"),
        (LOCAL, {}, "127.0.0.1"),
        (of("192.0.2.1"), {}, "192.0.2.1"),
        (of("2001:db8::1"), {}, "2001:db8::/64"),
        (b"", X_FORWARDED_FOR, "192.0.2.9"),
        (b"", FORWARDED, "2001:db8::/64"),
        (b"", FORWARDED | X_FORWARDED_FOR, "127.0.0.1"),
        (b"", {"forwarded": "for=unknown"}, "127.0.0.1"),
        (LOCAL, X_FORWARDED_FOR, "192.0.2.9"),
        (of("10.0.0.9"), X_FORWARDED_FOR, "192.0.2.9"),
        (of("10.0.0.9"), {}, "10.0.0.9"),
        (of("192.0.2.1"), X_FORWARDED_FOR, "192.0.2.1"),
    ],
)
def test_a_proxy_says_who_calls(
    start_gateway: Start, caplog: pytest.LogCaptureFixture, header: bytes, fields: Fields, caller: str
) -> None:
    gateway = start_gateway(table(v1=[]), proxies=NAMED, log_failures_per_second=1e6)
    client = gateway.client().send(header)
    for target, status in ((NOBODY, 404), (PREDICT, 503), ("/nowhere", 404), (PREDICT, 503)):
        assert client.post(target, b"{}", *lines(fields)).status == status
    assert client.send(request("GET", "/", None, *lines(fields), "Transfer-Encoding: gzip")).answer().status == 501
    assert callers(caplog) == [caller] * 5
    caplog.clear()
    grpc = gateway.grpc_client(first=header)
    assert grpc.call(GRPC_PREDICT, predict("nobody"), fields).code == Code.NOT_FOUND
    assert grpc.call(GRPC_PREDICT, predict(), fields).code == Code.UNAVAILABLE
    assert grpc.call("/a.B/C", b"", fields).code == Code.UNIMPLEMENTED
    assert callers(caplog) == [caller] * 3


def test_on_one_connection_each_request_has_its_caller(start_gateway: Start, caplog: pytest.LogCaptureFixture) -> None:
    gateway = start_gateway(table(v1=[]), proxies=NAMED, log_failures_per_second=1e6)
    client, grpc = gateway.client(), gateway.grpc_client()
    sent: list[Fields] = [{}, X_FORWARDED_FOR, FORWARDED, {}]
    for fields in sent:
        client.post(NOBODY, b"{}", *lines(fields))
    for fields in sent:
        grpc.call(GRPC_PREDICT, predict("nobody"), fields)
    assert callers(caplog) == ["127.0.0.1", "192.0.2.9", "2001:db8::/64", "127.0.0.1"] * 2


def test_a_header_may_come_in_pieces(start_gateway: Start, caplog: pytest.LogCaptureFixture) -> None:
    gateway = start_gateway(table(v1=[]), proxies=NAMED, log_failures_per_second=1e6)
    client = gateway.client()
    for byte in of("192.0.2.1") + request("POST", NOBODY, b"{}"):
        client.send(bytes((byte,)))
        gateway.call(lambda: None)
    assert client.answer().status == 404
    assert callers(caplog) == ["192.0.2.1"]


@pytest.mark.parametrize("named", [False, True])
def test_the_fields_go_on_as_they_came(
    servers: Servers, grpc_servers: GrpcServers, start_gateway: Start, named: bool
) -> None:
    rest, grpc = servers(echo), grpc_servers(answering())
    proxies = NAMED if named else ()
    assert (
        start_gateway(table(v1=[rest]), proxies=proxies).client().post(PREDICT, b"{}", *lines(FORWARDED)).status == 200
    )
    client = start_gateway(table(v1=[grpc]), proxies=proxies).grpc_client()
    assert client.call(GRPC_PREDICT, predict(), X_FORWARDED_FOR).code == Code.OK
    assert rest.requests[0].fields[b"forwarded"].decode() == FORWARDED["forwarded"]
    assert grpc.calls[0].metadata["x-forwarded-for"] == X_FORWARDED_FOR["x-forwarded-for"]
    assert not rest.requests[0].fields.keys() & {b"x-forwarded-for", b"via", b"x-real-ip"}


@pytest.mark.parametrize("proxies", [(), (ip_network("10.0.0.0/8"),)])
def test_nobody_else_says_who_calls(
    start_gateway: Start, caplog: pytest.LogCaptureFixture, proxies: tuple[object, ...]
) -> None:
    gateway = start_gateway(table(v1=[]), proxies=proxies, log_failures_per_second=1e6)
    for fields in (FORWARDED, X_FORWARDED_FOR):
        gateway.client().post(NOBODY, b"{}", *lines(fields))
        gateway.grpc_client().call(GRPC_PREDICT, predict("nobody"), fields)
    client = gateway.client().send(of("192.0.2.1") + request("POST", NOBODY, b"{}"))
    assert client.answer().status == 400
    grpc = gateway.client().send(of("192.0.2.1") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert grpc.answer().status == 400
    assert callers(caplog) == ["127.0.0.1"] * 6


@pytest.mark.parametrize("broken", [SIGNATURE + b"\x22\x11\0\x0c", of("192.0.2.1")[:15] + b"\x0b", LOCAL + LOCAL])
def test_a_broken_header_ends_the_connection(start_gateway: Start, broken: bytes) -> None:
    gateway = start_gateway(table(v1=[]), proxies=NAMED, log_failures_per_second=1e6)
    client = gateway.client().send(broken + bytes(50))
    if broken == LOCAL + LOCAL:  # there is one at most
        assert client.answer().status == 400
    else:
        with pytest.raises(ConnectionEnded):
            client.answer()
        assert gateway.refusals() == {("unknown", "proxy_header"): 1}


def test_half_a_header_has_as_long_as_a_request_s(start_gateway: Start) -> None:
    gateway = start_gateway(table(v1=[]), proxies=NAMED, read_timeout=10.0)
    client = gateway.client().send(of("192.0.2.1")[:-1])
    eventually(lambda: gateway.call(lambda: len(list(gateway.fronts))), lambda found: found == 1)
    gateway.take_in()
    gateway.sweep(monotonic() + 11)
    assert client.rest() == b""


def test_ipv4_is_known_where_a_gateway_listens_everywhere(tmp_path: Path) -> None:
    if not socket.has_dualstack_ipv6():
        lacking("this machine has no IPv6")
    with closing(GatewayProcess(tmp_path, table(v1=[]), workers=1, host="::", proxies=["127.0.0.0/8"])) as gateway:
        for host in ("127.0.0.1", "::1"):
            with Client((host, gateway.address[1])) as client:
                assert client.post(NOBODY, b"{}", *lines(X_FORWARDED_FOR)).status == 404
        log = eventually(gateway.log.read_text, lambda text: text.count("unknown_deployment") == 2)
        assert re.findall(r"caller=(\S+)", log) == ["10.0.0.9", "::/64"]


def test_workers_know_the_proxies(tmp_path: Path) -> None:
    with closing(GatewayProcess(tmp_path, table(v1=[]), workers=1, proxies=[str(one) for one in NAMED])) as gateway:
        with Client(gateway.address) as client:
            assert client.send(of("192.0.2.1")).post(NOBODY).status == 404
        with Client(gateway.address) as client:
            assert client.post(NOBODY, b"{}", *lines(FORWARDED)).status == 404
        log = eventually(gateway.log.read_text, lambda text: text.count("unknown_deployment") == 2)
        assert "caller=192.0.2.1" in log
        assert "caller=2001:db8::/64" in log
