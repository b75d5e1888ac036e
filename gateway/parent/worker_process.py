"""One worker's place: its socket, which outlives the process in it, and that process, replaced whenever it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.contract.route_table import RouteTable
from gateway.ipc import Channel, Message, Start
from gateway.settings import Settings
from gateway.stats import counters, evidence_totals, totals
from gateway.stats.evidence_totals import EvidenceCounts
from gateway.tasks import spawn

log = logging.getLogger(__name__)

STEADY_SECONDS = 10.0
"""A worker that lived this long died of something new: it is replaced at once."""

LONGEST_PAUSE = 5.0
"""Between restarts of one that can't live, in seconds: it costs a start's processor time each, and may recover."""


LOOK_SECONDS = 1.0
"""Between two looks at whether a worker's loop runs."""


class Sent(NamedTuple):
    """A table as the n-th that the parent has sent: revisions need not rise."""

    number: int
    table: RouteTable


class WorkerProcess:
    def __init__(self, index: int, listener: socket.socket, settings: Settings, command: Sequence[str]) -> None:
        self.index = index
        self.listener = listener
        self.restarts = 0
        self.ready = False
        self.silent = 0.0
        """Seconds for which its loop has not run, as far as is known."""
        self.in_force: Sent | None = None
        self._settings = Message(settings=settings)
        self._hang_seconds = settings.hang_seconds
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._memory: mmap.mmap | None = None
        self._latest: tuple[Sent, Message] | None = None
        self._unconfirmed: deque[Sent] = deque()
        self._ending = asyncio.Event()
        self._changed: Callable[[], None] = lambda: None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def keep(self, changed: Callable[[], None], died: Callable[[totals.Snapshot, EvidenceCounts], None]) -> None:
        """Have a process in this place until `drain`, and then until that process ends.

        `changed` is called when the worker has become ready or has taken a table, `died` with what it had counted.
        """
        self._changed = changed
        failures = 0
        while not self._ending.is_set():
            began = time.monotonic()
            end: object
            try:
                end = await self._run()
            except OSError as error:
                end = error
            last, evidence = self.snapshot(), self.evidence()
            if last is not None and evidence is not None:
                died(last, evidence)
            self._memory = None
            if self._ending.is_set():
                return
            failures = 1 if time.monotonic() - began > STEADY_SECONDS else failures + 1
            pause = 0.0 if failures == 1 else min(0.1 * 2 ** (failures - 2), LONGEST_PAUSE)
            log.error("a worker died and is replaced", extra={"worker": self.index, "exit": end, "pause": pause})
            self.restarts += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)

    def give(self, sent: Sent, whole: Message, change: Message | None) -> None:
        """The newest table, for the process here and those after it: whole, and as a change of the one given before.
        Messages are encoded once for all workers."""
        first = self._latest is None
        self._latest = sent, whole
        if self._channel is not None:
            self._send(sent, whole if first or change is None else change)

    def drain(self) -> None:
        self._ending.set()
        if self._channel is not None:
            self._channel.send(Message(drain=True))

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def snapshot(self) -> totals.Snapshot | None:
        """What this process has counted until now; None while there is none."""
        return None if self._memory is None else totals.read(self._memory, time.monotonic_ns() // 1000)

    @property
    def connections(self) -> int:
        """Of clients, now open."""
        return 0 if self._memory is None else totals.connections(self._memory)

    def evidence(self) -> EvidenceCounts | None:
        """The same, of evidence."""
        return None if self._memory is None else evidence_totals.read(self._memory)

    @property
    def oldest(self) -> RouteTable | None:
        """The table that this process may route by, or one after it; None where it routes nothing. The process after
        this one begins with the newest."""
        if self.in_force is not None:
            return self.in_force.table
        return self._unconfirmed[0].table if self._unconfirmed else None

    async def _run(self) -> int:
        ours, theirs = socket.socketpair()
        memory = counters.allocate()
        self._memory = counters.attach(memory)
        start = Start(self.index, self.listener.fileno(), memory, theirs.fileno())
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                start.argument(),
                pass_fds=(start.listen, start.counters, start.control),
                stdin=asyncio.subprocess.DEVNULL,
                # A session of its own: what a terminal or a supervisor sends to our group is ours to pass on.
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(memory)
        self._process = process
        channel = Channel(self._received, self._silent)
        await channel.open(ours)
        self._channel = channel
        channel.send(self._settings)
        if self._latest is not None:
            self._send(*self._latest)
        if self._ending.is_set():  # while it was being started
            channel.send(Message(drain=True))
        watch = spawn(self._watch(self._memory), f"watch-{self.index}")
        code = await process.wait()
        watch.cancel()
        self.silent = 0.0
        channel.close()
        self._process = self._channel = None
        self._unconfirmed.clear()
        self.ready, self.in_force = False, None
        return code

    async def _watch(self, memory: mmap.mmap) -> None:
        """Kill the process where its loop stands still. Time in which this one stands still, too, doesn't count."""
        last = 0
        while self.silent < self._hang_seconds:
            await asyncio.sleep(LOOK_SECONDS)
            beats = totals.beats(memory)
            self.silent = self.silent + LOOK_SECONDS if beats == last and beats else 0.0
            last = beats
        log.error("a worker hangs and is killed", extra={"worker": self.index, "silent": self.silent})
        self.kill()

    def _send(self, sent: Sent, message: Message) -> None:
        assert self._channel is not None
        self._unconfirmed.append(sent)
        self._channel.send(message)

    def _silent(self) -> None:
        if not self._ending.is_set():
            self.kill()  # a worker that can't be told anything; most often it is dead already

    def _received(self, message: Message) -> None:
        if message.ready:
            self.ready = True
        elif message.in_force is not None:
            while self._unconfirmed:
                self.in_force = self._unconfirmed.popleft()
                if self.in_force.table.revision == message.in_force:
                    break
        self._changed()
