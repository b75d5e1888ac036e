"""Attempts that come to nothing, and who answers instead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from gateway.contract.route_table import Endpoint
from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.stats import totals
from gateway.upstream import grpc_pool
from gateway.wire.http2 import frames
from gateway.wire.http2.connection import Limits
from gateway.wire.http2.frames import ErrorCode
from tests.fakes.gateway import Gateway, table
from tests.fakes.grpc_client import PREDICT, SELDON_FEEDBACK, SELDON_PREDICT, predict
from tests.fakes.grpc_servers import GrpcPeer, GrpcServer, Script, ServerCall, answering, dying, failing, silent
from tests.fakes.parent_process import eventually
from tests.fakes.rest_servers import unused_port

StartGateway = Callable[..., Gateway]
GrpcServers = Callable[..., GrpcServer]

TO_S = {"seldon": "s", "namespace": "default"}


def refusing(call: ServerCall) -> None:
    call.reset(ErrorCode.REFUSED_STREAM)


def leaving_out(call: ServerCall) -> None:
    call.peer.goaway(max(call.stream - 2, 0))
    call.peer.transport.close()


def in_turn(*scripts: Script) -> Script:
    """The first call gets the first script, and so on."""
    left = list(scripts)
    return lambda call: left.pop(0)(call)


@pytest.fixture
def nowhere() -> Endpoint:
    return Endpoint(host="127.0.0.1", rest=unused_port(), grpc=unused_port())


@pytest.mark.parametrize(
    ("fault", "cause"),
    [(refusing, "refused_stream"), (dying, "reset"), (leaving_out, "refused_stream")],
)
def test_predict_is_tried_again(
    start_gateway: StartGateway, grpc_servers: GrpcServers, fault: Script, cause: str
) -> None:
    server = grpc_servers(in_turn(fault, answering(b"second")))
    gateway = start_gateway(table(v1=[server]))
    assert gateway.grpc_client().call(SELDON_PREDICT, b"", TO_S).message == b"second"
    assert gateway.outcomes("v1", "s") == {"success": 1}
    assert gateway.retries("v1", "s") == {cause: 1}


@pytest.mark.parametrize(("fault", "again"), [(refusing, True), (leaving_out, True), (dying, False)])
@pytest.mark.parametrize("weight", [0, 100])
def test_feedback_is_sent_again_only_where_no_server_has_begun(
    start_gateway: StartGateway, grpc_servers: GrpcServers, fault: Script, again: bool, weight: int
) -> None:
    server = grpc_servers(in_turn(fault, answering(b"second")))
    other = grpc_servers(answering(b"other"))
    versions = [server], [other]
    stable, canary = versions if weight == 0 else versions[::-1]
    gateway = start_gateway(table(weight=weight, v1=stable, v2=canary))
    answer = gateway.grpc_client().call(SELDON_FEEDBACK, b"", TO_S)
    assert answer.code == (Code.OK if again else Code.UNAVAILABLE)
    assert len(server.calls) == (2 if again else 1)
    assert other.calls == []


@pytest.mark.parametrize(("fault", "attempts"), [(refusing, 3), (dying, 2)])
def test_three_attempts_at_most_and_two_that_may_have_killed(
    start_gateway: StartGateway, grpc_servers: GrpcServers, fault: Script, attempts: int
) -> None:
    server = grpc_servers(fault)
    gateway = start_gateway(table(v1=[server]))
    assert gateway.grpc_client().call(PREDICT, predict()).code == Code.UNAVAILABLE
    assert len(server.calls) == attempts
    assert gateway.outcomes("v1") == {"unavailable": 1}


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (ErrorCode.INTERNAL_ERROR, Code.INTERNAL),
        (ErrorCode.PROTOCOL_ERROR, Code.INTERNAL),
        (ErrorCode.CANCEL, Code.CANCELLED),
        (ErrorCode.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_a_stream_that_is_reset_is_an_answer_and_no_lost_connection(
    start_gateway: StartGateway, grpc_servers: GrpcServers, reset: ErrorCode, code: Code, begun: bool
) -> None:
    def resetting(call: ServerCall) -> None:
        if begun:
            call.head()
            call.data(frame(b"half"))
        call.reset(reset)

    server, other = grpc_servers(resetting), grpc_servers(answering(b"stable"))
    gateway = start_gateway(table(weight=100, v1=[other], v2=[server]))
    client = gateway.grpc_client()
    for _ in range(10):
        answer = client.call(PREDICT, predict())
        assert (answer.code, answer.version) == (code, "v2")
        assert "the stream was reset" in answer.error
    assert (len(server.calls), server.connections, other.calls) == (10, 1, [])
    assert set(gateway.endpoints(totals.ENDPOINT_UP).values()) == {1}


def test_another_endpoint_is_tried_first(
    start_gateway: StartGateway, grpc_servers: GrpcServers, nowhere: Endpoint
) -> None:
    gateway = start_gateway(table(v1=[nowhere, grpc_servers(answering(b"there"))]))
    client = gateway.grpc_client()
    assert {client.call(PREDICT, predict()).message for _ in range(50)} == {b"there"}
    assert gateway.outcomes("v1") == {"success": 50}
    up = gateway.endpoints(totals.ENDPOINT_UP)
    assert up[f"127.0.0.1:{nowhere.rest}"] == 0, "ejected, so that it is not tried each time"
    assert gateway.retries("v1")["connect"] < 5


@pytest.mark.parametrize("fault", [failing(Code.UNAVAILABLE), refusing, dying])
def test_unavailable_endpoint(start_gateway: StartGateway, grpc_servers: GrpcServers, fault: Script) -> None:
    bad, good = grpc_servers(fault), grpc_servers(answering(b"there"))
    gateway = start_gateway(table(v1=[bad, good]))
    client = gateway.grpc_client()
    assert {client.call(PREDICT, predict()).message for _ in range(40)} == {b"there"}
    assert gateway.outcomes("v1") == {"success": 40}
    assert len(bad.calls) <= 5, "after five failures it is left out"


def test_both_endpoints_unavailable(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    both = [grpc_servers(failing(Code.UNAVAILABLE)) for _ in range(2)]
    gateway = start_gateway(table(v1=both))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, answer.version) == (Code.UNAVAILABLE, "v1")
    assert [len(server.calls) for server in both] == [1, 1]
    assert gateway.outcomes("v1") == {"server_error": 1}


@pytest.mark.parametrize("fault", [failing(Code.UNAVAILABLE), refusing, dying])
def test_stable_answers_for_a_failing_canary(
    start_gateway: StartGateway, grpc_servers: GrpcServers, fault: Script
) -> None:
    stable = [grpc_servers(answering(b"stable")) for _ in range(2)]
    gateway = start_gateway(table(weight=100, v1=stable, v2=[grpc_servers(fault)]))
    client = gateway.grpc_client()
    answer = client.call(PREDICT, predict())
    assert (answer.message, answer.version) == (b"stable", "v1")
    assert gateway.outcomes("v2", assignment="split") == {"unavailable": 1}
    assert gateway.outcomes("v1", assignment="fallback") == {"success": 1}
    pinned = client.call(PREDICT, predict(label="canary"))
    assert (pinned.code, pinned.version) == (Code.UNAVAILABLE, "v2"), "who asks for a version gets no other"


@pytest.mark.parametrize("there", [True, False])
def test_stable_answers_for_a_dead_canary(
    start_gateway: StartGateway, grpc_servers: GrpcServers, nowhere: Endpoint, there: bool
) -> None:
    stable = grpc_servers(answering(b"stable"))
    gateway = start_gateway(table(weight=100, v1=[stable], v2=[nowhere] if there else []))
    answers = [gateway.grpc_client().call(PREDICT, predict()) for _ in range(5)]
    assert {(answer.message, answer.version) for answer in answers} == {(b"stable", "v1")}
    assert gateway.outcomes("v2") == {"unavailable": 5}
    assert gateway.outcomes("v1") == {"success": 5}


def test_connection_that_comes_in_the_moment_its_time_is_over(
    start_gateway: StartGateway, grpc_servers: GrpcServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(make: Callable[[], asyncio.Protocol], host: str, port: int, seconds: float) -> None:
        transport, _ = await asyncio.get_running_loop().create_connection(make, host, port)
        monkeypatch.undo()
        transport.close()  # as asyncio does where its caller is cancelled then
        raise TimeoutError

    monkeypatch.setattr(grpc_pool, "connect", late)
    gateway = start_gateway(table(v1=[grpc_servers(answering(b"second"))]))
    assert gateway.grpc_client().call(PREDICT, predict()).message == b"second"
    assert gateway.endpoints(totals.ENDPOINT_CONNECTIONS).popitem()[1] == 1


def test_endpoint_with_a_new_grpc_port_is_up(
    start_gateway: StartGateway, grpc_servers: GrpcServers, nowhere: Endpoint
) -> None:
    gateway = start_gateway(table(1, v1=[nowhere]))
    client = gateway.grpc_client()
    assert client.call(PREDICT, predict()).code == Code.UNAVAILABLE
    assert list(gateway.endpoints(totals.ENDPOINT_UP).values()) == [0]
    port = grpc_servers(answering(b"second")).endpoint.grpc
    gateway.swap(table(2, v1=[nowhere.model_copy(update={"grpc": port})]))
    assert client.call(PREDICT, predict()).message == b"second"
    assert list(gateway.endpoints(totals.ENDPOINT_UP).values()) == [1]


def test_host_that_is_no_name(start_gateway: StartGateway) -> None:
    gateway = start_gateway(table(v1=[Endpoint(host="a" * 64, rest=1, grpc=1)]))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, answer.error) == (Code.UNAVAILABLE, "default/m version v1: no connection could be made")


def test_canary_and_stable_dead(start_gateway: StartGateway, nowhere: Endpoint) -> None:
    gateway = start_gateway(table(weight=100, v1=[], v2=[nowhere]))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert (answer.code, answer.version) == (Code.UNAVAILABLE, "v1")
    assert answer.error == "default/m version v1: no server of it is ready"


def test_goaway_during_calls(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    """Those up to its last stream are answered there, those above it elsewhere: on the next connection."""
    server = grpc_servers(silent)
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    streams = [client.start(PREDICT, predict()) for _ in range(4)]
    calls = server.received(4)
    first = calls[0].peer
    server.script = answering(b"next connection")
    server.call(lambda: first.goaway(calls[1].stream))
    assert [client.answer(stream).message for stream in streams[2:]] == [b"next connection"] * 2
    assert client.call(PREDICT, predict()).message == b"next connection"
    for call in calls[:2]:
        server.call(partial(call.answer, b"first"))
    assert [client.answer(stream).message for stream in streams[:2]] == [b"first"] * 2
    assert server.connections == 2
    eventually(lambda: first in server.open, lambda is_open: not is_open)
    assert gateway.retries("v1") == {"refused_stream": 2}


def test_connection_closed_between_calls(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(answering(b"well"))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    for number in range(1, 4):
        assert client.call(PREDICT, predict()).message == b"well"
        assert server.connections == number
        server.call(server.hang_up)
        eventually(lambda: server.open, lambda left: not left)
    assert gateway.outcomes("v1") == {"success": 3}


@pytest.mark.parametrize("limit", [1, 2])
def test_concurrency_of_the_server(start_gateway: StartGateway, grpc_servers: GrpcServers, limit: int) -> None:
    """More calls than all connections may carry: some wait, none fails."""
    server = grpc_servers(answering(), limits=Limits(max_streams=limit))
    gateway = start_gateway(table(v1=[server]), max_endpoint_grpc_connections=3)
    client = gateway.grpc_client()
    assert client.call(PREDICT, predict()).code == Code.OK
    server.script = silent
    streams = [client.start(PREDICT, predict()) for _ in range(20)]
    server.received(1 + 3 * limit)
    assert server.connections == 3
    server.script = answering(b"later")
    for call in server.calls[1:]:
        server.call(partial(call.answer, b"at once"))
    messages = [client.answer(stream).message for stream in streams]
    assert messages == [b"at once"] * 3 * limit + [b"later"] * (20 - 3 * limit)
    assert server.most_at_once == limit
    assert gateway.retries("v1") == {}


def test_concurrency_learnt_from_the_first_answer(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    """A burst on a fresh connection, whose limit is not known yet."""
    server = grpc_servers(answering(), limits=Limits(max_streams=2))
    gateway = start_gateway(table(v1=[server]))
    client = gateway.grpc_client()
    streams = [client.start(PREDICT, predict()) for _ in range(90)]
    assert {client.answer(stream).code for stream in streams} == {Code.OK}
    assert gateway.outcomes("v1") == {"success": 90}
    assert gateway.endpoints(totals.ENDPOINT_UP) == {f"127.0.0.1:{server.port}": 1}


def test_deadline_of_a_call_that_waits(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(silent, limits=Limits(max_streams=1))
    gateway = start_gateway(table(v1=[server]), max_endpoint_grpc_connections=1)
    client = gateway.grpc_client()
    client.start(PREDICT, predict())
    (call,) = server.received()
    assert client.call(PREDICT, predict(), {"grpc-timeout": "50m"}).code == Code.DEADLINE_EXCEEDED
    server.call(call.answer)
    server.script = answering()
    assert client.call(PREDICT, predict()).code == Code.OK
    assert len(server.calls) == 2, "what waited in vain is never sent"


def test_limit_that_falls_to_nothing(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(answering())
    gateway = start_gateway(table(v1=[server]), max_endpoint_grpc_connections=1)
    client = gateway.grpc_client()
    client.call(PREDICT, predict())

    def limit(peer: GrpcPeer, streams: int) -> None:
        peer.transport.write(frames.settings((frames.MAX_CONCURRENT_STREAMS, streams)))

    (peer,) = server.open
    server.call(lambda: limit(peer, 0))
    eventually(lambda: client.call(PREDICT, predict(), {"grpc-timeout": "20m"}).code, Code.DEADLINE_EXCEEDED.__eq__)
    stream = client.start(PREDICT, predict())
    server.call(lambda: limit(peer, 1))
    assert client.answer(stream).code == Code.OK


def test_calls_that_wait_for_a_stream_are_bounded(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    server = grpc_servers(silent, limits=Limits(max_streams=1))
    gateway = start_gateway(table(v1=[server]), max_endpoint_grpc_connections=1, max_endpoint_waiting=2)
    client = gateway.grpc_client()
    streams = [client.start(PREDICT, predict())]
    server.received()
    streams += [client.start(PREDICT, predict()) for _ in range(2)]
    answer = client.call(PREDICT, predict())
    assert answer.code == Code.UNAVAILABLE
    assert answer.error.endswith("it has as many requests as one gateway may have there")
    client.reset(streams[1])
    eventually(lambda: gateway.held()["attempts"] == 2)
    assert list(gateway.endpoints(totals.ENDPOINT_UP).values()) == [1], "which is our limit, not its fault"
    for stream in (streams[0], streams[2]):
        client.reset(stream)
