"""The protocol between parent and worker, cut wherever a socket may cut it."""

import asyncio
import math
import socket
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import ipc
from gateway.contract.route_table import RouteTable
from gateway.ipc import Channel, ControlError, Message, Start, first_settings
from gateway.settings import Settings
from gateway.table_delta import difference
from tests.fakes.parent_process import route_table

MESSAGES = [
    Message(settings=Settings()),
    Message(settings=Settings(drain_seconds=math.inf)),
    Message(settings=Settings(proxies=(ip_network("10.0.0.0/8"), ip_network("fd00:1::/64")))),
    Message(settings=Settings(state=Path("/s"), table=Path("/s/ü.json"), workers=3, timeout=0.5, namespace="a\nb")),
    Message(table=route_table(0, "v1", "v2")),
    Message(change=difference(route_table(0, "v1", "v2"), route_table(1, "v1"))),
    Message(change=difference(route_table(0, "v1"), RouteTable(revision=1))),
    Message(drain=True),
    Message(ready=True),
    Message(in_force=0),
    Message(in_force=12),
    Message(drained=True),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_line_and_comes_back_equal(message: Message) -> None:
    assert message.line.count(b"\n") == 1
    assert message.line.endswith(b"\n")
    assert Message.decode(message.line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"drain",
        b'{"drain":true,"ready":true}',
        b'{"rain":true}',
        b'{"settings":{"port":"http"}}',
        b'{"table":{"revision":-1}}',
    ],
)
def test_any_other_line_is_refused(line: bytes) -> None:
    with pytest.raises(ControlError):
        Message.decode(line)


@given(st.lists(st.sampled_from(MESSAGES), max_size=6), st.data())
def test_messages_arrive_in_order_however_they_are_cut(messages: list[Message], data: st.DataObject) -> None:
    stream = b"".join(message.line for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    received: list[Message] = []
    channel = Channel(received.append, lambda: None)
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        channel.data_received(stream[begin:end])
    assert received == messages


def test_a_table_larger_than_the_socket_holds_arrives_and_the_end_is_told() -> None:
    one = route_table(5, *(f"v{number}" for number in range(100))).deployments[0]
    many = tuple(one.model_copy(update={"name": f"digits-{number}"}) for number in range(200))
    large = Message(table=RouteTable(revision=5, deployments=many))

    async def run() -> None:
        ours, theirs = socket.socketpair()
        received: asyncio.Queue[Message | None] = asyncio.Queue()
        sender = Channel(received.put_nowait, lambda: None)
        await sender.open(ours)
        await Channel(received.put_nowait, lambda: received.put_nowait(None)).open(theirs)
        sender.send(large)
        sender.send(Message(drain=True))
        sender.close()
        sender.send(Message(ready=True))  # too late: dropped
        assert await received.get() == large
        assert await received.get() == Message(drain=True)
        assert await received.get() is None

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_start_survives_its_way_over_the_command_line() -> None:
    start = Start(1, 2, 3, 4)
    assert Start.parse(start.argument()) == start


def test_settings_are_taken_and_nothing_of_what_follows() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for message in (Message(settings=Settings(workers=7)), Message(drain=True)):
            ours.sendall(message.line)
        assert first_settings(theirs) == Settings(workers=7)
        assert theirs.recv(100) == Message(drain=True).line


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "the parent has gone without sending settings"),
        (Message(drain=True).line, "the parent has sent something else before its settings: b'{\"drain\":true}\\n'"),
        (b"nonsense\n", "no control message: b'nonsense\\n': "),
    ],
)
def test_a_worker_without_settings_ends_and_says_why(sent: bytes, reason: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listener:
        start = Start(3, listener.fileno(), 0, theirs.fileno())
        worker = subprocess.Popen(
            [sys.executable, "-m", "gateway.worker", start.argument()],
            pass_fds=(start.listen, start.control),
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        ours.sendall(sent)
        ours.close()
        _, stderr = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert stderr.startswith(f"Error: worker 3 can't start: {reason}")
    assert stderr.count("\n") == 1


def test_a_worker_waits_for_settings_no_longer_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipc, "SETTINGS_SECONDS", 0.01)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ControlError, match=r"no settings within 0\.01 s"):
        first_settings(theirs)
