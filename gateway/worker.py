"""A data process: it carries requests, and does nothing else. Started by the parent with one argument (`Start`)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from time import monotonic

import uvloop

from gateway import descriptors, logs
from gateway.contract.route_table import RouteTable
from gateway.downstream.connections import Clients
from gateway.downstream.listener import Listener
from gateway.forwarder import Forwarder
from gateway.heap import Heap
from gateway.ipc import Channel, ControlError, Message, Start, first_settings
from gateway.settings import Settings
from gateway.stats import counters
from gateway.table_delta import apply
from gateway.tasks import spawn

TABLE_SECONDS = 0.5
"""How long new connections wait for a worker's first table: the parent sends it at once, if it has one."""

SWEEP_SECONDS = 1.0

FLUSH_SECONDS = 0.1
"""For what the last calls are told to reach their clients."""


class Worker:
    def __init__(self, start: Start, control: socket.socket, settings: Settings) -> None:
        """`control`: its end of the socket pair, from which `settings` were taken."""
        self._control = control
        counts = counters.Counters(counters.attach(start.counters))
        self._forwarder = Forwarder(settings, counts)
        self._channel = Channel(self._received, self._drain)
        self._ended = asyncio.Event()
        self._clients = Clients(counts.worker, self._ended.set, descriptors.most_connections())
        self._listener = socket.socket(fileno=start.listen)
        self._server: asyncio.Server | None = None
        self._tabled = asyncio.Event()

    async def run(self) -> None:
        """Until it is told to drain, or the parent is gone, and then until the last answer is out."""
        await self._channel.open(self._control)
        with contextlib.suppress(TimeoutError):  # then requests are told that there is no table
            await asyncio.wait_for(self._tabled.wait(), TABLE_SECONDS)
        if not self._forwarder.draining:
            loop = asyncio.get_running_loop()
            settings = self._forwarder.settings
            self._server = await loop.create_server(self._new_listener, sock=self._listener, backlog=settings.backlog)
            self._forwarder.counters.worker.beat()
            self._channel.send(Message(ready=True))
        heap = Heap()
        sweep = spawn(self._sweep(heap), "sweep")
        await self._ended.wait()
        sweep.cancel()
        self._forwarder.upstreams.close()
        self._channel.send(Message(drained=True))
        self._channel.close()

    def _received(self, message: Message) -> None:
        if message.table is not None:
            self._swap(message.table)
        if message.change is not None:
            assert self._forwarder.table is not None
            self._swap(apply(self._forwarder.table, message.change))
        if message.drain:
            self._drain()

    def _swap(self, table: RouteTable) -> None:
        self._forwarder.swap(table)
        self._tabled.set()
        self._channel.send(Message(in_force=table.revision))

    def _new_listener(self) -> Listener:
        return Listener(self._forwarder, self._clients)

    def _drain(self) -> None:
        if self._forwarder.draining:
            return
        self._forwarder.draining = True
        self._tabled.set()
        spawn(self._stop_accepting(), "drain")
        asyncio.get_running_loop().call_later(self._forwarder.settings.drain_seconds, self._expel)

    def _expel(self) -> None:
        """The time to drain is over."""
        self._clients.expel()
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._ended.set)

    async def _stop_accepting(self) -> None:
        """Connections that the kernel has accepted for us are served too: closing the listener would reset them."""
        if self._server is not None:
            accepted: list[socket.socket] = []
            with contextlib.suppress(OSError):  # BlockingIOError: no more are waiting
                while True:
                    accepted.append(self._listener.accept()[0])
            self._server.close()
            for connection in accepted:
                await asyncio.get_running_loop().connect_accepted_socket(self._new_listener, connection)
        self._clients.drain()

    async def _sweep(self, heap: Heap) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = monotonic()
            self._clients.sweep(now)
            self._forwarder.upstreams.sweep(now)
            held = self._forwarder.budget.held
            self._forwarder.counters.worker.gathered(held)
            self._forwarder.counters.worker.beat()
            heap.trim(held)


async def _main(start: Start, control: socket.socket, settings: Settings) -> None:
    await Worker(start, control, settings).run()


def main() -> None:
    start = Start.parse(sys.argv[1])
    logs.set_up(f"worker-{start.index}")
    # The parent tells when to end; a signal to the whole group must not cut off what is in flight.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control = socket.socket(fileno=start.control)
    try:
        settings = first_settings(control)
    except ControlError as error:
        sys.exit(f"Error: worker {start.index} can't start: {error}")
    # Calls leave hardly any cycles behind, so looking for them after each 700 allocations is time lost.
    gc.set_threshold(50_000, 20, 20)
    gc.freeze()  # what is loaded now stays: no collection need look at it again
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(start, control, settings))


if __name__ == "__main__":
    main()
