"""What only a real gRPC server does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from time import monotonic
from typing import Any

import grpc
import pytest

from gateway.contract.route_table import Endpoint
from gateway.refusal import Code
from gateway.stats import counters
from tests.fakes.gateway import Gateway, table
from tests.fakes.grpc_client import PREDICT, predict
from tests.fakes.parent_process import eventually


class Patient(grpc.GenericRpcHandler):
    """Answers each call once `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.calls = 0

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls += 1
        assert self.go.wait(30)
        return b"at last"


@pytest.fixture
def patient() -> Iterator[tuple[Patient, Endpoint]]:
    handler = Patient()
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler, Endpoint(host="127.0.0.1", rest=port, grpc=port)
    server.stop(None).wait()


def test_long_silence(start_gateway: Callable[..., Gateway], patient: tuple[Patient, Endpoint]) -> None:
    """gRPC's servers hang up on those who ask whether they are there more than twice within a call."""
    handler, endpoint = patient
    gateway = start_gateway(table(v1=[endpoint]), timeout=600.0, max_connection_age=1000.0)
    client = gateway.grpc_client()
    stream = client.start(PREDICT, predict())
    eventually(lambda: handler.calls)
    for minute in range(1, 9):
        gateway.sweep(monotonic() + 60 * minute)
        assert gateway.held()["attempts"] == 1
    other = client.start(PREDICT, predict())  # a round trip after whatever the sweeps brought about
    eventually(lambda: handler.calls, lambda number: number == 2)
    handler.go.set()
    assert [client.answer(each).code for each in (stream, other)] == [Code.OK, Code.OK]
    assert gateway.snapshot().worker[counters.OPEN_CONNECTIONS] == 1
