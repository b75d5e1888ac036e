"""What is bounded by the process: descriptors, and connections that wait."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from tests.fakes.gateway import PREDICT, GatewayProcess, table
from tests.fakes.parent_process import eventually
from tests.fakes.rest_servers import Server, echo

Servers = Callable[..., Server]


@pytest.fixture
def gateway(tmp_path: Path, servers: Servers) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(tmp_path, table(v1=[servers(echo)]), workers=1)
    yield gateway
    gateway.close()


def limit_descriptors(process: int, number: int) -> None:
    psutil.Process(process).rlimit(psutil.RLIMIT_NOFILE, (number, number))


@pytest.fixture
def narrow(gateway: GatewayProcess) -> GatewayProcess:
    """With one worker, started with 64 descriptors."""
    limit_descriptors(gateway.process.pid, 64)
    (before,) = gateway.pids()
    os.kill(before, signal.SIGKILL)
    eventually(lambda: gateway.pids() != [before] and gateway.admin.get("/readyz").status_code == 200)
    return gateway


def test_an_idle_connection_makes_room_for_a_new_one(narrow: GatewayProcess) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(narrow.client())
        for _ in range(100):
            stack.enter_context(socket.create_connection(narrow.address, timeout=30))
            assert client.post(PREDICT).status == 200  # it is not the one that is idle for longest
        newest = stack.enter_context(narrow.client())
        assert newest.post(PREDICT).status == 200
        assert narrow.admin.get("/readyz").text == (
            "ok, worker 0 has as many connections as its descriptors are enough for\n"
        )
    assert narrow.total("turnout_refusals_total", reason="descriptors") >= 60
    eventually(lambda: narrow.admin.get("/readyz").text, lambda text: text == "ok\n")


def test_the_admin_port_survives_requests_that_are_half_sent(narrow: GatewayProcess) -> None:
    host, port = str(narrow.admin.base_url.host), narrow.admin.base_url.port
    assert port is not None
    with ExitStack() as stack:
        for _ in range(200):
            half = stack.enter_context(socket.create_connection((host, port), timeout=30))
            half.sendall(b"GET /metrics HTTP/1.1\r\nHo")
        with httpx.Client(base_url=narrow.admin.base_url, timeout=30) as fresh:
            assert fresh.get("/readyz").status_code == 200
        (worker,) = narrow.pids()
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: narrow.pids() != [worker] and narrow.admin.get("/readyz").status_code == 200)


def test_a_caller_of_the_admin_port_who_is_gone_is_no_error(gateway: GatewayProcess) -> None:
    host, port = str(gateway.admin.base_url.host), gateway.admin.base_url.port
    assert port is not None
    for _ in range(10):
        with socket.create_connection((host, port), timeout=30) as gone:
            gone.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
            gone.recv(200_000)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        assert gateway.admin.get("/livez").status_code == 200
    assert "Traceback" not in gateway.log.read_text()


def test_connections_wait_while_a_worker_can_not_take_them(gateway: GatewayProcess) -> None:
    (worker,) = gateway.pids()
    os.kill(worker, signal.SIGSTOP)
    try:
        with ExitStack() as stack:
            waiting = [stack.enter_context(socket.socket()) for _ in range(300)]
            for connection in waiting:
                connection.settimeout(0.5)  # beyond the queue a connection is not made at all
                connection.connect(gateway.address)
            os.kill(worker, signal.SIGCONT)
            assert gateway.client().post(PREDICT).status == 200
    finally:
        os.kill(worker, signal.SIGCONT)


def test_a_worker_that_hangs_is_told_and_replaced(tmp_path: Path, servers: Servers) -> None:
    gateway = GatewayProcess(tmp_path, table(v1=[servers(echo)]), workers=1, hang_seconds=6.0)
    try:
        (worker,) = gateway.pids()
        os.kill(worker, signal.SIGSTOP)
        answer = eventually(lambda: gateway.admin.get("/readyz"), lambda answer: answer.status_code == 503)
        assert answer.text.startswith("worker 0 has done nothing for ")
        eventually(lambda: gateway.pids() != [worker] and gateway.admin.get("/readyz").status_code == 200)
        assert gateway.client().post(PREDICT).status == 200
        assert "a worker hangs and is killed" in gateway.log.read_text()
    finally:
        gateway.close()
