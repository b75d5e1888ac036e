"""One process on this machine, be it a version's replica or the gateway: started, adopted, watched, ended."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployer.local.policy.plan import Phase
from deployer.local.processes import OWNER, Identity, Processes, intended, survivors
from deployer.local.state_folder import Record, StateFolder
from deployer.runtimes.base import HOST, Process
from gateway.contract.route_table import Deployment, Endpoint, RouteTable

LOG_LIMIT = 10 * 1024 * 1024
"""Bytes. A larger log is put aside at the next start, so that one kept restarting for weeks fills no disk."""


@dataclass(frozen=True)
class Run:
    """What to run. `folder` is the process's own."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    files: Mapping[Path, str]
    links: Mapping[Path, Path]

    @classmethod
    def of(cls, process: Process) -> Run:
        return cls(process.argv, process.env, process.cwd, process.files, process.links)

    def digest(self) -> str:
        """Equal for equal starts, over supervisors."""
        parts = (self.argv, sorted(self.env.items()), self.cwd, sorted(self.files.items()), sorted(self.links.items()))
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]

    def prepare(self) -> None:
        """Write the files and make the links. Raises OSError."""
        self.cwd.mkdir(parents=True, exist_ok=True)
        for path, text in self.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for path, target in self.links.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(target)


@dataclass
class Replica:
    """One process and where it is on its way. Times are on the supervisor's clock."""

    record: Record
    phase: Phase
    since: float
    """When it came into its phase."""
    current: bool = True
    process: Process | None = None
    """How to ask after it; None for the gateway, and until its document is known to this supervisor."""
    reason: str = ""
    """Why it isn't ready, or why it ends."""
    left_at: int | None = None
    """The first revision of the route table without it, once it is leaving."""
    asked: bool = False
    missed: int = 0
    """Looks in a row at which it was not well."""
    ask_at: float = 0.0
    """When to ask after it next."""
    timeout: float = 0.0
    """Seconds that requests to it may take, once it is leaving, or ready no more."""
    unrecorded: str = ""
    """Why its record can't be written; "" where it is."""

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def key(self) -> tuple[str, str]:
        """The deployment's key and the version's name."""
        return self.record.deployment, self.record.version

    def routed(self, table: RouteTable) -> bool:
        """Whether the route table sends requests to it."""
        deployment = self._deployment(table)
        version = deployment.by_name.get(self.record.version) if deployment is not None else None
        return version is not None and any(e.rest == self.record.ports["rest"] for e in version.endpoints)

    def deadline_in(self, table: RouteTable) -> float | None:
        """The seconds that the route table gives a request to it, where it says."""
        deployment = self._deployment(table)
        return deployment.timeout if deployment is not None else None

    def _deployment(self, table: RouteTable) -> Deployment | None:
        return {d.key: d for d in table.deployments}.get(self.record.deployment)

    def enter(self, phase: Phase, now: float, reason: str = "") -> None:
        """Come into a phase, for a reason."""
        self.phase, self.since, self.reason = phase, now, reason


class Replicas:
    """All processes of one supervisor, with their records."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._processes = Processes()
        self.by_name: dict[str, Replica] = {}

    def adopt(self, now: float) -> list[Replica]:
        """Take over what the records tell of and still runs. Where only children are left, they are to end."""
        for record in self._state.records():
            identity = self._processes.adopt(record.identity)
            if identity is not None:
                record = record.model_copy(update={"identity": identity})
                phase = Phase.READY if record.ready else Phase.STARTING
                self.by_name[record.name] = Replica(record, phase, now)
            elif survivors(record.identity):
                self.by_name[record.name] = Replica(record, Phase.ENDING, now, reason="its first process has ended")
            else:
                self._state.delete_record(record.name)
        return list(self.by_name.values())

    def start(self, record: Record, run: Run, now: float) -> Replica:
        """Start what `record` (without an identity yet) is to tell of. Where that can't be written, as on a full disk,
        it runs all the same: a supervisor that finds it without a record ends it.

        Raises:
            OSError: it can't be started; no record is left.
        """
        record = record.model_copy(update={"identity": intended(), "digest": run.digest()})
        log = self._state.log(record.name)
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            os.replace(log, log.with_suffix(".log.1"))
        replica = Replica(record, Phase.STARTING, now)
        self._write(replica)  # first: if we die before the second writing, its marker is known
        try:
            # What one that was killed has left there could be served in place of this one's.
            shutil.rmtree(self._state.work / record.name, ignore_errors=True)
            run.prepare()
            environment = {**run.env, OWNER: self._state.owner}
            identity = self._processes.start(record.identity, run.argv, environment, run.cwd, log)
        except OSError:
            self._state.delete_record(record.name)
            raise
        replica.record = record.model_copy(update={"identity": identity})
        self._write(replica)
        self.by_name[record.name] = replica
        return replica

    def ready(self, replica: Replica, now: float) -> None:
        """It may take traffic from now on; whoever adopts it knows."""
        replica.enter(Phase.READY, now)
        replica.record = replica.record.model_copy(update={"ready": True})
        self._write(replica)

    def write_missing(self) -> None:
        """Try again what records could not be written."""
        for replica in self.by_name.values():
            if replica.unrecorded:
                self._write(replica)

    def _write(self, replica: Replica) -> None:
        try:
            self._state.write_record(replica.record)
            replica.unrecorded = ""
        except OSError as error:
            replica.unrecorded = str(error)

    def any_ended(self) -> bool:
        """Whether a first process has ended and was not asked for since. Costs next to nothing."""
        return self._processes.any_ended()

    def ending(self, replica: Replica) -> str | None:
        """How its first process ended, with its last words unless it was killed; None while it lives."""
        how = self._processes.ending(replica.record.identity)
        if how is None:
            return None
        last_words = "" if "SIG" in how else last_line(self._state.log(replica.name))
        return f"{how}: {last_words}" if last_words else how

    def signal(self, replica: Replica, number: signal.Signals, *, leader_only: bool) -> None:
        """Ask it to end, or end it: all of its processes, or the first alone."""
        self._processes.signal(replica.record.identity, number, leader_only=leader_only)
        replica.asked = True

    def gone(self, replica: Replica) -> bool:
        """Whether nothing is left of an ending one; then nothing of it is kept either."""
        identity: Identity = replica.record.identity
        if self._processes.ending(identity) is None or survivors(identity):
            return False
        self._processes.forget(identity)
        self._state.delete_record(replica.name)
        shutil.rmtree(self._state.work / replica.name, ignore_errors=True)
        del self.by_name[replica.name]
        return True

    def endpoints(self) -> dict[tuple[str, str], list[Endpoint]]:
        """Where those that are ready answer, by version."""
        endpoints: dict[tuple[str, str], list[Endpoint]] = {}
        for replica in sorted(self.by_name.values(), key=lambda replica: replica.record.index):
            if replica.phase is Phase.READY and replica.record.deployment:
                ports = replica.record.ports
                endpoint = Endpoint(host=HOST, rest=ports["rest"], grpc=ports["grpc"])
                endpoints.setdefault(replica.key, []).append(endpoint)
        return endpoints

    def ports(self) -> set[int]:
        """All that processes of ours have been given, bound or not yet."""
        return {port for replica in self.by_name.values() for port in replica.record.ports.values()}


def last_line(log: Path) -> str:
    """The last line of a log that says something, cut to what fits a status."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")[:300]
