"""Servers that answer as a test tells them to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.loop import LoopThread
from tests.support.servers import Script, Server


@pytest.fixture
def servers() -> Iterator[Callable[[Script], Server]]:
    loop = LoopThread()
    made: list[Server] = []

    def make(script: Script) -> Server:
        made.append(Server(loop, script, 0))
        return made[-1]

    yield make
    for server in made:
        server.close()
    loop.close()
    assert loop.problems == []
