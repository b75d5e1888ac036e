"""The user's own metrics, from Prometheus and from webhooks."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from deployer.document.model import ModelDeployment
from deployer.rollout.providers.prometheus import Prometheus
from deployer.rollout.providers.user_metrics import Metrics
from tests.fakes.rest_servers import Server, always, answer, silent
from tests.fakes.rollout import ROLLOUT, declared
from tests.fakes.turnout import free_port

Servers = Callable[..., Server]


def document(**asked: str) -> ModelDeployment:
    """By name, a webhook's address or a query."""
    metrics = [
        {"name": name, "max": 1.0, ("webhook" if text.startswith("http:") else "query"): text}
        for name, text in asked.items()
    ]
    return declared(rollout={**ROLLOUT, "objectives": {"metrics": metrics}})


def values(
    asked: ModelDeployment, prometheus: Prometheus | None = None
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    with closing(Metrics(prometheus)) as metrics:
        found, unread = metrics.read(asked, "v1", "v2", 5.0)
    return dict(found), unread


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/metric"


def test_a_webhook_is_told_what_it_is_about(servers: Servers) -> None:
    server = servers(always(answer(b'{"value": 0.5, "unit": "s"}')))
    assert values(document(latency=url(server))) == ({"latency": 0.5}, ())
    (request,) = server.requests
    assert request.line == b"POST /metric HTTP/1.1"
    assert json.loads(request.body) == {
        "namespace": "default",
        "deployment": "digits",
        "stable": "v1",
        "canary": "v2",
        "weight": 5.0,
    }


def test_a_query_is_put_to_prometheus(servers: Servers) -> None:
    vector = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "7"]}]}
    server = servers(always(answer(json.dumps({"status": "success", "data": vector}).encode())))
    with closing(Prometheus(f"http://127.0.0.1:{server.port}")) as prometheus:
        assert values(document(revenue='r{version="{canary}"}'), prometheus) == ({"revenue": 7.0}, ())
    assert b"r%7Bversion%3D%22v2%22%7D" in server.bodies[0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", "500 X"),
        (b"no JSON", "200 OK"),
        (b"{}", "200 OK"),
        (b'{"value": null}', "200 OK"),
        (b'{"value": "1"}', "200 OK"),
        (b'{"value": true}', "200 OK"),
        (b'{"value": NaN}', "200 OK"),
        (b'{"value": 1e999}', "200 OK"),
    ],
)
def test_what_is_no_number_is_unread(servers: Servers, body: bytes, status: str) -> None:
    server = servers(always(answer(body, status)))
    found, unread = values(document(latency=url(server)))
    assert found == {"latency": None}
    assert unread[0].startswith("the metric latency (its webhook answers ")
    assert str(server.port) not in unread[0]  # an address may hold a token


def test_one_that_hangs_or_is_gone_keeps_no_other_from_being_read(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployer.rollout.providers.user_metrics.TIMEOUT", 0.2)
    asked = document(
        hangs=url(servers(silent)),
        gone=f"http://127.0.0.1:{free_port()}/",
        wrong="http://[",
        good=url(servers(always(answer(b'{"value": 2}')))),
        query="q",
    )
    found, unread = values(asked)
    assert found == {"hangs": None, "gone": None, "wrong": None, "good": 2.0, "query": None}
    named = [text.removeprefix("the metric ").partition(" (")[0] for text in unread]
    assert named == ["hangs", "gone", "wrong", "query"]
    assert unread[3] == "the metric query (no Prometheus is known)"


def test_without_metrics_nobody_is_asked() -> None:
    none: dict[str, Any] = {}
    assert values(declared()) == (none, ())
    assert values(declared(rollout=None)) == (none, ())
