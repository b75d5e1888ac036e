"""The gateway beside the model servers: how it is run, and what was last heard of it."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

import deployer
from deployer.local.admin_client import GatewayClient, Version
from deployer.local.background import Background
from deployer.local.policy.plan import Phase
from deployer.local.probes import Failed, Ready
from deployer.local.replicas import Replica, Run
from deployer.local.state_folder import StateFolder
from deployer.runtimes.base import HOST
from gateway.contract.state import State as GatewayState
from gateway.contract.state import VersionState

GATEWAY: Version = ("", "gateway")
"""What stands for it where versions are listed."""
PORT, ADMIN_PORT = 8900, 8901
"""Few programs have these by default; 8080 and its neighbours are taken on many laptops."""
LOOK_EVERY = 2.0
"""Seconds between looks: replicas follow averages over a minute."""
LOOK_URGENTLY_EVERY = 0.1
"""While someone waits: for a table to come into force, or for a replica's last request."""
START_LIMIT = 60.0
"""Seconds to become ready."""
PATIENCE = 35.0
"""Seconds between TERM and KILL: the gateway gives its last requests 25 s, then closes."""
RATE_WINDOW = 10.0
"""Seconds over which requests are counted for what people see."""


_UNASKED = VersionState(deployment="", version="")
_SILENT = GatewayState(ready=False, why="it has not answered yet")


class Options(BaseModel):
    """What can be chosen for a gateway. Kept beside it, so that the next supervisor runs it the same way."""

    model_config = ConfigDict(frozen=True)

    port: int = PORT
    admin_port: int = ADMIN_PORT
    workers: int | None = None
    """Data processes; as many as the gateway takes by itself, if None."""
    prometheus: str | None = None
    """Address of the Prometheus that scrapes it."""


class Gateway:
    """One gateway with its route table in `state`."""

    def __init__(self, state: StateFolder, options: Options) -> None:
        self.ports = {"data": options.port, "admin": options.admin_port}
        self.prometheus = options.prometheus
        self._state = state
        self._workers = options.workers
        self._client = GatewayClient(self.admin)
        self._looks: Background[GatewayState] = Background()
        self._looked = -math.inf
        self._latest = _SILENT
        self._history: deque[tuple[float, GatewayState]] = deque()
        self._unchanged = False
        self.idle = False
        """Nothing has changed in what it says over the time that rates are of, nor had at the look before."""

    @property
    def address(self) -> str:
        """For REST and gRPC: `host:port`."""
        return f"{HOST}:{self.ports['data']}"

    @property
    def admin(self) -> str:
        """For metrics and health: `host:port`."""
        return f"{HOST}:{self.ports['admin']}"

    @property
    def ready(self) -> bool:
        """Whether it answers, with a table in force."""
        return self._latest.ready

    @property
    def why(self) -> str:
        """In words, why it is ready or not."""
        return self._latest.why

    @property
    def revision(self) -> int:
        """Of the route table in force on every worker; 0 while there is none."""
        return self._latest.revision or 0

    @property
    def refused(self) -> Mapping[str, str]:
        """Why it serves a deployment otherwise than the route table says."""
        return self._latest.refused

    def run(self) -> Run:
        """How it is started."""
        argv = [sys.executable, "-m", "gateway.cli", "--host", HOST, "--port", str(self.ports["data"])]
        argv += ["--admin-host", HOST, "--admin-port", str(self.ports["admin"])]
        argv += ["--state", str(self._state.root), "--table", str(self._state.routes)]
        if self._workers is not None:
            argv += ["--workers", str(self._workers)]
        # From where the packages lie: in a checkout that isn't installed they are found by it.
        return Run(tuple(argv), {}, Path(deployer.__file__).resolve().parent.parent, {}, {})

    def started(self) -> None:
        """Another process is the gateway now: what was heard is of the one before."""
        self._latest = _SILENT
        self._looks.forget("gateway")

    def look(self, now: float, *, urgent: bool) -> bool:
        """Hear of the gateway, if it is time to; whether something was heard. `urgent`: someone waits for something."""
        answer = self._looks.answer("gateway")
        if answer is not None:
            self._latest = answer
            if answer.ready:
                self._history.append((now, answer))
            while self._history and self._history[0][0] < now - RATE_WINDOW:
                self._history.popleft()
            before = self._unchanged
            self._unchanged = self._span() >= LOOK_EVERY / 2 and self._history[0][1] == answer
            self.idle = before and self._unchanged
        if now - self._looked >= (LOOK_URGENTLY_EVERY if urgent or not self._latest.ready else LOOK_EVERY):
            self.ask(now, 0)
        return answer is not None

    def ask(self, now: float, revision: int) -> None:
        """Let it tell its state, if possible with that revision in force: to be heard by a look to come."""
        self._looked = now
        self._looks.ask("gateway", partial(self._client.read, revision))

    def verdict(self, replica: Replica, now: float) -> Ready | Failed | None:
        """Whether the gateway's process, which is starting, has become ready."""
        if replica.phase is not Phase.STARTING:
            return None
        if self._latest.ready:
            return Ready()
        replica.reason = self._latest.why
        if now - replica.since > START_LIMIT:
            return Failed(f"not ready after {START_LIMIT:.0f} s: {self._latest.why}")
        return None

    def in_flight(self, version: Version, port: int) -> int:
        """Requests at the replica with that REST port."""
        return _of(self._latest, version).in_flight.get(f"{HOST}:{port}", 0)

    def in_flight_seconds(self, version: Version) -> float | None:
        """The seconds that requests to the version were in flight, summed; None if it isn't known now."""
        return _of(self._latest, version).seconds if self._latest.ready else None

    def rates(self, version: Version) -> tuple[float, float] | None:
        """Requests and failures a second over the last seconds; None while too little was heard."""
        if (seconds := self._span()) < LOOK_EVERY / 2:
            return None
        (_, first), (_, last) = self._history[0], self._history[-1]
        before, after = _of(first, version), _of(last, version)
        requests, failures = after.requests - before.requests, after.failures - before.failures
        return max(0, requests) / seconds, max(0, failures) / seconds

    def _span(self) -> float:
        """Seconds that rates can be told of."""
        return self._history[-1][0] - self._history[0][0] if self._history else 0.0

    def close(self) -> None:
        """Close the connection to it."""
        self._client.close()


def _of(state: GatewayState, version: Version) -> VersionState:
    """Without a request yet it isn't told."""
    return state.by_version.get(version, _UNASKED)
