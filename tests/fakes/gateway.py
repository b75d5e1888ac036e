"""Gateways for tests: `Gateway` in this process, with all that it counts at hand; `GatewayProcess` as users start it.

    gateway = start_gateway(table(v1=[server]))         # fixtures of tests/integration/gateway/conftest.py
    answer = gateway.client().post(PREDICT)
    gateway.outcomes("v1") == {"success": 1}

Both take any of `Settings` by keyword. When a test ends, its fixture checks that nothing is held, in flight or open any
more, and that no callback has failed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from gateway.contract.route_table import Deployment, Endpoint, RouteTable, Version, write
from gateway.downstream.connections import Clients
from gateway.downstream.listener import Listener
from gateway.forwarder import Forwarder
from gateway.settings import Settings
from gateway.stats import counters, evidence_totals, totals
from gateway.stats.counters import Counters
from gateway.stats.evidence_slots import COUNTS
from tests.fakes.grpc_client import GrpcClient
from tests.fakes.grpc_servers import GrpcServer
from tests.fakes.loop import LoopThread
from tests.fakes.parent_process import ParentProcess, eventually
from tests.fakes.rest_client import Client
from tests.fakes.rest_servers import Server

PREDICT = "/v1/models/m:predict"
SELDON = "/seldon/default/s/api/v1.0/predictions"
FEEDBACK = "/seldon/default/s/api/v1.0/feedback"

T = TypeVar("T")
At = Server | GrpcServer | Endpoint


def deployment(name: str, versions: Mapping[str, Iterable[At]], **values: Any) -> Deployment:
    """The first version is stable, the second the canary; their servables are 1, 2, …"""
    made = tuple(
        Version(
            name=version,
            servable=number,
            endpoints=tuple(at if isinstance(at, Endpoint) else at.endpoint for at in servers),
        )
        for number, (version, servers) in enumerate(versions.items(), 1)
    )
    defaults = {
        "namespace": "default",
        "name": name,
        "runtime": "tfserving",
        "stable": made[0].name,
        "canary": made[1].name if len(made) > 1 else None,
        "versions": made,
    }
    return Deployment(**defaults | values)


def table(revision: int = 1, weight: float = 0, **versions: Iterable[At]) -> RouteTable:
    """The model `m` of TensorFlow Serving and the deployment `s` of Seldon, both with these versions and servers."""
    both = (
        deployment("m", versions, weight=weight),
        deployment("s", versions, weight=weight, runtime="seldon"),
    )
    return RouteTable(revision=revision, deployments=both)


class Gateway:
    """One data loop on a thread, without a parent. `random` replaces the draws of splits, choices and jitter."""

    def __init__(
        self, loop: LoopThread, routes: RouteTable | None, random: Callable[[], float] | None = None, **settings: Any
    ) -> None:
        self._memory = bytearray(counters.SIZE)
        counts = Counters(self._memory)
        options = {} if random is None else {"random": random}
        self.forwarder = Forwarder(Settings(**settings), counts, **options)
        self.drained = False
        self.fronts = Clients(counts.worker, self._emptied)
        self._loop = loop
        self._clients: list[Client | GrpcClient] = []
        if routes is not None:
            self.swap(routes)
        self._server = loop.run(self._listen())
        self.address: tuple[str, int] = self._server.sockets[0].getsockname()

    async def _listen(self) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Listener(self.forwarder, self.fronts), "127.0.0.1", 0)

    def _emptied(self) -> None:
        self.drained = True

    def client(self, **options: Any) -> Client:
        client = Client(self.address, **options)
        self._clients.append(client)
        return client

    def grpc_client(self, **options: Any) -> GrpcClient:
        client = GrpcClient(self.address, **options)
        self._clients.append(client)
        return client

    def call(self, function: Callable[[], T]) -> T:
        """In the gateway's loop."""
        return self._loop.call(function)

    def take_in(self) -> None:
        """Returns once the gateway has read what was sent on connections that it has accepted: a turn of the loop
        between two calls reads all that is there."""
        for _ in range(3):
            self.call(lambda: None)

    def swap(self, routes: RouteTable) -> None:
        self.call(lambda: self.forwarder.swap(routes))

    def sweep(self, now: float) -> None:
        """What a worker does each second, at the time `now` of the monotonic clock."""
        self.call(lambda: self.fronts.sweep(now))
        self.call(lambda: self.forwarder.upstreams.sweep(now))

    def drain(self) -> None:
        self.call(self.fronts.drain)

    def expel(self) -> None:
        self.call(self.fronts.expel)

    # What it counts.

    def snapshot(self) -> totals.Snapshot:
        return self.call(lambda: totals.read(self._memory, time.monotonic_ns() // 1000))

    def outcomes(self, version: str, deployment: str = "m", assignment: str | None = None) -> dict[str, int]:
        """How the version's requests ended; those that nothing ended in are left out."""
        return self._row(version, deployment, assignment, totals.OUTCOMES, counters.OUTCOMES)

    def retries(self, version: str, deployment: str = "m") -> dict[str, int]:
        return self._row(version, deployment, None, totals.CAUSES, counters.CAUSES)

    def _row(
        self, version: str, deployment: str, assignment: str | None, part: slice, names: Iterable[str]
    ) -> dict[str, int]:
        sums: dict[str, int] = {}
        for key, row in self.snapshot().requests.items():
            if key[1:3] == (deployment, version) and assignment in (None, key[4]):
                for name, count in zip(names, row[part], strict=True):
                    if count:
                        sums[name] = sums.get(name, 0) + count
        return sums

    def evidence(self) -> totals.Rows:
        """Requests, errors, slow ones and rejections by version, epoch and whether they had a key; arms that got no
        request are left out."""
        counts = self.evidence_sums().counts
        return {key[2:]: row for key, row in counts.items() if row[0]}

    def evidence_sums(self) -> evidence_totals.EvidenceCounts:
        """Of all callers."""
        found = self.call(lambda: evidence_totals.read(self._memory))
        counts = {key: evidence_totals.total(row) for key, row in found.counts.items()}
        buckets = {key: [reduce(or_, row[at::COUNTS]) for at in range(COUNTS)] for key, row in found.buckets.items()}
        return evidence_totals.EvidenceCounts(counts, buckets)

    def refusals(self) -> dict[tuple[str, ...], int]:
        return {key: row[0] for key, row in self.snapshot().refusals.items()}

    def endpoints(self, column: int) -> dict[str, int]:
        """A column of `gateway.stats.totals` by address, such as ENDPOINT_UP."""
        return {key[3]: row[column] for key, row in self.snapshot().endpoints.items()}

    def ejected(self) -> bool:
        """Whether any endpoint ever was."""
        return any(self.endpoints(totals.ENDPOINT_EJECTIONS).values())

    def held(self) -> dict[str, int]:
        """What is held, open or in flight now."""
        now = self.snapshot()
        return {
            "requests": sum(row[totals.IN_FLIGHT] for row in now.requests.values()),
            "attempts": sum(row[totals.ENDPOINT_IN_FLIGHT] for row in now.endpoints.values()),
            "bytes": self.forwarder.budget.held,
        }

    def rests(self) -> None:
        """Waits until nothing is held any more; fails with what is."""
        eventually(self.held, lambda held: not any(held.values()))

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.call(self._server.close)
        self.rests()
        eventually(lambda: self.snapshot().worker[counters.OPEN_CONNECTIONS], lambda left: left == 0)
        self.call(self.forwarder.upstreams.close)
        eventually(lambda: sum(self.endpoints(totals.ENDPOINT_CONNECTIONS).values()), lambda left: left == 0)


class GatewayProcess(ParentProcess):
    """Parent and workers as real processes; the table and the log lie in `folder`."""

    def __init__(
        self,
        folder: Path,
        routes: RouteTable | None = None,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        self._clients: list[Client] = []
        if routes is not None:
            (folder / "routes.json").write_bytes(write(routes))
        super().__init__(folder, [sys.executable, "-m", "gateway.worker"], environment, **settings)
        if routes is not None:
            self.ready()

    def client(self, **options: Any) -> Client:
        client = Client(self.address, **options)
        self._clients.append(client)
        return client

    def total(self, name: str, **labels: str) -> float:
        """The sum of the metric's samples that bear these labels, as Prometheus reads them."""
        families = text_string_to_metric_families(self.admin.get("/metrics").text)
        samples = (sample for family in families for sample in family.samples)
        return sum(
            sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def close(self) -> None:
        for client in self._clients:
            client.close()
        super().close()


def at_rest(number: Callable[[], T]) -> T:
    """What `number` is once it stays the same for a second: a bound on what it may come to can only be shown so."""
    last, since = number(), time.monotonic()
    while time.monotonic() - since < 1:
        if (now := number()) != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)
    return last
