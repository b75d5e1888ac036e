"""The split is exact, random and the same for everyone: 20,000 requests over 64 connections, by each protocol.

All tests of chance are at 1e-4, so that one run in a few thousand fails for nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from scipy import stats

from gateway.refusal import Code
from tests.fakes.gateway import PREDICT as REST_PREDICT
from tests.fakes.gateway import GatewayProcess, table
from tests.fakes.grpc_client import PREDICT, GrpcClient, predict
from tests.fakes.grpc_servers import GrpcServer, answering
from tests.fakes.parent_process import eventually
from tests.fakes.rest_servers import Server, always, answer

pytestmark = pytest.mark.slow

REQUESTS = 20_000
CONNECTIONS = 64
SHARES = [REQUESTS // CONNECTIONS + (number < REQUESTS % CONNECTIONS) for number in range(CONNECTIONS)]
WEIGHT = 10
LEVEL = 1e-4
AT_A_TIME = 40
"""Calls that a gRPC connection sends in one piece: the worker reads and assigns them one after the other."""

IN_A_ROW = 3_000
"""REST requests on one connection, with nobody else's between: there, too, the order of assignment is known."""


@pytest.fixture
def rest(servers: Callable[..., Server]) -> tuple[Server, Server]:
    return servers(always(answer(b"{}"))), servers(always(answer(b"{}")))


@pytest.fixture
def grpc(grpc_servers: Callable[..., GrpcServer]) -> tuple[GrpcServer, GrpcServer]:
    return grpc_servers(answering(b"out")), grpc_servers(answering(b"out"))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    # The servers share this process with the clients, and the machine maybe with others: they may be long in answering.
    gateway = GatewayProcess(tmp_path, workers=2, read_timeout=60.0)
    yield gateway
    gateway.close()


def route(gateway: GatewayProcess, versions: Sequence[Server | GrpcServer], revision: int, weight: float) -> None:
    gateway.publish(table(revision, weight, v1=[versions[0]], v2=[versions[1]]))
    gateway.ready().in_force(revision)


def ask_rest(gateway: GatewayProcess, shares: Sequence[int]) -> list[list[str]]:
    """The version of each answer, in order, for each connection; the connections go on side by side."""

    async def connection(number: int) -> list[str]:
        reader, writer = await asyncio.open_connection(*gateway.address)
        versions = []
        for _ in range(number):
            writer.write(b"POST %b HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}" % REST_PREDICT.encode())
            status, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            assert status == "HTTP/1.1 200 OK"
            assert await reader.readexactly(2) == b"{}"
            (version,) = (field[19:] for field in fields if field.lower().startswith("x-turnout-version: "))
            versions.append(version)
        writer.close()
        return versions

    async def all_of_them() -> list[list[str]]:
        return await asyncio.gather(*map(connection, shares))

    return asyncio.run(all_of_them())


def ask_grpc(gateway: GatewayProcess, shares: Sequence[int]) -> list[list[str]]:
    clients = [GrpcClient(gateway.address) for _ in shares]
    streams: list[list[int]] = [[] for _ in shares]
    message = predict()
    try:
        for start in range(0, max(shares), AT_A_TIME):
            for client, share, opened in zip(clients, shares, streams, strict=True):
                client.corked = True
                opened += [client.start(PREDICT, message) for _ in range(min(AT_A_TIME, share - start))]
                client.corked = False
                client.flush()
            for client, opened in zip(clients, streams, strict=True):
                for stream in opened[-AT_A_TIME:]:
                    assert client.answer(stream).code == Code.OK
    finally:
        for client in clients:
            client.close()
    return [
        [client.answers[stream].version or "" for stream in opened]
        for client, opened in zip(clients, streams, strict=True)
    ]


Ask = Callable[[GatewayProcess, Sequence[int]], list[list[str]]]


def runs_test(sequence: Sequence[str]) -> float:
    """The two-sided p-value of Wald's and Wolfowitz' test: does each assignment ignore the one before?"""
    n = len(sequence)
    (_, first), (_, second) = Counter(sequence).most_common()
    runs = 1 + sum(a != b for a, b in itertools.pairwise(sequence))
    mean = 1 + 2 * first * second / n
    variance = (mean - 1) * (mean - 2) / (n - 1)
    return math.erfc(abs(runs - mean) / math.sqrt(2 * variance))


def test_runs_test_sees_order() -> None:
    every_tenth = ["v2" if number % 10 == 0 else "v1" for number in range(IN_A_ROW)]
    in_pairs = ["v2" if number % 20 < 2 else "v1" for number in range(IN_A_ROW)]
    assert runs_test(every_tenth) < LEVEL
    assert runs_test(in_pairs) < LEVEL


def all_counted(gateway: GatewayProcess, answers: Counter[str]) -> None:
    """What the metrics say is what the clients saw."""
    name = "turnout_requests_total"
    eventually(lambda: gateway.total(name), lambda total: total == answers.total())
    for version, number in answers.items():
        assert gateway.total(name, version=version, assignment="split", outcome="success") == number


def check(gateway: GatewayProcess, servers: Sequence[Server | GrpcServer], ask: Ask) -> Counter[str]:
    """The whole of it; which version answered how many requests."""
    route(gateway, servers, 1, WEIGHT)
    by_connection = ask(gateway, SHARES)
    answers = Counter(version for each in by_connection for version in each)
    assert answers.total() == REQUESTS
    assert stats.binomtest(answers["v2"], REQUESTS, WEIGHT / 100).pvalue > LEVEL
    table_of_connections = [[each.count("v1"), each.count("v2")] for each in by_connection]
    assert stats.chi2_contingency(table_of_connections).pvalue > LEVEL
    assert runs_test([version for each in by_connection for version in each]) > LEVEL
    all_counted(gateway, answers)

    for revision, weight, gets_all in ((2, 0, "v1"), (3, 100, "v2")):
        route(gateway, servers, revision, weight)
        got = [version for each in ask(gateway, [50] * CONNECTIONS) for version in each]
        assert set(got) == {gets_all}
        answers.update(got)
    all_counted(gateway, answers)
    return answers


def test_rest(gateway: GatewayProcess, rest: tuple[Server, Server]) -> None:
    answers = check(gateway, rest, ask_rest)
    assert [len(server.requests) for server in rest] == [answers["v1"], answers["v2"]]
    route(gateway, rest, 4, WEIGHT)
    (in_a_row,) = ask_rest(gateway, [IN_A_ROW])
    assert runs_test(in_a_row) > LEVEL


def test_grpc(gateway: GatewayProcess, grpc: tuple[GrpcServer, GrpcServer]) -> None:
    answers = check(gateway, grpc, ask_grpc)
    assert [len(server.calls) for server in grpc] == [answers["v1"], answers["v2"]]
