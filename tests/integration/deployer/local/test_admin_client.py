from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from deployer.local.admin_client import GatewayClient
from gateway.contract.skew import CONTRACT
from gateway.contract.state import State, VersionState
from tests.fakes.rest_servers import Peer, Script, Server, always, answer
from tests.fakes.turnout import free_port

STATE = State(
    ready=True,
    why="ok",
    revision=7,
    refused={"vision/letters": "it requires what this release does not know: mirrors"},
    versions=(VersionState(deployment="vision/digits", version="v1", seconds=1.5, requests=3, in_flight={"a:1": 2}),),
)


@pytest.fixture
def ask(servers: Callable[[Script], Server]) -> Callable[[Script], State]:
    """What is heard of a gateway that answers so."""

    def ask(script: Script) -> State:
        endpoint = servers(script).endpoint
        with closing(GatewayClient(f"{endpoint.host}:{endpoint.rest}")) as client:
            return client.read(0)

    return ask


def each(*answers: bytes) -> Script:
    """The first request gets the first, and so on."""

    async def script(peer: Peer) -> None:
        for data in answers:
            await peer.request()
            await peer.send(data)

    return script


def test_what_a_gateway_says(ask: Callable[[Script], State]) -> None:
    assert ask(always(answer(STATE.model_dump_json().encode()))) == STATE
    assert STATE.by_version["vision/digits", "v1"].in_flight == {"a:1": 2}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"contract": CONTRACT - 1}, "ok"),
        ({"contract": CONTRACT + 1, "mood": "fine", "why": "new"}, "new"),
        ({"contract": CONTRACT + 2}, f"contract: Value error, it is of contract {CONTRACT + 2}"),
        ({"ready": "perhaps"}, "its admin port says what is no state: ready: Input should be a valid boolean"),
    ],
)
def test_a_gateway_of_another_release(ask: Callable[[Script], State], changes: dict[str, Any], why: str) -> None:
    state = ask(always(answer(STATE.model_copy(update=changes).model_dump_json(warnings=False).encode())))
    assert why in state.why
    assert state.ready is ("no state" not in state.why)


def test_it_is_asked_until_a_route_table_is_in_force(servers: Callable[[Script], Server]) -> None:
    states = [STATE.model_copy(update={"revision": revision}).model_dump_json().encode() for revision in (6, 6, 8, 9)]
    endpoint = servers(each(*map(answer, states))).endpoint
    with closing(GatewayClient(f"{endpoint.host}:{endpoint.rest}")) as client:
        assert client.read(7).revision == 8


def test_one_that_is_not_ready_is_not_waited_for(servers: Callable[[Script], Server]) -> None:
    starting = answer(State(ready=False, why="it starts").model_dump_json().encode())
    endpoint = servers(each(starting, answer(STATE.model_dump_json().encode()))).endpoint
    with closing(GatewayClient(f"{endpoint.host}:{endpoint.rest}")) as client:
        assert client.read(7).why == "it starts"


def test_a_gateway_that_does_not_answer_is_not_ready(ask: Callable[[Script], State]) -> None:
    with closing(GatewayClient(f"127.0.0.1:{free_port()}")) as client:
        assert "does not answer" in client.read(0).why
    state = ask(always(answer(b"{}", "500 X")))
    assert (state.ready, state.revision) == (False, None)
    assert "does not answer" in state.why
