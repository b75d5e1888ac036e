"""What one client sends at once is read, and answered, in turns with the others."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from gateway.downstream import rest_connection
from gateway.downstream.rest_call import RestCall
from gateway.downstream.rest_connection import RestConnection
from gateway.wire.http1.heads import Head
from tests.fakes.gateway import PREDICT, Gateway, table
from tests.fakes.rest_client import request
from tests.fakes.rest_servers import Server, echo

MANY = 500


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a portion each, however fast this machine is."""
    monkeypatch.setattr(rest_connection, "TURN_SECONDS", 0.0)


@pytest.mark.parametrize("target", [PREDICT, "/v1/models/unknown:predict"])
def test_others_have_their_turn_before_the_last_of_many_requests(
    start_gateway: Callable[..., Gateway],
    servers: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    target: str,
) -> None:
    gateway = start_gateway(table(v1=[servers(echo)]))
    many, one = gateway.client(), gateway.client()
    assert one.post(PREDICT).status == 200
    read: list[bytes] = []
    answered: list[RestCall] = []
    on_head, release = RestConnection.on_head, RestCall.release
    others: list[tuple[int, int]] = []

    def on_head_seen(self: RestConnection, head: Head) -> None:
        read.append(head.target)
        if head.target.endswith(b"one"):
            others.append((len(read), len(answered)))
        on_head(self, head)

    def released(self: RestCall) -> None:
        answered.append(self)
        release(self)

    monkeypatch.setattr(RestConnection, "on_head", on_head_seen)
    monkeypatch.setattr(RestCall, "release", released)
    held = threading.Event()
    waiting = threading.Thread(target=gateway.call, args=(held.wait,))
    waiting.start()  # the gateway finds all of it at once
    many.send(b"".join(request("POST", target, b"{}", f"X-Number: {number}") for number in range(MANY)))
    one.send(request("POST", PREDICT + "?one", b"{}"))
    held.set()
    waiting.join()
    assert one.answer().status == 200
    assert {many.answer().status for _ in range(MANY)} == {200 if target == PREDICT else 404}
    ((before, done),) = others
    assert before < 80  # those of a portion
    assert done <= 8


def test_a_large_body_is_read_at_once(
    start_gateway: Callable[..., Gateway], servers: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[int] = []
    on_body = RestConnection.on_body

    def seen(self: RestConnection, data: bytes) -> None:
        pieces.append(len(data))
        on_body(self, data)

    gateway = start_gateway(table(v1=[servers(echo)]))
    client = gateway.client()
    monkeypatch.setattr(RestConnection, "on_body", seen)
    body = bytes(20_000)
    held = threading.Event()
    for most in (2, 1):  # its head is known the second time
        waiting = threading.Thread(target=gateway.call, args=(held.wait,))
        waiting.start()
        client.send(request("POST", PREDICT, body))
        held.set()
        waiting.join()
        assert client.answer().body == body
        assert len(pieces) <= most
        held.clear()
        pieces.clear()
