"""Tables that come and go under misuse of all kinds, with an honest client beside: none of its requests fails, and when
all is over nothing is held. Ten minutes of a table a second, in seconds."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from gateway.contract.route_table import RouteTable, Sticky
from gateway.refusal import Code
from gateway.wire.http2 import frames
from gateway.wire.http2.frames import ErrorCode
from loadtests.attack import peer
from loadtests.attack.peer import Http2Peer, exchange
from tests.fakes.gateway import PREDICT as REST_PREDICT
from tests.fakes.gateway import Gateway, deployment
from tests.fakes.grpc_client import PREDICT, predict
from tests.fakes.grpc_servers import GrpcServer, answering
from tests.fakes.rest_client import request
from tests.fakes.rest_servers import Server, echo

ROUNDS = 1000


def test_tables_change_under_misuse(
    start_gateway: Callable[..., Gateway], servers: Callable[..., Server], grpc_servers: Callable[..., GrpcServer]
) -> None:
    draw = random.Random(60)
    at = grpc_servers(answering(b"well")).endpoint.model_copy(update={"rest": servers(echo).port})
    honest = deployment("m", {"v1": [at]})

    def routes(revision: int) -> RouteTable:
        others = [
            deployment(
                f"d{number}",
                {f"v{1 + (revision // 7 + one) % 5}": [at] for one in range(2)},
                weight=float(draw.randrange(100)),
                epoch=revision,
                salt=f"s{revision // 20}",
                sticky=Sticky(header="x-user"),
            )
            for number in range(20)
            if draw.random() < 0.8
        ]
        return RouteTable(revision=revision, deployments=(honest, *others))

    gateway = start_gateway(routes(1))
    over = threading.Event()

    def misuse(chance: random.Random) -> None:
        while not over.is_set():
            model = f"d{chance.randrange(20)}"
            kind = chance.randrange(4)
            if kind == 0:
                one = Http2Peer(gateway.address[1])
                one.give(b"".join(peer.call(2 * number + 1, model) for number in range(20)))
                one.give(b"".join(frames.rst_stream(2 * number + 1, ErrorCode.CANCEL) for number in range(0, 20, 3)))
                exchange([one], 0.1, None)
                one.close()
                continue
            client = gateway.client()
            if kind == 1:
                client.send(request("POST", f"/v1/models/{model}:predict", b"x" * 100)[:-50])
            elif kind == 2:
                client.get(f"/v1/models/x{chance.random()}")
            else:
                client.send(b"GET /v1/models/m HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * chance.randrange(90))
            client.close()

    threads = [threading.Thread(target=misuse, args=(random.Random(seed),)) for seed in range(2)]
    for thread in threads:
        thread.start()
    rest, grpc = gateway.client(), gateway.grpc_client()
    for revision in range(2, ROUNDS):
        gateway.swap(routes(revision))
        assert rest.post(REST_PREDICT).status == 200
        assert grpc.call(PREDICT, predict()).code == Code.OK
    over.set()
    for thread in threads:
        thread.join()
    gateway.rests()
    gateway.swap(RouteTable(revision=ROUNDS, deployments=(honest,)))
    assert rest.post(REST_PREDICT).status == 200
