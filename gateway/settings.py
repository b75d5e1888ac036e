"""What can be set on a gateway: every default in one place, with the reason for its value."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

KIB = 1024
MIB = 1024 * KIB


def state_folder() -> Path:
    """Where a gateway and a local deployer meet by default: TURNOUT_STATE, else the XDG state folder's `turnout`."""
    if chosen := os.environ.get("TURNOUT_STATE"):
        return Path(chosen)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "turnout"


@dataclass(frozen=True)
class Settings:
    """Times are in seconds, sizes in bytes. What is said to be per worker is not divided: a gateway has it N times."""

    host: str = "127.0.0.1"
    """Loopback: to be reachable from elsewhere is a decision, not a default."""

    port: int = 8080
    """The data port, REST and gRPC alike. 0 lets the system choose."""

    admin_host: str = "127.0.0.1"
    """The admin port shows the whole route table, so it stays on the machine unless told otherwise."""

    admin_port: int = 8081
    """Next to the data port. 0 lets the system choose."""

    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """One data loop for each processor that this process may use: a loop keeps one busy, a second would only queue."""

    state: Path = field(default_factory=state_folder)
    """Keeps the last good route table, so that a restart does not depend on whoever writes tables."""

    discovery: Literal["file", "kubernetes"] = "file"
    """Where route tables come from: a deployer's file, or a cluster's API server."""

    namespace: str | None = None
    """Of Kubernetes: the only one that is looked at; all where nothing is said."""

    table: Path | None = None
    """The route table's file; `routes.json` in the state folder where nothing is said."""

    poll_interval: float = 0.05
    """A stat of the table's file each time costs nothing, and a change is in force well within the second promised.
    Polling also sees what inotify does not: network file systems and Kubernetes' swapped symbolic links."""

    backlog: int = 4096
    """Connections that wait while a worker restarts, per worker; Linux's own default bound (net.core.somaxconn)."""

    max_head_bytes: int = 64 * KIB
    """A request's headers. Tokens and cookies fit many times; eight times what most servers allow."""

    max_message_bytes: int = 64 * MIB
    """A request's body or gRPC message: a batch of 100 uncompressed images of 224 x 224 x 3 floats is 60 MB.
    One limit for all protocols, on each hop."""

    gather_budget_bytes: int = 512 * MIB
    """What one worker may hold for its clients, of requests and of answers that they have not taken: eight of the
    largest. A connection has as much of it as is still free (`gateway/memory_budget.py`). Per worker."""

    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Whose word is taken for who calls. Nobody's by default: what anyone may write would be anyone's."""

    timeout: float = 60.0
    """The deadline of a request that names none, where its deployment says nothing: longer than most predictions that
    are worth waiting for, short enough to end. Bodies have as long to arrive."""

    max_timeout: float = 3600.0
    """What deadlines of callers and deployments come down to: longer than any prediction takes, and what a forgotten
    request holds is given back on the same day."""

    connect_timeout: float = 1.0
    """To an endpoint. Servers are near: a second means a lost SYN, and the retry goes to another endpoint."""

    max_endpoint_connections: int = 1024
    """REST connections to one endpoint, per worker (Envoy's own default): each is a request in flight there, and what
    a model server does not answer it should not be given more of."""

    max_endpoint_grpc_connections: int = 8
    """gRPC connections to one endpoint, per worker: a second is opened only where the first has all the streams that
    the server allows (100 or more); what comes on top waits for a free stream."""

    max_endpoint_waiting: int = 1024
    """gRPC requests that wait for a free stream of one endpoint, per worker: those above are sent elsewhere or refused
    at once, as REST's are above the connections."""

    read_timeout: float = 10.0
    """For the head of a request to arrive whole. The body has until `timeout`."""

    idle_timeout: float = 300.0
    """A client's connection without a request. Longer than the usual balancer's 60 s, so that they close first."""

    max_connection_age: float = 300.0
    """A client's gRPC connection, a tenth more or less: then it is asked for another, since all its calls come to the
    one gateway that it was made to, and a gateway that joins would get nothing. What is under way is answered."""

    upstream_idle_timeout: float = 1.5
    """A kept REST connection to an endpoint. Below what model servers allow (gunicorn, which serves Seldon's, 2 s;
    uvicorn, which serves MLServer, 5 s), so that no request meets a connection that is being closed."""

    upstream_grpc_idle_timeout: float = 30.0
    """A kept gRPC connection to an endpoint: gRPC's servers close none for that, and say so beforehand."""

    drain_seconds: float = 25.0
    """To finish what is in flight once told to end: under the 30 s after which Kubernetes kills."""

    hang_seconds: float = 20.0
    """A worker whose loop has not run for so long is killed and replaced: what it has is lost to its callers anyway,
    and a machine that is busy has it run each few seconds. At half of it the gateway is not ready."""

    log_failures_per_second: float = 5.0
    """Failed requests logged with their reason, per worker. More tell nothing new and fill the disk in an outage."""

    @property
    def last_good(self) -> Path:
        """The saved route table: one for each source, since one says nothing of the other's."""
        return self.state / ("routes.last-good.json" if self.discovery == "file" else "routes.kubernetes.json")

    @property
    def table_path(self) -> Path:
        return self.table if self.table is not None else self.state / "routes.json"
