"""The parent with real worker processes: deaths, tables, ports, signals."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.parent.listeners import PortUnavailable, open_listeners
from tests.fakes.needs import lacking
from tests.fakes.parent_process import ParentProcess, eventually, route_table

Start = Callable[..., ParentProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[ParentProcess] = []

    def begin(**settings: Any) -> ParentProcess:
        started.append(ParentProcess(tmp_path, **settings))
        return started[-1]

    yield begin
    for parent in started:
        parent.close()


@pytest.fixture
def parent(start: Start) -> ParentProcess:
    parent = start()
    parent.publish(route_table(1, "v1"))
    return parent.ready()


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def refused(parent: ParentProcess) -> bool:
    """Whether a new connection is, at once, and does not wait for nobody."""
    try:
        socket.create_connection(parent.address, timeout=20).close()
    except ConnectionRefusedError:
        return True
    return False


def test_each_worker_gets_connections(parent: ParentProcess) -> None:
    pids = parent.pids()
    assert len(set(pids)) == 2
    assert {parent.ask("pid") for _ in range(100)} == set(pids)


def test_a_killed_worker_is_replaced_and_its_waiting_connections_are_answered(start: Start) -> None:
    parent = start(workers=1)
    parent.publish(route_table(1, "v1"))
    (old,) = parent.ready().pids()
    held = parent.connect("hold")
    assert held.recv(5) == b"held\n"
    os.kill(old, signal.SIGSTOP)  # it accepts no more, as one that is about to die
    waiting = [parent.connect("pid") for _ in range(20)]
    os.kill(old, signal.SIGKILL)
    for connection in waiting:
        with connection, connection.makefile() as lines:
            assert int(lines.readline()) != old
    with held, contextlib.suppress(ConnectionResetError):
        assert held.recv(1) == b""
    report = eventually(parent.report, lambda report: report["workers"][0]["ready"])
    assert report["workers"][0] == {
        "worker": 0,
        "pid": parent.pids()[0],
        "ready": True,
        "revision": 1,
        "restarts": 1,
    }


def test_a_gateway_with_a_worker_missing_is_not_ready(parent: ParentProcess) -> None:
    os.kill(parent.pids()[1], signal.SIGKILL)
    answer = eventually(lambda: parent.admin.get("/readyz"), lambda answer: answer.status_code == 503)
    assert answer.text == "waiting for workers 1 of 2\n"
    parent.ready()


def test_a_worker_that_dies_over_and_over_is_replaced_ever_more_slowly(start: Start) -> None:
    parent = start(command=[sys.executable, "-c", "raise SystemExit(3)"], workers=1)
    parent.publish(route_table(1, "v1"))
    eventually(lambda: "pause=0.4" in parent.log.read_text())
    pauses = [line.partition("pause=")[2] for line in parent.log.read_text().splitlines() if "pause=" in line]
    assert pauses[:4] == ["0.0", "0.1", "0.2", "0.4"]
    assert "exit=3" in parent.log.read_text()
    assert parent.admin.get("/livez").status_code == 200
    assert parent.admin.get("/readyz").status_code == 503


def test_a_worker_command_that_is_missing_is_said_so(start: Start) -> None:
    parent = start(command=["/nowhere/python"])
    eventually(lambda: "No such file or directory" in parent.log.read_text())
    assert "Traceback" not in parent.log.read_text()


def test_the_table_in_force_is_the_slowest_workers(parent: ParentProcess) -> None:
    first, second = parent.pids()
    os.kill(second, signal.SIGSTOP)
    parent.publish(route_table(2, "v1", "v2"))
    report = eventually(parent.report, lambda report: report["workers"][0]["revision"] == 2)
    assert [worker["revision"] for worker in report["workers"]] == [2, 1]
    assert (report["revision"], report["newest"]) == (1, 2)
    assert [version["name"] for version in report["table"]["deployments"][0]["versions"]] == ["v1"]
    os.kill(second, signal.SIGCONT)
    parent.in_force(2)
    assert parent.pids() == [first, second]


def test_a_lower_revision_is_taken_and_awaited(parent: ParentProcess) -> None:
    parent.publish(route_table(9, "v1"))
    parent.in_force(9)
    parent.publish(route_table(0, "v3"))
    parent.in_force(0)
    assert parent.report()["table"]["deployments"][0]["stable"] == "v3"


def test_a_replaced_worker_gets_the_newest_table(parent: ParentProcess) -> None:
    parent.publish(route_table(2, "v2"))
    parent.in_force(2)
    os.kill(parent.pids()[0], signal.SIGKILL)
    eventually(parent.report, lambda report: report["workers"][0]["restarts"] == 1 and report["workers"][0]["ready"])
    assert [worker["revision"] for worker in parent.report()["workers"]] == [2, 2]


def test_a_restart_with_a_broken_table_serves_by_the_last_good_one(start: Start) -> None:
    parent = start()
    parent.publish(route_table(4, "v1"))
    parent.ready()
    parent.close()
    parent.table.write_text('{"revision": ')
    again = start().ready()
    assert again.report()["revision"] == 4
    text = again.admin.get("/readyz").text
    assert text.startswith(f"ok, by the last good route table ({again.table}: the document: Invalid JSON")
    assert again.report()["problem"].startswith("the document: Invalid JSON")


def test_without_any_table_it_is_alive_and_not_ready(start: Start) -> None:
    parent = start()
    assert parent.admin.get("/livez").status_code == 200
    expected = f"there is no route table yet ({parent.table}: No such file or directory)\n"
    eventually(lambda: parent.admin.get("/readyz").text, lambda text: text == expected)
    assert parent.admin.get("/table").json()["table"] is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_unready_at_once_and_finishes_what_is_in_flight(parent: ParentProcess, number: int) -> None:
    workers = parent.pids()
    with parent.connect("hold") as held, held.makefile() as lines:
        assert lines.readline() == "held\n"
        parent.process.send_signal(number)
        answer = eventually(lambda: parent.admin.get("/readyz"), lambda answer: answer.status_code == 503)
        assert answer.text.startswith("draining")
        assert parent.admin.get("/livez").status_code == 200
        assert "turnout_draining 1.0" in parent.admin.get("/metrics").text
        eventually(lambda: refused(parent))
        held.sendall(b"go\n")
        assert int(lines.readline()) in workers
    assert parent.process.wait(20) == 0
    assert all(map(gone, workers))
    assert "requests are cut off" not in parent.log.read_text()


def test_what_does_not_finish_in_time_is_cut_off(start: Start) -> None:
    parent = start(drain_seconds=0.2)
    parent.publish(route_table(1, "v1"))
    workers = parent.ready().pids()
    with parent.connect("hold") as held:
        assert held.recv(5) == b"held\n"
        parent.term()
        assert parent.process.wait(20) == 0
    assert all(map(gone, workers))
    assert "requests are cut off" in parent.log.read_text()


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    parent = start(drain_seconds=1000)
    parent.publish(route_table(1, "v1"))
    workers = parent.ready().pids()
    with parent.connect("hold") as held:
        assert held.recv(5) == b"held\n"
        parent.term()
        eventually(lambda: "told to end" in parent.log.read_text())
        parent.term()
        assert parent.process.wait(20) == 0
    assert all(map(gone, workers))


def test_workers_end_when_the_parent_is_killed_but_not_before_they_are_done(parent: ParentProcess) -> None:
    workers = parent.pids()
    with parent.connect("hold") as held, held.makefile() as lines:
        assert lines.readline() == "held\n"
        parent.process.kill()
        parent.process.wait()
        held.sendall(b"go\n")
        assert int(lines.readline()) in workers
    for pid in workers:
        eventually(partial(gone, pid))


def test_a_signal_to_the_group_leaves_the_workers_to_the_parent(parent: ParentProcess) -> None:
    assert all(os.getpgid(pid) != os.getpgid(parent.process.pid) for pid in parent.pids())


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_taken_port_is_named_and_nothing_else_is_printed(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--port": "0", "--admin-port": "0", option: str(port)}
        argv = [sys.executable, "-m", "gateway.cli", "--state", str(tmp_path)]
        for name, value in ports.items():
            argv += [name, value]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    name = {"--port": "data", "--admin-port": "admin"}[option]
    assert ended.stderr == (
        f"Error: the {name} port 127.0.0.1:{port} can't be opened: it is taken; end what listens there, "
        "or choose another port (0 for any that is free)\n"
    )


def test_two_gateways_never_share_a_port() -> None:
    first = open_listeners("127.0.0.1", 0, 3, 16, "data")
    port = first[0].getsockname()[1]
    try:
        assert {listener.getsockname()[1] for listener in first} == {port}
        with pytest.raises(PortUnavailable, match=f"data port 127.0.0.1:{port} .* it is taken"):
            open_listeners("127.0.0.1", port, 3, 16, "data")
    finally:
        for listener in first:
            listener.close()
    for listener in open_listeners("127.0.0.1", port, 2, 16, "data"):
        listener.close()


@pytest.mark.parametrize(
    ("host", "able", "reached"),
    [
        ("::", True, {"127.0.0.1", "::1"}),
        ("::", False, {"127.0.0.1"}),  # the machine has no IPv6
        ("::1", True, {"::1"}),
        ("0.0.0.0", True, {"127.0.0.1"}),
        ("127.0.0.1", True, {"127.0.0.1"}),
    ],
)
def test_where_it_listens(host: str, able: bool, reached: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if able and not socket.has_dualstack_ipv6():
        lacking("this machine has no IPv6")
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: able)
    listeners = open_listeners(host, 0, 2, 16, "data")
    port = listeners[0].getsockname()[1]
    found = set()
    try:
        for address in ("127.0.0.1", "::1"):
            with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=10):
                found.add(address)
    finally:
        for listener in listeners:
            listener.close()
    assert found == reached


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_that_is_not_here_is_said_so(host: str) -> None:
    with pytest.raises(PortUnavailable, match=f"{host}:8000 .* the host is no address of this machine"):
        open_listeners(host, 8000, 1, 16, "data")
