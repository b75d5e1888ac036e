"""What an API server may do to those who follow it, by one that does it when told. The real one: tests/cluster."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.discovery import reflector
from gateway.discovery.credentials import Credentials
from gateway.discovery.reflector import Reflector
from gateway.tasks import spawn
from tests.fakes.loop import LoopThread
from tests.fakes.rest_servers import Peer, Script, Server, answer

STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def thing(name: str, version: int = 5, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, **more}


def listed(*names: str, **metadata: str) -> bytes:
    return answer(
        json.dumps(
            {"metadata": {"resourceVersion": "4", **metadata}, "items": [thing(name) for name in names]}
        ).encode()
    )


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(kind: str, object: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": object}, ensure_ascii=False).encode() + b"\n"


def playing(*answers: bytes | None) -> Script:
    """Each request gets the next answer; one that is a stream goes on; None closes the connection."""

    async def script(peer: Peer) -> None:
        while await peer.request() is not None:
            turn = len(peer.server.requests) - 1
            response = answers[turn] if turn < len(answers) else STREAM
            if response is None:
                return
            await peer.send(response)

    return script


class Follower:
    """A feed, and what it has told."""

    def __init__(self, server: Server) -> None:
        self.events: list[tuple[str, Any]] = []
        self.news = asyncio.Event()
        access = Credentials(f"http://127.0.0.1:{server.port}")
        self.feed = Reflector(access, "/things", "a=b", self._replace, self._change, self.news.set)

    def _replace(self, objects: list[Any]) -> None:
        self.events.append(("all", [object["metadata"]["name"] for object in objects]))

    def _change(self, object: Any, /, *, deleted: bool) -> None:
        self.events.append(("deleted" if deleted else "changed", object["metadata"]["name"]))

    async def until(self, good: Callable[[], bool]) -> None:
        """Follow until then."""
        task = spawn(self.feed.follow(), "feed")
        try:
            async with asyncio.timeout(20):
                while not good():
                    await self.news.wait()
                    self.news.clear()
        finally:
            task.cancel()


def follow(server: Server, good: Callable[[Follower], bool]) -> Follower:
    async def run() -> Follower:
        follower = Follower(server)
        await follower.until(lambda: good(follower))
        return follower

    return asyncio.run(run())


def asked(server: Server) -> list[dict[str, str]]:
    """The queries of the requests that came."""
    targets = (request.line.split()[1].decode() for request in server.requests)
    return [{name: values[0] for name, values in parse_qs(urlsplit(target).query).items()} for target in targets]


def test_it_lists_by_pages_and_then_watches(servers: Callable[..., Server]) -> None:
    events = event("ADDED", thing("c")) + event("BOOKMARK", thing("", 7)) + event("DELETED", thing("a", 8))
    # Cut within a line, and with characters that end a line elsewhere.
    odd = event("MODIFIED", thing("b\x85\u2028\x0c", 9))
    stream = STREAM + chunk(events[:20]) + chunk(events[20:] + odd[:30]) + chunk(odd[30:])
    server = servers(playing(listed("a", **{"continue": "next"}), listed("b"), stream))
    follower = follow(server, lambda one: len(one.events) == 4)
    assert follower.events == [
        ("all", ["a", "b"]),
        ("changed", "c"),
        ("deleted", "a"),
        ("changed", "b\x85\u2028\x0c"),
    ]
    first, second, watch = asked(server)
    assert first == {"labelSelector": "a=b", "limit": "500"}
    assert second == {**first, "continue": "next"}
    assert watch.items() >= {"watch": "1", "resourceVersion": "4", "allowWatchBookmarks": "true"}.items()
    assert (follower.feed.connected, follower.feed.listed, follower.feed.problem) == (True, True, None)


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"", b"garbage"])
def test_a_watch_that_ends_goes_on_from_where_it_was(servers: Callable[..., Server], end: bytes) -> None:
    answers = [
        listed("a"),
        STREAM + chunk(event("BOOKMARK", thing("", 9))) + end,
        STREAM + chunk(event("ADDED", thing("b"))),
    ]

    async def script(peer: Peer) -> None:
        while await peer.request() is not None:
            turn = len(peer.server.requests) - 1
            await peer.send(answers[turn])
            if turn == 1:
                return

    server = servers(script)
    follower = follow(server, lambda one: len(one.events) == 2)
    assert follower.events == [("all", ["a"]), ("changed", "b")]
    assert [query.get("resourceVersion") for query in asked(server)] == [None, "4", "9"]


@pytest.mark.parametrize(
    "end",
    [
        answer(b'{"message": "too old resource version"}', "410 Gone"),
        STREAM + chunk(event("ERROR", {"code": 410, "message": "too old resource version"})),
    ],
)
def test_it_lists_again_where_its_version_is_too_old(servers: Callable[..., Server], end: bytes) -> None:
    server = servers(playing(listed("a", "b"), end, listed("b")))
    follower = follow(server, lambda one: len(one.events) == 2)
    assert follower.events == [("all", ["a", "b"]), ("all", ["b"])]
    assert follower.feed.problem is None


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (answer(b'{"message": "things is forbidden"}', "403 Forbidden"), "/things: 403 things is forbidden"),
        (answer(b"<html>", "502 Bad Gateway"), "/things: 502 <html>"),
        (answer(b"no json"), "/things: Expecting value"),
        (None, "/things: Server disconnected without sending a response."),
    ],
)
def test_what_is_wrong_is_told_until_it_is_right(
    servers: Callable[..., Server], response: bytes | None, problem: str
) -> None:
    server = servers(playing(response, response, listed("a")))
    follower = follow(server, lambda one: one.feed.problem is not None)
    assert follower.feed.problem is not None
    assert follower.feed.problem.startswith(problem)
    assert not follower.feed.listed
    again = follow(server, lambda one: one.feed.listed)
    assert (again.feed.connected, again.feed.problem) == (True, None)


def test_a_watch_that_says_nothing_for_too_long_is_dead(
    servers: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(reflector, "GRACE_SECONDS", 0.1)
    server = servers(playing(listed("a"), STREAM))
    follower = follow(server, lambda one: one.feed.problem is not None)
    assert follower.feed.problem == "/things: ReadTimeout"
    assert not follower.feed.connected


def test_nobody_listens(loop: LoopThread, servers: Callable[..., Server]) -> None:
    server = servers(playing())
    server.close()
    follower = follow(server, lambda one: one.feed.problem is not None)
    assert follower.feed.problem == "/things: All connection attempts failed"
    assert follower.feed.heard_at is None
