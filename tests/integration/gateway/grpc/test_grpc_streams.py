"""Streams of messages, each of which goes on as it comes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

import pytest

from gateway.contract.route_table import RouteTable
from gateway.downstream.grpc_call import STREAM_BYTES
from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.gateway import Gateway, deployment
from tests.fakes.grpc_client import PREDICT, GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, answering, silent
from tests.fakes.parent_process import eventually
from tests.fakes.streams import STREAM, begun, has, infer, routes

StartGateway = Callable[..., Gateway]
GrpcServers = Callable[..., GrpcServer]


@pytest.fixture
def server(grpc_servers: GrpcServers) -> GrpcServer:
    return grpc_servers(silent)


@pytest.fixture
def gateway(start_gateway: StartGateway, server: GrpcServer) -> Gateway:
    return start_gateway(routes(v1=[server]))


@pytest.fixture
def client(gateway: Gateway) -> GrpcClient:
    return gateway.grpc_client()


def test_each_message_goes_on_as_it_comes(server: GrpcServer, gateway: Gateway, client: GrpcClient) -> None:
    stream = client.open(STREAM)
    client.data(stream, infer())
    call = begun(server)
    has(call, len(infer()))
    server.call(call.head)
    server.call(lambda: call.data(frame(b"one")))
    client.until(lambda: client.answers[stream].data == frame(b"one"))
    client.data(stream, infer(size=100))
    has(call, len(infer() + infer(size=100)))
    server.call(lambda: call.data(frame(b"two")))
    client.until(lambda: client.answers[stream].data == frame(b"one") + frame(b"two"))
    assert not call.ended
    client.data(stream, b"", end=True)
    eventually(lambda: call.ended)
    server.call(lambda: call.trailers(Code.OK))
    answer = client.answer(stream)
    assert (answer.code, answer.version) == (Code.OK, "v1")
    assert gateway.outcomes("v1", "t") == {"success": 1}


def test_a_stream_that_came_whole(server: GrpcServer, client: GrpcClient) -> None:
    server.script = answering(b"all")
    stream = client.open(STREAM)
    client.data(stream, infer() * 3, end=True)
    assert client.answer(stream).message == b"all"
    assert server.calls[0].body == infer() * 3


def test_the_first_message_in_pieces(server: GrpcServer, client: GrpcClient) -> None:
    stream = client.open(STREAM)
    whole = infer(size=50)
    for byte in whole[:-1]:
        client.data(stream, bytes([byte]))
    assert not server.begun
    client.data(stream, whole[-1:])
    call = begun(server)
    has(call, len(whole))
    server.call(lambda: call.answer(b"yes"))  # before the request ends
    assert client.answer(stream).message == b"yes"


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (infer(""), "names no model"),
        (frame(b"\x0a\x01a\x0a\x01b"), "name appears twice"),
        (frame(b"\xff"), "no protobuf message"),
        (b"\7" + infer()[1:], "first byte is 7"),
    ],
)
def test_a_first_message_that_names_no_model(client: GrpcClient, server: GrpcServer, first: bytes, error: str) -> None:
    stream = client.open(STREAM)
    client.data(stream, first)
    answer = client.answer(stream)
    assert answer.code is Code.INVALID_ARGUMENT
    assert error in answer.error
    assert not server.begun


def test_a_first_message_for_a_model_that_is_not_there(client: GrpcClient) -> None:
    stream = client.open(STREAM)
    client.data(stream, infer("nobody"))
    assert client.answer(stream).code is Code.NOT_FOUND


def test_what_names_another_model_later_is_the_servers_to_judge(server: GrpcServer, client: GrpcClient) -> None:
    stream = client.open(STREAM)
    client.data(stream, infer() + infer("other"), end=True)
    assert server.received()[0].body == infer() + infer("other")
    client.reset(stream)


def test_a_stream_that_ends_before_its_first_message(client: GrpcClient) -> None:
    stream = client.open(STREAM)
    client.data(stream, b"", end=True)
    assert client.answer(stream).code is Code.INVALID_ARGUMENT
    stream = client.open(STREAM, end=True)
    assert client.answer(stream).code is Code.INVALID_ARGUMENT


def test_a_stream_stays_with_its_version(
    start_gateway: StartGateway, grpc_servers: GrpcServers, server: GrpcServer
) -> None:
    canary = grpc_servers(silent)
    gateway = start_gateway(routes(v1=[server], v2=[canary]))
    client = gateway.grpc_client()
    stream = client.open(STREAM)
    client.data(stream, infer())
    call = begun(server)
    gateway.swap(routes(weight=100, v1=[server], v2=[canary]))
    client.data(stream, infer())
    has(call, 2 * len(infer()))
    second = client.open(STREAM)
    client.data(second, infer())
    begun(canary)
    client.reset(stream)
    client.reset(second)


def test_a_stream_of_a_version_that_is_served_no_more_ends_after_the_drain(
    start_gateway: StartGateway, grpc_servers: GrpcServers, server: GrpcServer
) -> None:
    canary = grpc_servers(silent)
    gateway = start_gateway(routes(weight=100, v1=[server], v2=[canary]), drain_seconds=25.0)
    client = gateway.grpc_client()
    open_ = client.open(STREAM)
    client.data(open_, infer())
    call = begun(canary)
    silent_ = client.open(STREAM)
    client.data(silent_, infer())
    begun(canary, 2)
    server.call(call.head)
    client.until(lambda: client.answers[open_].head is not None)
    gateway.swap(routes(weight=0, v1=[server], v2=[canary]))
    now = monotonic()
    gateway.sweep(now)
    gateway.sweep(now + 20)
    client.data(open_, infer())
    has(call, 2 * len(infer()))
    gateway.sweep(now + 26)
    for stream in (open_, silent_):
        answer = client.answer(stream)
        assert answer.code is Code.UNAVAILABLE
        assert answer.error == "default/t version v2 is served no longer; try again"
    eventually(lambda: call.reset_with, lambda code: code == ErrorCode.CANCEL)
    assert gateway.outcomes("v2", "t") == {"unavailable": 2}


def test_weight_that_comes_back_in_time_keeps_a_stream(
    start_gateway: StartGateway, grpc_servers: GrpcServers, server: GrpcServer
) -> None:
    canary = grpc_servers(silent)
    both = {"v1": [server], "v2": [canary]}
    gateway = start_gateway(routes(weight=100, **both))
    client = gateway.grpc_client()
    stream = client.open(STREAM)
    client.data(stream, infer())
    call = begun(canary)
    now = monotonic()
    gateway.swap(routes(weight=0, **both))
    gateway.sweep(now)
    gateway.swap(routes(weight=5, **both))
    gateway.sweep(now + 20)
    gateway.swap(routes(weight=0, **both))
    gateway.sweep(now + 30)
    gateway.sweep(now + 40)
    canary.call(lambda: call.answer(b"still here"))
    assert client.answer(stream).message == b"still here"


def test_what_a_drain_does_not_wait_for_is_told_so(gateway: Gateway, client: GrpcClient, server: GrpcServer) -> None:
    stream = client.open(STREAM)
    client.data(stream, infer())
    begun(server)
    gateway.expel()
    answer = client.answer(stream)
    assert (answer.code, answer.error) == (Code.UNAVAILABLE, "this gateway ends; try again")


def test_a_reset_in_each_state(client: GrpcClient, gateway: Gateway, server: GrpcServer) -> None:
    before = client.open(STREAM)
    client.reset(before)
    within = client.open(STREAM)
    client.data(within, infer()[:3])
    client.reset(within)
    sent = client.open(STREAM)
    client.data(sent, infer())
    call = begun(server)
    client.reset(sent)
    eventually(lambda: call.reset_with, lambda code: code == ErrorCode.CANCEL)
    answering_ = client.open(STREAM)
    client.data(answering_, infer())
    call = begun(server, 2)
    server.call(call.head)
    client.until(lambda: client.answers[answering_].head is not None)
    client.reset(answering_)
    eventually(lambda: call.reset_with, lambda code: code == ErrorCode.CANCEL)
    eventually(lambda: gateway.outcomes("v1", "t"), lambda ended: ended == {"cancelled": 2})


def test_a_server_that_resets_a_stream(client: GrpcClient, server: GrpcServer) -> None:
    for open_ in (False, True):
        stream = client.open(STREAM)
        client.data(stream, infer())
        call = begun(server, 1 + open_)
        if open_:
            server.call(call.head)
        server.call(partial(call.reset, ErrorCode.INTERNAL_ERROR))
        assert client.answer(stream).code is Code.INTERNAL


def test_a_server_that_refuses_what_has_gone_on_gets_it_no_second_time(
    client: GrpcClient, server: GrpcServer, gateway: Gateway
) -> None:
    stream = client.open(STREAM)
    client.data(stream, infer())
    call = begun(server)
    server.call(lambda: call.reset(ErrorCode.REFUSED_STREAM))
    assert client.answer(stream).code is Code.UNAVAILABLE
    assert len(server.begun) == 1
    assert gateway.outcomes("v1", "t") == {"unavailable": 1}


def test_a_server_that_dies_under_a_stream(client: GrpcClient, server: GrpcServer) -> None:
    stream = client.open(STREAM)
    client.data(stream, infer())
    call = begun(server)
    server.call(call.head)
    client.until(lambda: client.answers[stream].head is not None)
    server.call(call.peer.die)
    assert client.answer(stream).code is Code.UNAVAILABLE


def test_a_server_that_could_not_be_reached_costs_a_stream_nothing(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    dead, alive = grpc_servers(silent), grpc_servers(silent)
    dead.close()
    gateway = start_gateway(routes(v1=[dead, alive]))
    client = gateway.grpc_client()
    for number in range(1, 9):
        stream = client.open(STREAM)
        client.data(stream, infer())
        call = begun(alive, number)
        alive.call(partial(call.answer, b"yes"))
        assert client.answer(stream).message == b"yes"


def test_a_stream_of_which_nothing_is_heard_ends(start_gateway: StartGateway, server: GrpcServer) -> None:
    gateway = start_gateway(routes(v1=[server]), timeout=0.5)
    client = gateway.grpc_client()
    stream = client.open(STREAM)
    client.data(stream, infer())
    assert client.answer(stream).code is Code.DEADLINE_EXCEEDED
    assert gateway.outcomes("v1", "t") == {"deadline": 1}


def test_the_callers_deadline_holds_for_all_of_a_stream(gateway: Gateway, server: GrpcServer) -> None:
    client = gateway.grpc_client()
    stream = client.open(STREAM, {"grpc-timeout": "500m"})
    client.data(stream, infer())
    call = begun(server)
    server.call(call.head)
    assert client.answer(stream).code is Code.DEADLINE_EXCEEDED


@pytest.mark.parametrize("code", [Code.OK, Code.INTERNAL, None])
@pytest.mark.parametrize("before", [b"", frame(b"some")])
def test_a_server_that_ends_early(client: GrpcClient, server: GrpcServer, code: Code | None, before: bytes) -> None:
    """Without a status it is UNKNOWN, as the specification has it."""
    stream = client.open(STREAM)
    client.data(stream, infer())
    call = begun(server)
    if before:
        server.call(call.head)
        server.call(partial(call.data, before))
        server.call(partial(call.trailers, code))
    else:
        server.call(partial(call.trailers_only, code))
    answer = client.answer(stream)
    assert (answer.code, bytes(answer.data)) == (Code.UNKNOWN if code is None else code, before)
    assert answer.version == "v1"
    client.data(stream, infer())  # nobody hears it
    assert client.call(PREDICT, predict("nobody")).code is Code.NOT_FOUND


def test_ten_thousand_streams_that_say_nothing_keep_nobody_waiting(
    start_gateway: StartGateway, grpc_servers: GrpcServers
) -> None:
    quiet, busy = grpc_servers(silent, limits=Limits(max_streams=2_000)), grpc_servers(answering(b"yes"))
    tables = (deployment("t", {"v1": [quiet]}, runtime="oip"), deployment("m", {"v1": [busy]}))
    gateway = start_gateway(RouteTable(revision=1, deployments=tables))
    clients = [gateway.grpc_client() for _ in range(10)]
    for number, client in enumerate(clients, 1):
        client.corked = True
        for _ in range(1_000):
            client.data(client.open(STREAM), infer())
        client.corked = False
        client.flush()
        begun(quiet, 1_000 * number)
    assert gateway.grpc_client().call(PREDICT, predict()).message == b"yes"
    assert gateway.forwarder.budget.held == 10_000 * STREAM_BYTES
    for client in clients:
        client.close()
    eventually(lambda: gateway.outcomes("v1", "t"), lambda ended: ended == {"cancelled": 10_000})
