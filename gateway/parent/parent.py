"""The gateway's first process: it owns sockets, workers, discovery and the admin port, and carries no request."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Collection, Sequence
from typing import Any

from gateway import descriptors
from gateway.contract.evidence import Evidence
from gateway.contract.route_table import Deployment, RouteTable
from gateway.contract.state import State
from gateway.discovery import credentials
from gateway.discovery.file import TableFile
from gateway.discovery.kubernetes import KubernetesTables
from gateway.discovery.snapshot import TableSnapshot
from gateway.discovery.source import Source
from gateway.ipc import Message
from gateway.parent.admin import Server
from gateway.parent.exposition import View
from gateway.parent.listeners import open_listeners
from gateway.parent.worker_process import Sent, WorkerProcess
from gateway.settings import Settings
from gateway.stats import evidence_totals, totals
from gateway.stats.evidence_totals import EvidenceCounts, EvidenceTotals
from gateway.stats.totals import Snapshot, Sums, Totals
from gateway.table_delta import difference
from gateway.tasks import spawn

log = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "gateway.worker")


class Parent:
    """`command` starts a worker; its start's argument is added to it."""

    def __init__(self, settings: Settings, command: Sequence[str] = WORKER) -> None:
        """Opens the ports. Raises PortUnavailable, ConfigError."""
        self._settings = settings
        self._source = _source(settings)
        listeners = open_listeners(settings.host, settings.port, settings.workers, settings.backlog, "data")
        try:
            self._admin = open_listeners(settings.admin_host, settings.admin_port, 1, settings.backlog, "admin")[0]
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        self._workers = [WorkerProcess(index, listener, settings, command) for index, listener in enumerate(listeners)]
        self._totals = Totals()
        self._evidence_totals = EvidenceTotals()
        self._name = secrets.token_hex(8)
        """Of what is counted since this start."""
        self._sent = 0
        self._newest: RouteTable | None = None
        self._in_force: Sent | None = None
        self._stop = asyncio.Event()

    async def serve(self) -> None:
        """Until a signal says to end, and what is in flight then has."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        server = Server(self)
        admin = spawn(server.serve(sockets=[self._admin]), "admin")
        # The table first, so that each worker finds it at its start.
        watch = spawn(self._source.watch(self._found), "discovery")
        places = [spawn(worker.keep(self._changed, self._died), f"worker-{worker.index}") for worker in self._workers]
        addresses = {"data": _address(self._workers[0].listener), "admin": _address(self._admin)}
        log.info("listening", extra={**addresses, "workers": len(self._workers), "table": self._source.name})

        await self._stop.wait()
        watch.cancel()
        await self._drain(places)
        server.should_exit = True
        await admin
        log.info("ended")

    def view(self) -> View:
        ready = sum(worker.ready for worker in self._workers)
        return View(
            sums=self._sums(),
            evidence=self._evidence().counts,
            source=self._name,
            newest=None if self._source.table is None else self._source.table.revision,
            in_force=None if self._in_force is None else self._in_force.table.revision,
            age=None if self._source.read_at is None else max(0.0, time.time() - self._source.read_at),
            rejected=self._source.rejected,
            rejecting=self._source.rejecting,
            connected=self._source.connected,
            silence=None if self._source.heard_at is None else max(0.0, time.time() - self._source.heard_at),
            workers={"ready": ready, "starting": len(self._workers) - ready},
            restarts=sum(worker.restarts for worker in self._workers),
            draining=self._stop.is_set(),
        )

    def readiness(self) -> tuple[bool, str]:
        problem = self._source.problem and f"{self._source.name}: {self._source.problem}"
        if self._stop.is_set():
            return False, "draining: this gateway was told to end"
        if self._source.table is None:
            return False, f"there is no route table yet ({problem or 'it has not been read'})"
        waiting = [str(worker.index) for worker in self._workers if not worker.ready or worker.in_force is None]
        if waiting:
            return False, f"waiting for workers {', '.join(waiting)} of {len(self._workers)}"
        hung = [worker for worker in self._workers if worker.silent > self._settings.hang_seconds / 2]
        if hung:
            return False, f"worker {hung[0].index} has done nothing for {hung[0].silent:.0f} s, and is soon replaced"
        notes = [f"by the last good route table ({problem})"] if problem else []
        most = descriptors.most_connections()
        notes += [
            f"worker {worker.index} has as many connections as its descriptors are enough for"
            for worker in self._workers
            if worker.connections * 10 >= most * 9
        ]
        return True, ", ".join(("ok", *notes))

    def report(self) -> dict[str, Any]:
        in_force = None if self._in_force is None else self._in_force.table
        return {
            "revision": None if in_force is None else in_force.revision,
            "newest": None if self._source.table is None else self._source.table.revision,
            "problem": self._source.problem,
            "workers": [
                {
                    "worker": worker.index,
                    "pid": worker.pid,
                    "ready": worker.ready,
                    "revision": None if worker.in_force is None else worker.in_force.table.revision,
                    "restarts": worker.restarts,
                }
                for worker in self._workers
            ],
            "table": None if in_force is None else in_force.model_dump(mode="json"),
        }

    def state(self) -> State:
        ready, why = self.readiness()
        return State(
            ready=ready,
            why=why,
            revision=None if self._in_force is None else self._in_force.table.revision,
            refused=dict(self._source.refused),
            versions=totals.states(self._sums()),
        )

    def evidence(self, keys: Collection[str]) -> Evidence:
        deployments = () if self._newest is None else self._newest.deployments
        asked = [deployment for deployment in deployments if not keys or deployment.key in keys]
        reports = evidence_totals.reports(
            self._evidence(), ((deployment, self._epoch(deployment)) for deployment in asked)
        )
        return Evidence(
            source=self._name,
            ready=self.readiness()[0],
            revision=None if self._in_force is None else self._in_force.table.revision,
            deployments={
                deployment.key: report
                for deployment in asked
                # Who asks for one by name wants to know its epoch in any case.
                if (report := reports[deployment.key]).counts or deployment.canary is not None or keys
            },
        )

    def _sums(self) -> Sums:
        return self._totals.sum(snapshot for worker in self._workers if (snapshot := worker.snapshot()) is not None)

    def _evidence(self) -> EvidenceCounts:
        return self._evidence_totals.sum(
            counts for worker in self._workers if (counts := worker.evidence()) is not None
        )

    def _epoch(self, deployment: Deployment) -> int:
        """The least that any worker assigns requests to."""
        key = (deployment.namespace, deployment.name)
        tables = [worker.oldest for worker in self._workers]
        theirs = (table.by_key.get(key) for table in tables if table is not None)
        return min((known.epoch for known in theirs if known is not None), default=deployment.epoch)

    def _found(self, table: RouteTable) -> None:
        self._totals.follow(table)
        self._evidence_totals.follow(table)
        self._sent += 1
        whole = Message(table=table)
        change = None if self._newest is None else Message(change=difference(self._newest, table))
        self._newest = table
        for worker in self._workers:
            worker.give(Sent(self._sent, table), whole, change)

    def _changed(self) -> None:
        """The table in force is the one of the worker that lags most; there is none while any worker has none."""
        taken = [worker.in_force for worker in self._workers]
        slowest = min((sent for sent in taken if sent is not None), key=lambda sent: sent.number, default=None)
        if None in taken or slowest is None or slowest == self._in_force:
            return
        self._in_force = slowest
        if slowest.number == self._sent:
            self._totals.follow(slowest.table)
            log.info("route table in force", extra={"revision": slowest.table.revision})

    def _died(self, last: Snapshot, evidence: EvidenceCounts) -> None:
        self._totals.fold(last)
        self._evidence_totals.fold(evidence)

    def _signalled(self, number: int) -> None:
        again = self._stop.is_set()
        log.info("told to end", extra={"signal": signal.Signals(number).name, "at_once": again})
        self._stop.set()
        if again:
            for worker in self._workers:
                worker.kill()

    async def _drain(self, places: Sequence[asyncio.Task[None]]) -> None:
        for worker in self._workers:
            worker.drain()
            worker.listener.close()  # the worker's own descriptor goes on until it has stopped accepting
        _, left = await asyncio.wait(places, timeout=self._settings.drain_seconds)
        if left:
            log.warning("requests are cut off", extra={"after": self._settings.drain_seconds})
            for worker in self._workers:
                worker.kill()
            await asyncio.wait(left)


def _source(settings: Settings) -> Source:
    saved = TableSnapshot(settings.last_good)
    if settings.discovery == "kubernetes":
        return KubernetesTables(credentials.find(), settings.namespace, saved)
    return TableFile(settings.table_path, settings.poll_interval, saved)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
