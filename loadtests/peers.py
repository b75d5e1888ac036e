"""What is measured: each peer stands before the same upstream and splits in the same way."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gateway.contract import route_table
from loadtests import envoy, payloads, tools
from loadtests.processes import Process, running

WEIGHTS = {"v1": 90, "v2": 10}
DEADLINE = 60
"""Seconds; each peer arms a timer a request for it, or for the sooner deadline that the caller sent."""


class Peer(NamedTuple):
    """A proxy, or `direct`: then there is no process and requests go straight to v1."""

    ports: Mapping[str, int]
    process: Process | None

    def cpu_seconds(self) -> float:
        return self.process.cpu_seconds() if self.process else 0.0


@contextmanager
def upstream(cpus: Sequence[int], folder: Path) -> Iterator[envoy.Ports]:
    """The stand-ins for v1 and v2. `folder` is what payloads.write filled."""
    # One thread and a rarer garbage collection: it shares its core with the load.
    tuned = {"GOMAXPROCS": "1", "GOGC": "400"}
    command = [str(tools.program("upstream")), "-folder", str(folder)]
    with running("upstream", command, cpus, folder, tuned) as process:
        ports: envoy.Ports = process.wait(lambda: _json(folder / "upstream.log"))
        yield ports


@contextmanager
def direct(ports: envoy.Ports) -> Iterator[Peer]:
    yield Peer(ports["v1"], None)


@contextmanager
def turnout(ports: envoy.Ports, cpus: Sequence[int], folder: Path) -> Iterator[Peer]:
    """The gateway as users start it, with one worker."""
    versions = tuple(
        route_table.Version(name=name, endpoints=(route_table.Endpoint(host="127.0.0.1", **ports[name]),))
        for name in WEIGHTS
    )
    deployment = route_table.Deployment(
        namespace="default",
        name=payloads.MODEL,
        runtime="tfserving",
        stable="v1",
        canary="v2",
        weight=WEIGHTS["v2"],
        versions=versions,
    )
    routes = folder / "routes.json"
    routes.write_bytes(route_table.write(route_table.RouteTable(revision=1, deployments=(deployment,))))
    command = [sys.executable, "-m", "gateway.cli", "--port", "0", "--admin-port", "0"]
    command += ["--workers", "1", "--state", str(folder), "--table", str(routes), "--timeout", str(DEADLINE)]
    with running("turnout", command, cpus, folder) as process:
        port, admin = process.wait(lambda: _listening(folder / "turnout.log"))
        process.wait(lambda: _get(f"http://{admin}/readyz"))
        yield Peer({"rest": port, "grpc": port}, process)


@contextmanager
def envoy_proxy(ports: envoy.Ports, cpus: Sequence[int], folder: Path) -> Iterator[Peer]:
    config, admin = folder / "envoy.json", folder / "envoy.admin"
    admin.unlink(missing_ok=True)  # an earlier start's
    config.write_text(json.dumps(envoy.render(ports, WEIGHTS, DEADLINE), indent=1))
    command = [str(tools.envoy()), "--config-path", str(config), "--admin-address-path", str(admin)]
    command += ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"]
    with running("envoy", command, cpus, folder) as process:
        yield Peer(process.wait(lambda: _listeners(admin)), process)


def _listeners(admin: Path) -> dict[str, int] | None:
    """Envoy's ports by listener, once it serves."""
    address = admin.read_text() if admin.exists() else ""
    found = _get(f"http://{address}/listeners?format=json") if address else None
    listeners = json.loads(found)["listener_statuses"] if found else []
    ports = {entry["name"]: entry["local_address"]["socket_address"]["port_value"] for entry in listeners}
    return ports if len(ports) == 2 else None


def _get(url: str) -> bytes | None:
    """The body of a 200; None for anything else."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, ConnectionError):
        return None


def _listening(log: Path) -> tuple[int, str] | None:
    """The data port and the admin port's address, from the line that tells them."""
    found = re.search(r"message=listening .*?data=\S+:(\d+) admin=(\S+)", log.read_text())
    return (int(found[1]), found[2]) if found else None


def _json(path: Path) -> Any:
    text = path.read_text()
    return json.loads(text) if text.endswith("\n") else None
