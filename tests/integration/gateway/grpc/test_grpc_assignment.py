"""By what of a gRPC call its version is chosen, however its fields are spelled and whatever came before; and what
travels on of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from hpack import Encoder

from gateway.contract.route_table import Match, RouteTable, Sticky
from gateway.protocols.grpc_message import frame
from gateway.refusal import Code
from gateway.routing.sticky import position
from gateway.wire.http2 import header_blocks
from gateway.wire.http2.fields import encode
from tests.fakes.gateway import Gateway, deployment
from tests.fakes.grpc_client import PREDICT, Answer, GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, answering, failing

StartGateway = Callable[..., Gateway]
GrpcServers = Callable[..., GrpcServer]
Field = tuple[bytes, bytes]

SALT = "default/m v1 v2 1"
USERS = [f"user-{number}" for number in range(40)]
VERSIONS = {user: "v2" if position(SALT, user.encode()).share < 0.5 else "v1" for user in USERS}
ASSIGNMENT = "x-turnout-assignment"
HEAD = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", PREDICT.encode()),
    (b":authority", b"test"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]


@pytest.fixture
def v1(grpc_servers: GrpcServers) -> GrpcServer:
    return grpc_servers(answering(b"one", {ASSIGNMENT: "forged/by=server"}))


@pytest.fixture
def v2(grpc_servers: GrpcServers) -> GrpcServer:
    return grpc_servers(answering(b"two"))


@pytest.fixture
def start(start_gateway: StartGateway, v1: GrpcServer, v2: GrpcServer) -> Callable[..., GrpcClient]:
    """A client of a gateway whose deployment `m` is as told, its canary at weight 50."""

    def made(**values: Any) -> GrpcClient:
        routed = deployment("m", {"v1": [v1], "v2": [v2]}, **{"weight": 50, "salt": SALT} | values)
        return start_gateway(RouteTable(revision=1, deployments=(routed,)), random=lambda: 0.75).grpc_client()

    return made


class Spelling:
    """How a client writes its header blocks."""

    def __init__(self) -> None:
        self.encoder = Encoder()

    def plain(self, fields: list[Field]) -> bytes:
        return b"".join(encode(name, value) for name, value in fields)

    def secret(self, fields: list[Field]) -> bytes:
        pseudo = [field for field in fields if field[0] in dict(HEAD)]
        rest = [encode(name, value, never_index=True) for name, value in fields if name not in dict(HEAD)]
        return self.plain(pseudo) + b"".join(rest)

    def huffman(self, fields: list[Field]) -> bytes:
        self.encoder.header_table_size = 0
        return self.encoder.encode(fields, huffman=True)

    def table(self, fields: list[Field]) -> bytes:
        """From the second time on, by an index of one byte."""
        return self.encoder.encode(fields, huffman=False)


def ask(client: GrpcClient, block: bytes) -> Answer:
    stream = client.wire.open(block, False)
    client.answers[stream] = Answer()
    client.data(stream, frame(predict()), end=True)
    return client.answer(stream)


TIMEOUT = (b"grpc-timeout", b"20S")


@pytest.mark.parametrize("spelling", ["plain", "secret", "huffman", "table"])
@pytest.mark.parametrize(
    ("sticky", "fields"),
    [
        (Sticky(header="x-user"), [(b"x-user", b"{}")]),
        (Sticky(header="x-user"), [(b"x-user", b"{}"), (b"x-user", b"user-0"), (b"x-last", b"1")]),
        (Sticky(header="authorization"), [(b"authorization", b"{}")]),
        (Sticky(cookie="user"), [(b"cookie", b"a=b; user={}")]),
        (
            Sticky(cookie="user"),
            [(b"cookie", b"a=b"), (b"x-between", b"1"), (b"cookie", b'user="{}"'), (b"cookie", b"c=d")],
        ),
    ],
)
def test_a_header_or_a_cookie_is_the_key(
    start: Callable[..., GrpcClient], spelling: str, sticky: Sticky, fields: list[Field]
) -> None:
    client = start(sticky=sticky)
    client.wire._table_off_said = spelling == "table"  # as of a peer that keeps its table
    spell = getattr(Spelling(), spelling)
    for layout in ([TIMEOUT, *fields], [*fields, TIMEOUT], fields):
        for _ in range(2):
            for user, version in VERSIONS.items():
                written = [(name, value.replace(b"{}", user.encode())) for name, value in layout]
                answer = ask(client, spell([*HEAD, *written]))
                assert (answer.code, answer.version) == (Code.OK, version)


@pytest.mark.parametrize(
    ("sticky", "name", "value"), [({"header": "x-user"}, "x-user", "{}"), ({"cookie": "user"}, "cookie", "user={}")]
)
def test_grpcs_own_client_gets_the_same(
    start: Callable[..., GrpcClient], sticky: dict[str, str], name: str, value: str
) -> None:
    host, port = start(sticky=Sticky(**sticky)).socket.getpeername()
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PREDICT)
        for user, version in list(VERSIONS.items()) * 2:
            _, done = call.with_call(predict(), metadata=((name, value.format(user)),), timeout=30)
            assert dict(done.initial_metadata())["x-turnout-version"] == version


@pytest.mark.parametrize("name", ["cookie", "authorization"])
def test_secrets_that_are_keys_are_not_remembered(start: Callable[..., GrpcClient], name: str) -> None:
    client = start(sticky=Sticky(cookie="user") if name == "cookie" else Sticky(header=name))
    value = "user=hunter2" if name == "cookie" else "hunter2"
    for metadata in ({name: value}, {"grpc-timeout": "1S", name: value}) * 3:
        assert client.call(PREDICT, predict(), metadata).code == Code.OK
    assert not [known for known in (*header_blocks._known_blocks, *header_blocks._known_fields) if b"hunter2" in known]


def test_rules(start: Callable[..., GrpcClient]) -> None:
    client = start(match=(Match(header={"x-group": "beta", "x-region": "eu"}, version="v2"),))
    for _ in range(3):
        for metadata, version in (
            ({"x-group": "beta", "x-region": "eu"}, "v2"),
            ({"x-group": "beta", "x-region": "us"}, "v1"),
            ({"x-group": "beta"}, "v1"),
            ({"x-group": "beta", "x-region": "eu", "x-turnout-version": "v1"}, "v1"),
        ):
            assert client.call(PREDICT, predict(), metadata).version == version


@pytest.mark.parametrize(
    ("sent", "version", "onward"),
    [
        (None, "v1", "default/m=v1"),
        ("lab/a=v7,default/m=v2", "v2", "default/m=v2, lab/a=v7"),
        ("lab/a=v7", "v1", "default/m=v1, lab/a=v7"),
        ("default/m=v9", "v1", "default/m=v1"),
        ("default/m=v2, " + "x" * 1024, "v1", "default/m=v1"),
    ],
)
def test_an_assignment_is_taken_over_and_travels_on(
    start: Callable[..., GrpcClient], v1: GrpcServer, v2: GrpcServer, sent: str | None, version: str, onward: str
) -> None:
    client = start()
    for timeout in ("1S", "2S", "3S"):
        metadata = {"grpc-timeout": timeout} | ({} if sent is None else {ASSIGNMENT: sent})
        answer = client.call(PREDICT, predict(), metadata)
        assert answer.head is not None
        assert (answer.version, answer.head[ASSIGNMENT]) == (version, onward)
        server = v1 if version == "v1" else v2
        assert server.calls[-1].metadata[ASSIGNMENT] == onward


def test_of_repeated_fields_the_first_counts(start: Callable[..., GrpcClient]) -> None:
    fields = [(ASSIGNMENT.encode(), b"default/m=v2"), (ASSIGNMENT.encode(), b"default/m=v1")]
    assert ask(start(), Spelling().plain([*HEAD, *fields])).version == "v2"


def test_without_a_canary_only_what_came_travels_on(start_gateway: StartGateway, v1: GrpcServer) -> None:
    client = start_gateway(RouteTable(revision=1, deployments=(deployment("m", {"v1": [v1]}),))).grpc_client()
    answer = client.call(PREDICT, predict())
    assert answer.head is not None
    assert ASSIGNMENT not in answer.head
    assert ASSIGNMENT not in v1.calls[-1].metadata
    answer = client.call(PREDICT, predict(), {ASSIGNMENT: "lab/a=v7"})
    assert answer.head is not None
    assert answer.head[ASSIGNMENT] == "lab/a=v7"
    assert v1.calls[-1].metadata[ASSIGNMENT] == "lab/a=v7"


def test_stable_answers_for_a_canary_that_can_not_and_the_answer_says_so(
    start_gateway: StartGateway, grpc_servers: GrpcServers, v1: GrpcServer
) -> None:
    unready = grpc_servers(failing(Code.UNAVAILABLE))
    routed = deployment("m", {"v1": [v1], "v2": [unready]}, weight=0)
    gateway = start_gateway(RouteTable(revision=1, deployments=(routed,)))
    answer = gateway.grpc_client().call(PREDICT, predict(), {ASSIGNMENT: "default/m=v2"})
    assert answer.head is not None
    assert (answer.code, answer.version, answer.head[ASSIGNMENT]) == (Code.OK, "v1", "default/m=v1")
    assert unready.calls[-1].metadata[ASSIGNMENT] == "default/m=v2"
    assert v1.calls[-1].metadata[ASSIGNMENT] == "default/m=v1"
    assert gateway.outcomes("v2", assignment="inherited") == {"unavailable": 1}
    assert gateway.outcomes("v1", assignment="fallback") == {"success": 1}


def test_a_refusal_says_whose_it_is(start_gateway: StartGateway, grpc_servers: GrpcServers) -> None:
    routed = deployment("m", {"v1": [], "v2": []}, weight=0)
    gateway = start_gateway(RouteTable(revision=1, deployments=(routed,)))
    answer = gateway.grpc_client().call(PREDICT, predict())
    assert answer.head is not None
    assert (answer.code, answer.version, answer.head[ASSIGNMENT]) == (Code.UNAVAILABLE, "v1", "default/m=v1")


def test_metrics_tell_how_each_was_chosen(start_gateway: StartGateway, v1: GrpcServer, v2: GrpcServer) -> None:
    rule = Match(header={"x-group": "beta"}, version="v2")
    routed = deployment("m", {"v1": [v1], "v2": [v2]}, weight=0, match=(rule,), sticky=Sticky(header="x-user"))
    gateway = start_gateway(RouteTable(revision=1, deployments=(routed,)))
    client = gateway.grpc_client()
    for name, value in (
        ("x-turnout-version", "v2"),
        ("x-group", "beta"),
        (ASSIGNMENT, "default/m=v2"),
        ("x-user", "a"),
    ):
        client.call(PREDICT, predict(), {name: value})
    for how in ("pin", "match", "inherited"):
        assert gateway.outcomes("v2", assignment=how) == {"success": 1}
    assert gateway.outcomes("v1", assignment="split") == {"success": 1}


def test_calls_that_come_at_once_have_keys_of_their_own(start: Callable[..., GrpcClient]) -> None:
    client = start(sticky=Sticky(header="x-user"))
    for _ in range(3):
        client.corked = True
        streams = [client.start(PREDICT, predict(), {"grpc-timeout": "9S", "x-user": user}) for user in USERS]
        client.corked = False
        client.flush()
        assert [client.answer(stream).version for stream in streams] == list(VERSIONS.values())
