"""A key has one version on every worker of every gateway, though none asks another: 100,000 keys, two gateways of four
workers each, real processes and connections that are kept, through the weights of a rollout.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import psutil
import pytest
import uvloop
from scipy import stats

from gateway.contract.route_table import Endpoint, RouteTable, Sticky
from gateway.routing.sticky import position
from tests.fakes.gateway import PREDICT, GatewayProcess, deployment
from tests.fakes.parent_process import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KEYS = 100_000
WORKERS = 4
WEIGHTS = (1, 5, 25, 50, 100)
SALT = "default/m v1 v2 1"
CONNECTIONS = 16
"""To each gateway, besides one to each worker."""

AT_A_TIME = 25
"""Requests that one connection sends in one piece."""

WATCHED = 300
"""Keys that each worker is asked again and again while the weight changes."""

LEVEL = 1e-4

SHARES = [position(SALT, b"user-%d" % number).share for number in range(KEYS)]
REQUESTS = [
    b"POST %b HTTP/1.1\r\nHost: test\r\nx-user: user-%d\r\nContent-Length: 2\r\n\r\n{}" % (PREDICT.encode(), number)
    for number in range(KEYS)
]
ANSWER = re.compile(rb"HTTP/1\.1 200 OK\r\n(?:[^\r]+\r\n)*?x-turnout-version: (v[12])\r\n(?:[^\r]+\r\n)*\r\n(v[12])")


class Peer(asyncio.Protocol):
    """One end of a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set_result(None)

    async def close(self) -> None:
        self.transport.abort()
        await self._lost


class Server(Peer):
    """A model server's end: whatever it is asked, it answers with its version's name."""

    def __init__(self, version: str) -> None:
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + version.encode()

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"{}"):  # the gateway sends one small request at a time
            self.transport.write(self._answer)


class Servers:
    """The model server of a version."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._peers: list[Server] = []

    async def start(self) -> Endpoint:
        self._listening = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", 0)
        port = self._listening.sockets[0].getsockname()[1]
        return Endpoint(host="127.0.0.1", rest=port, grpc=port)

    def _accept(self) -> Server:
        self._peers.append(Server(self._version))
        return self._peers[-1]

    async def close(self) -> None:
        self._listening.close()
        for peer in self._peers:
            await peer.close()


class Client(Peer):
    """A connection to a gateway."""

    def __init__(self) -> None:
        self._buffer = b""
        self._versions: list[int] = []
        self._wanted = 0

    @property
    def port(self) -> int:
        name: tuple[str, int] = self.transport.get_extra_info("sockname")
        return name[1]

    async def ask(self, keys: Sequence[int]) -> list[int]:
        """The number of the version of each key, in order."""
        found: list[int] = []
        for start in range(0, len(keys), AT_A_TIME):
            some = keys[start : start + AT_A_TIME]
            self._wanted = len(some)
            self._all = asyncio.get_running_loop().create_future()
            self.transport.write(b"".join([REQUESTS[key] for key in some]))
            found += await self._all
        return found

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = 0
        for answer in ANSWER.finditer(self._buffer):
            assert answer[1] == answer[2], "the version that the gateway names is the one that answered"
            self._versions.append(int(answer[1][1:]))
            end = answer.end()
        self._buffer = self._buffer[end:]
        if len(self._versions) == self._wanted:
            assert self._buffer == b""
            self._wanted = 0
            versions, self._versions = self._versions, []
            self._all.set_result(versions)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._wanted and not self._all.done():
            self._all.set_exception(exc or ConnectionResetError(f"after {self._buffer!r}"))


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[list[GatewayProcess]]:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        made.append(GatewayProcess(tmp_path / name, workers=WORKERS))
    yield made
    for gateway in made:
        gateway.close()


async def connect(gateway: GatewayProcess) -> Client:
    _, client = await asyncio.get_running_loop().create_connection(Client, *gateway.address)
    return client


async def to_each_worker(gateway: GatewayProcess) -> list[Client]:
    """A connection to each. The kernel chooses whose a new one is, so as many are made as that takes."""
    clients: dict[int, Client] = {}
    found: dict[int, Client] = {}
    while len(found) < WORKERS:
        assert len(clients) < 200, f"only {len(found)} workers take connections"
        client = await connect(gateway)
        clients[client.port] = client
        await client.ask([0])
        for pid in gateway.pids():
            for connection in psutil.Process(pid).net_connections("tcp"):
                if connection.raddr and connection.laddr.port == gateway.address[1]:
                    found[pid] = clients[connection.raddr.port]
    for client in clients.values():
        if client not in found.values():
            await client.close()
    return list(found.values())


def expected(key: int, weight: float) -> int:
    return 2 if SHARES[key] * 100 < weight else 1


def watched(before: float, after: float) -> list[int]:
    """Keys that a change of the weight moves, and as many that it does not."""
    moving: list[int] = []
    still: list[int] = []
    for key in range(KEYS):
        (still if expected(key, before) == expected(key, after) else moving).append(key)
    return [*moving[: WATCHED // 2], *still[: WATCHED // 2]]


class Rollout:
    """The gateways, their table, and the connections to them."""

    def __init__(self, gateways: list[GatewayProcess]) -> None:
        self.gateways = gateways
        self.servers = {version: Servers(version) for version in ("v1", "v2")}
        self.endpoints: dict[str, list[Endpoint]] = {}
        self.revision = 0
        self.workers: list[Client] = []
        """One connection to each worker of each gateway."""
        self.many: list[list[Client]] = []
        """By gateway."""

    async def start(self) -> None:
        self.endpoints = {version: [await server.start()] for version, server in self.servers.items()}
        self.publish(0)
        for gateway in self.gateways:
            await asyncio.to_thread(gateway.ready)
        for gateway in self.gateways:
            self.workers += await to_each_worker(gateway)
            self.many.append([await connect(gateway) for _ in range(CONNECTIONS)])

    def publish(self, weight: float) -> None:
        self.revision += 1
        values = {"weight": weight, "epoch": self.revision, "salt": SALT, "sticky": Sticky(header="x-user")}
        routed = deployment("m", self.endpoints, **values)
        for gateway in self.gateways:
            gateway.publish(RouteTable(revision=self.revision, deployments=(routed,)))

    def in_force(self) -> bool:
        return all(gateway.report()["revision"] == self.revision for gateway in self.gateways)

    async def change(self, weight: float, keys: list[int]) -> list[list[list[int]]]:
        """Change the weight. What each worker answers to these keys meanwhile, round by round, the last after it."""
        changed = asyncio.Event()

        async def watch(client: Client) -> list[list[int]]:
            rounds = [await client.ask(keys)]
            while not changed.is_set():
                rounds.append(await client.ask(keys))
            return [*rounds, await client.ask(keys)]

        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(watch(client)) for client in self.workers]
            self.publish(weight)
            await asyncio.to_thread(eventually, self.in_force)
            changed.set()
        return [task.result() for task in watching]

    async def ask_all(self) -> list[int]:
        """The version of each key. Those of odd and of even numbers are asked at one gateway each, and at the other
        next time."""
        versions = [0] * KEYS

        async def ask(client: Client, keys: range) -> None:
            for key, version in zip(keys, await client.ask(keys), strict=True):
                versions[key] = version

        async with asyncio.TaskGroup() as tasks:
            for which, clients in enumerate(self.many):
                keys = range((which + self.revision) % 2, KEYS, 2)
                for number, client in enumerate(clients):
                    tasks.create_task(ask(client, keys[number::CONNECTIONS]))
        return versions

    async def close(self) -> None:
        for client in itertools.chain(self.workers, *self.many):
            await client.close()
        for server in self.servers.values():
            await server.close()


async def moves(rollout: Rollout) -> None:
    """Through all weights, and what each key gets meanwhile."""
    before, seen = 0.0, [1] * KEYS
    for after in WEIGHTS:
        keys = watched(before, after)
        for rounds in await rollout.change(after, keys):
            for key, versions in zip(keys, zip(*rounds, strict=True), strict=True):
                assert list(versions) == sorted(versions), f"key {key} moved once at most, to the canary: {versions}"
                assert versions[0] >= seen[key]
                assert versions[-1] == expected(key, after)
        now = await rollout.ask_all()
        assert [key for key in range(KEYS) if now[key] < seen[key]] == [], "no key has moved back"
        wrong = [key for key in range(KEYS) if now[key] != expected(key, after)]
        assert wrong == [], "what no process was told, all agree upon"
        assert stats.binomtest(now.count(2), KEYS, after / 100).pvalue > LEVEL
        before, seen = after, now


async def run(gateways: list[GatewayProcess]) -> None:
    rollout = Rollout(gateways)
    try:
        await rollout.start()
        await moves(rollout)
    finally:
        await rollout.close()


def test_no_key_moves_back(gateways: list[GatewayProcess]) -> None:
    uvloop.run(run(gateways))
