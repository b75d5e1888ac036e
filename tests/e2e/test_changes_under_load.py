"""While requests come in: the weight moves, the table is rewritten, servers are killed. Nobody notices.

The load is open: requests leave by the clock, whatever becomes of those before. Each carries a number of its own, which
the server that answers repeats.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import grpc
import httpx
import pytest
from google.protobuf.message import Message

from gateway.contract.route_table import Endpoint, RouteTable
from protos import tfs_pb2
from tests.fakes.gateway import PREDICT as REST_PREDICT
from tests.fakes.gateway import GatewayProcess, deployment
from tests.fakes.grpc_client import PREDICT
from tests.fakes.parent_process import eventually
from tests.fakes.rest_servers import unused_port
from tests.fakes.turnout import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).parent / "programs" / "echo_server.py"
SECONDS = 60
PER_SECOND = 200
CHANGES = 20
KILLS = 3
WEIGHTS = (1, 5, 10, 25, 50, 75, 90)


class Replica:
    """A server process, which comes back on the same ports."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.endpoint = Endpoint(host="127.0.0.1", rest=unused_port(), grpc=unused_port())
        self.start()

    def start(self) -> None:
        ports = [str(self.endpoint.rest), str(self.endpoint.grpc)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen([sys.executable, str(PROGRAM), self.version, *ports], env=environment)

    def listens(self) -> bool:
        try:
            with httpx.Client(trust_env=False) as client:
                url = f"http://127.0.0.1:{self.endpoint.rest}/"
                return client.post(url, json={"instances": [0]}).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def replicas() -> Iterator[list[Replica]]:
    """Two of each version."""
    made = [Replica(version) for version in ("v1", "v1", "v2", "v2")]
    for replica in made:
        until(replica.listens, "the server listens")
    yield made
    for replica in made:
        replica.kill()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(tmp_path, workers=2)
    yield gateway
    gateway.close()


class Sent(NamedTuple):
    """A line of the client's log."""

    number: int
    by: str
    """The version that answered, as the server says."""
    header: str
    """The version that answered, as the gateway says."""
    echoed: int | None
    """The number in the answer; None where there is none."""
    begun: bool
    """Something of an answer came."""
    error: str


class Load:
    """Numbers that go out one after the other, by REST and by gRPC in turn."""

    def __init__(self, address: str) -> None:
        self.log: list[Sent] = []
        self._address = address

    async def run(self) -> None:
        options = [("grpc.enable_retries", 0)]  # what fails is to be seen
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
        async with (
            httpx.AsyncClient(base_url=f"http://{self._address}", trust_env=False, timeout=30, limits=limits) as rest,
            grpc.aio.insecure_channel(self._address, options) as channel,
            asyncio.TaskGroup() as tasks,
        ):
            predict = channel.unary_unary(
                PREDICT,
                request_serializer=tfs_pb2.PredictRequest.SerializeToString,
                response_deserializer=tfs_pb2.PredictResponse.FromString,
            )
            started = monotonic()
            for number in range(SECONDS * PER_SECOND):
                await asyncio.sleep(started + number / PER_SECOND - monotonic())
                sending = self._grpc(predict, number) if number % 2 else self._rest(rest, number)
                tasks.create_task(sending)

    async def _rest(self, client: httpx.AsyncClient, number: int) -> None:
        begun, header, by, echoed, error = False, "", "", None, ""
        try:
            async with client.stream("POST", REST_PREDICT, json={"instances": [number]}) as answer:
                begun = answer.is_success
                header = answer.headers.get("x-turnout-version", "")
                await answer.aread()
                if answer.is_success:
                    echoed, by = answer.json()["predictions"]
                else:
                    error = f"{answer.status_code} {answer.text}"
        except httpx.TransportError as problem:
            error = repr(problem)
        self.log.append(Sent(number, by, header, echoed, begun, error))

    async def _grpc(
        self, predict: grpc.aio.UnaryUnaryMultiCallable[Message, tfs_pb2.PredictResponse], number: int
    ) -> None:
        request = tfs_pb2.PredictRequest()
        request.model_spec.name = "m"
        request.inputs["number"].int64_val.append(number)
        call = predict(request, timeout=30)
        by, echoed, error = "", None, ""
        try:
            answer = await call
            (echoed,) = answer.outputs["number"].int64_val
            by = answer.outputs["version"].string_val[0].decode()
        except grpc.aio.AioRpcError as problem:
            error = f"{problem.code()} {problem.details()}"
        head = {str(key): str(value) for key, value in await call.initial_metadata() or ()}
        self.log.append(Sent(number, by, head.get("x-turnout-version", ""), echoed, bool(head), error))


class Tables:
    """Writes one table after the other, each with a new revision and the endpoints in another order."""

    def __init__(self, gateway: GatewayProcess, replicas: list[Replica]) -> None:
        self.revision = 0
        self.weight: float = 10
        self._gateway = gateway
        self._replicas = replicas

    def write(self) -> None:
        self.revision += 1
        endpoints = random.sample(self._replicas, len(self._replicas))
        versions = {
            version: [replica.endpoint for replica in endpoints if replica.version == version]
            for version in ("v1", "v2")
        }
        made = deployment("m", versions, weight=self.weight, epoch=self.revision)
        self._gateway.publish(RouteTable(revision=self.revision, deployments=(made,)))

    async def change(self) -> None:
        """The weight moves CHANGES times; between, the table is rewritten as often."""
        for number in range(2 * CHANGES):
            await asyncio.sleep((SECONDS - 5) / (2 * CHANGES))
            if number % 2:
                self.weight = random.choice([weight for weight in WEIGHTS if weight != self.weight])
            self.write()


async def kill(replicas: list[Replica]) -> None:
    """One at a time, of each version in turn; it comes back before the next."""
    for number in range(KILLS):
        await asyncio.sleep(SECONDS / (KILLS + 1) - 5)
        replica = replicas[number]
        replica.kill()
        await asyncio.sleep(1)  # nothing listens there for as long as a restart takes
        replica.start()
        await asyncio.to_thread(until, replica.listens, "the server is back")


def test_nobody_notices(gateway: GatewayProcess, replicas: list[Replica]) -> None:
    tables = Tables(gateway, replicas)
    tables.write()
    gateway.ready()
    load = Load("{}:{}".format(*gateway.address))

    async def everything() -> None:
        async with asyncio.TaskGroup() as tasks:
            for doing in (load.run(), tables.change(), kill([replicas[0], replicas[2], replicas[1]])):
                tasks.create_task(doing)

    asyncio.run(everything())

    assert tables.revision == 1 + 2 * CHANGES
    gateway.in_force(tables.revision)
    numbers = Counter(sent.number for sent in load.log)
    assert set(numbers) == set(range(SECONDS * PER_SECOND))
    assert set(numbers.values()) == {1}
    failed = [sent for sent in load.log if sent.error]
    assert [sent for sent in failed if not sent.begun] == []
    assert len(failed) <= KILLS, "what had begun to be answered as a server was killed"
    answered = [sent for sent in load.log if not sent.error]
    assert [sent for sent in answered if sent.echoed != sent.number or sent.by != sent.header] == []
    assert {sent.by for sent in answered} == {"v1", "v2"}
    eventually(lambda: gateway.total("turnout_requests_total", outcome="success"), lambda total: total == len(answered))
    assert gateway.total("turnout_retries_total") > 0, "the deaths were felt"
    assert gateway.total("turnout_endpoint_ejections_total") > 0
    assert gateway.total("turnout_requests_in_flight") == 0
    assert "Traceback" not in gateway.log.read_text()
