"""A worker that speaks the parent's protocol and counts, but serves one-line commands instead of predictions.

Commands: `pid`; `count` (a finished request of the stable version of the first deployment); `hold` (a request in flight
until the client's next line). Each is answered by the worker's pid.
"""

import asyncio
import os
import socket
import sys
import time

from gateway import ipc, table_delta
from gateway.contract import route_table
from gateway.stats import counters


class Worker:
    def __init__(self, start: ipc.Start) -> None:
        self.start = start
        self.counters = counters.Counters(counters.attach(start.counters))
        self.table: route_table.RouteTable | None = None
        self.held = 0
        self.idle = asyncio.Condition()
        self.draining = asyncio.Event()

    async def run(self) -> None:
        end = socket.socket(fileno=self.start.control)
        self.channel = channel = ipc.Channel(self.on_message, self.draining.set)
        await channel.open(end)
        server = await asyncio.start_server(self.serve, sock=socket.socket(fileno=self.start.listen))
        channel.send(ipc.Message(ready=True))
        await self.draining.wait()
        server.close()
        async with self.idle:
            await self.idle.wait_for(lambda: self.held == 0)
        channel.send(ipc.Message(drained=True))
        channel.close()

    def on_message(self, message: ipc.Message) -> None:
        if message.table is not None or message.change is not None:
            before = () if self.table is None else self.table.deployments
            if message.table is not None:
                self.table = message.table
            else:
                assert message.change is not None
                assert self.table is not None
                self.table = table_delta.apply(self.table, message.change)
            self.counters.retain(self.table, before)
            self.channel.send(ipc.Message(in_force=self.table.revision))
        if message.drain:
            self.draining.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = (await reader.readline()).decode().strip()
        if command in ("count", "hold"):
            assert self.table is not None
            deployment = self.table.deployments[0]
            slot = self.counters.request(deployment.namespace, deployment.name, deployment.stable, "fake", "split")
            began = time.monotonic_ns() // 1000
            slot.started(began)
            if command == "hold":
                self.held += 1
                writer.write(b"held\n")
                await reader.readline()
            slot.finished(began, time.monotonic_ns() // 1000, counters.SUCCESS)
        writer.write(f"{os.getpid()}\n".encode())
        await writer.drain()
        writer.close()
        if command == "hold":
            async with self.idle:
                self.held -= 1
                self.idle.notify_all()


asyncio.run(Worker(ipc.Start.parse(sys.argv[1])).run())
