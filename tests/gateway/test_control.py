"""The protocol between parent and worker, cut wherever a socket may cut it."""

import asyncio
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.change import difference
from gateway.control import Channel, ControlError, Message, Start
from gateway.settings import Settings
from gateway.table import RouteTable
from tests.gateway.parent_process import route_table

MESSAGES = [
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
    [b"", b"{}", b"[]", b"drain", b'{"drain":true,"ready":true}', b'{"rain":true}', b'{"table":{"revision":-1}}'],
)
def test_any_other_line_is_refused(line: bytes) -> None:
    with pytest.raises(ControlError):
        Message.decode(line)


@given(st.lists(st.sampled_from(MESSAGES), max_size=6), st.data())
def test_messages_arrive_in_order_however_they_are_cut(messages: list[Message], data: st.DataObject) -> None:
    stream = b"".join(message.line for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    heard: list[Message] = []
    channel = Channel(heard.append, lambda: None)
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        channel.data_received(stream[begin:end])
    assert heard == messages


def test_a_table_larger_than_the_socket_holds_arrives_and_the_end_is_told() -> None:
    one = route_table(5, *(f"v{number}" for number in range(100))).deployments[0]
    many = tuple(one.model_copy(update={"name": f"digits-{number}"}) for number in range(200))
    large = Message(table=RouteTable(revision=5, deployments=many))

    async def run() -> None:
        ours, theirs = socket.socketpair()
        heard: asyncio.Queue[Message | None] = asyncio.Queue()
        sender = Channel(heard.put_nowait, lambda: None)
        await sender.open(ours)
        await Channel(heard.put_nowait, lambda: heard.put_nowait(None)).open(theirs)
        sender.send(large)
        sender.send(Message(drain=True))
        sender.close()
        sender.send(Message(ready=True))  # too late: dropped
        assert await heard.get() == large
        assert await heard.get() == Message(drain=True)
        assert await heard.get() is None

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_start_survives_its_way_over_the_command_line(tmp_path: Path) -> None:
    for settings in (Settings(), Settings(state=tmp_path, table=tmp_path / "ü.json", workers=3, timeout=0.5)):
        start = Start(1, 2, 3, 4, settings)
        assert Start.parse(start.argument()) == start
