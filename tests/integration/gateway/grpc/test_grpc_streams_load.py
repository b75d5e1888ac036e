"""Two hundred streams at once, by gRPC's own client and server, while all that can changes beneath them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
import pytest

from gateway.contract.route_table import Endpoint, RouteTable
from gateway.tasks import spawn
from protos.oip_pb2 import ModelInferRequest, ModelInferResponse
from tests.fakes.gateway import GatewayProcess, deployment

STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
AHEAD = 20
"""Messages that a stream may be ahead of its answers."""
MIB = 1 << 20


@pytest.fixture
def servers() -> Iterator[list[tuple[subprocess.Popen[str], Endpoint]]]:
    """Three real ones."""
    root = Path(__file__).parents[4]
    command = [sys.executable, "-m", "tests.fakes.programs.echo_streams"]
    processes = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    made = []
    for process in processes:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        made.append((process, Endpoint(host="127.0.0.1", rest=port, grpc=port)))
    yield made
    for process in processes:
        process.kill()
        process.communicate()


@dataclass
class Streams:
    """So many, of so many messages each. `begun`: those that have had an answer; `ended`: how each did."""

    number: int
    messages: int
    begun: set[int] = field(default_factory=set)
    ended: dict[int, str] = field(default_factory=dict)

    def of(self, result: str) -> int:
        return sum(of == result for number, of in self.ended.items() if number < self.number)


async def converse(channel: grpc.aio.Channel, number: int, streams: Streams, pause: float = 0.0) -> None:
    """Send all messages, and check that each is answered once, in order."""
    call = channel.stream_stream(STREAM, ModelInferRequest.SerializeToString, ModelInferResponse.FromString)()
    room = asyncio.Semaphore(AHEAD)
    payload = os.urandom(100 if not pause else 100_000)

    async def send() -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # it has ended, as is told below
            for at in range(streams.messages):
                await room.acquire()
                await call.write(ModelInferRequest(model_name="t", id=f"{number}-{at}", raw_input_contents=[payload]))
            await call.done_writing()

    sending = spawn(send(), "send")
    try:
        expected = 0
        async for answer in call:
            assert (answer.id, list(answer.raw_output_contents)) == (f"{number}-{expected}", [payload])
            expected += 1
            streams.begun.add(number)
            room.release()
            if pause:
                await asyncio.sleep(pause)
        assert expected == streams.messages
        streams.ended[number] = "OK"
    except grpc.aio.AioRpcError as error:
        # Where a write meets the stream's end, the client library may say this of itself instead of what it was told.
        met = error.details() == "Internal error from Core"
        streams.ended[number] = "UNAVAILABLE" if met else str(error.code().name)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


def table(revision: int, weight: float, first: list[Endpoint], second: list[Endpoint]) -> RouteTable:
    routed = deployment("t", {"v1": first, "v2": second}, runtime="oip", weight=weight, epoch=revision)
    return RouteTable(revision=revision, deployments=(routed,))


async def changes(folder: Path, servers: list[tuple[subprocess.Popen[str], Endpoint]], streams: Streams) -> float:
    """By how many MiB the gateway's workers grew at most."""
    (a, b, c) = (endpoint for _, endpoint in servers)
    gateway = await asyncio.to_thread(GatewayProcess, folder, table(1, 0, [a, b], [c]), workers=2, drain_seconds=15.0)
    workers = [psutil.Process(pid) for pid in gateway.pids()]
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel("{}:{}".format(*gateway.address), options=options) for _ in range(10)]
    most = before = sum(worker.memory_info().rss for worker in workers)

    async def until(reached: Callable[[], bool]) -> None:
        nonlocal most
        while not reached():
            with contextlib.suppress(psutil.NoSuchProcess):  # at the end they go
                most = max(most, sum(worker.memory_info().rss for worker in workers))
            await asyncio.sleep(0.05)

    fast = [converse(channels[number % 9], number, streams) for number in range(streams.number)]
    all_of_them = asyncio.gather(*fast, converse(channels[9], streams.number, streams, pause=1.0))
    await until(lambda: len(streams.begun) == streams.number + 1)
    for revision, weight in enumerate((10, 50, 90, 50), 2):
        await asyncio.to_thread(gateway.publish, table(revision, weight, [a, b], [c]))
        await asyncio.to_thread(gateway.in_force, revision)
    servers[1][0].kill()
    await until(lambda: streams.of("OK") >= streams.number // 4)
    os.kill(gateway.process.pid, signal.SIGTERM)
    await until(all_of_them.done)
    await all_of_them
    for channel in channels:
        await channel.close()
    await asyncio.to_thread(gateway.process.wait, 60)
    gateway.close()
    return (most - before) / MIB


@pytest.mark.parametrize(
    ("number", "messages"),
    [pytest.param(50, 200, marks=pytest.mark.slow), pytest.param(200, 1_000, marks=pytest.mark.prove)],
)
def test_no_message_is_lost_or_comes_twice_on_what_lives(
    tmp_path: Path, servers: list[tuple[subprocess.Popen[str], Endpoint]], number: int, messages: int
) -> None:
    streams = Streams(number, messages)
    grown = asyncio.run(changes(tmp_path, servers, streams))
    slowly = streams.ended.pop(number)
    counts = Counter(streams.ended.values())
    print(f"{number} streams of {messages} messages: {dict(counts)}; the slow one: {slowly}; grown by {grown:.1f} MiB")
    assert set(counts) == {"OK", "UNAVAILABLE"}  # the latter on the replica that was killed
    assert slowly == "UNAVAILABLE"  # the drain did not wait for it
    assert grown < 64
