"""Model servers and clients of IPv6."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deployer.rollout.providers.signatures import fetch
from gateway.contract.route_table import Endpoint, RouteTable
from tests.fakes.gateway import PREDICT, GatewayProcess, deployment
from tests.fakes.loop import LoopThread
from tests.fakes.needs import lacking
from tests.fakes.rest_client import Client
from tests.fakes.rest_servers import Server, always, answer

SIGNATURE = b'{"metadata": {"signature_def": {"signature_def": {"serving_default": {"inputs": {"x": {}}}}}}}'


@pytest.fixture
def server(loop: LoopThread) -> Iterator[Server]:
    if not socket.has_dualstack_ipv6():
        lacking("this machine has no IPv6")
    with closing(Server(loop, always(answer(SIGNATURE)), host="::1")) as server:
        yield server


def test_a_gateway_that_listens_everywhere(server: Server, tmp_path: Path) -> None:
    dead = Endpoint(host="::1", rest=1, grpc=1)
    routes = RouteTable(revision=1, deployments=(deployment("m", {"v1": [server]}), deployment("dead", {"v1": [dead]})))
    with closing(GatewayProcess(tmp_path, routes, host="::", admin_host="::1")) as gateway:
        for host in ("::1", "127.0.0.1"):
            with Client((host, gateway.address[1])) as client:
                assert client.post(PREDICT).body == SIGNATURE
                assert client.post("/v1/models/dead:predict").status == 503
        assert gateway.total("turnout_endpoint_up", endpoint=f"[::1]:{server.port}") == 1
        assert "[::1]:1/1" in gateway.log.read_text()


def test_its_signature_is_read(server: Server) -> None:
    fetch("tfserving", "::1", server.port, "m")
    assert server.requests[0].line == b"GET /v1/models/m/metadata HTTP/1.1"
