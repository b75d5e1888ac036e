"""Servers that end each connection at the worst moment, right after an answer, in order or with RST: no prediction
fails, and each is answered as itself."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

from tests.fakes.gateway import PREDICT, Gateway, table
from tests.fakes.rest_servers import Peer, Server, answer

Servers = Callable[..., Server]
Start = Callable[..., Gateway]

CLIENTS = 8
REQUESTS = 60


def test_each_prediction_is_answered_as_itself(servers: Servers, start_gateway: Start) -> None:
    draw = random.Random(24)

    async def hurried(peer: Peer) -> None:
        for _ in range(draw.randint(1, 4)):
            request = await peer.request()
            if request is None:
                return
            await peer.send(answer(request.body))
        if draw.random() < 0.5:
            peer.reset()

    server = servers(hurried)
    gateway = start_gateway(table(v1=[server]))
    wrong: list[str] = []

    def client(number: int) -> None:
        one = gateway.client()
        for index in range(REQUESTS):
            body = b"%d.%d" % (number, index)
            got = one.post(PREDICT, body)
            if (got.status, got.body) != (200, body):
                wrong.append(f"{body!r} got {got}")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(Counter(server.bodies)) == CLIENTS * REQUESTS
    assert gateway.outcomes("v1") == {"success": CLIENTS * REQUESTS}
    assert not gateway.ejected()
