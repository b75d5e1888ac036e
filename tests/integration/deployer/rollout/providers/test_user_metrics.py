"""The user's own metrics, from Prometheus and from webhooks."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from deployer.document.model import ModelDeployment
from deployer.rollout.providers import bounded
from deployer.rollout.providers.prometheus import Prometheus
from deployer.rollout.providers.user_metrics import Metrics
from tests.fakes.rest_servers import Peer, Server, always, answer, endless, silent
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


def values(asked: ModelDeployment, prometheus: Prometheus | None = None) -> dict[str, float | str]:
    with closing(Metrics(prometheus)) as metrics:
        return metrics.read(asked, "v1", "v2", 5.0)


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/metric"


def test_a_webhook_is_told_what_it_is_about(servers: Servers) -> None:
    server = servers(always(answer(b'{"value": 0.5, "unit": "s"}')))
    assert values(document(latency=url(server))) == {"latency": 0.5}
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
        assert values(document(revenue='r{version="{canary}"}'), prometheus) == {"revenue": 7.0}
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
    why = values(document(latency=url(server)))["latency"]
    assert isinstance(why, str)
    assert why.startswith("its webhook answers ")
    assert str(server.port) not in why  # an address may hold a token


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
    found = values(asked)
    assert found.pop("good") == 2.0
    assert found.pop("hangs") == "its webhook does not answer within 0.2 s"
    assert str(found.pop("gone")).startswith("its webhook does not answer: ")
    assert str(found.pop("wrong")).startswith("its webhook ")
    assert found == {"query": "no Prometheus is known (`turnout up --prometheus`, or the chart's operator.prometheus)"}


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "xn--a"])
def test_a_host_that_none_can_be_called_is_no_valid_address(host: str) -> None:
    """It gets past the document's pattern, and raises neither of httpx's own errors."""
    assert values(document(latency=f"http://{host}/")) == {"latency": "its webhook has no valid address"}


REDIRECT = answer(b"", "302 Found", "Location: https://login.test/?token=s3cret")


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (answer(b"<html>", "401 Unauthorized"), "its webhook answers 401 Unauthorized"),
        (REDIRECT, "its webhook answers 302 Found (a redirect to login.test, which is not followed)"),
    ],
)
def test_why_a_webhook_can_t_be_read(servers: Servers, reply: bytes, cause: str) -> None:
    assert values(document(latency=url(servers(always(reply))))) == {"latency": cause}


def test_an_answer_without_end_is_given_up(servers: Servers) -> None:
    server = servers(endless)
    assert values(document(latency=url(server))) == {
        "latency": f"its webhook does not answer: its answer is longer than {bounded.LARGEST} bytes"
    }
    assert server.taken < 2 * bounded.LARGEST


def test_an_answer_that_drips_is_given_up(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(OSError):
            while True:
                await peer.send(b" ")
                await asyncio.sleep(0.01)

    monkeypatch.setattr("deployer.rollout.providers.user_metrics.TIMEOUT", 0.2)
    assert values(document(latency=url(servers(script)))) == {"latency": "its webhook does not answer within 0.2 s"}


def test_nothing_is_inflated(servers: Servers) -> None:
    server = servers(always(answer(gzip.compress(b'{"value": 1}'), "200 OK", "Content-Encoding: gzip")))
    assert values(document(latency=url(server))) == {
        "latency": 'its webhook answers something else than {"value": number}'
    }
    assert server.requests[0].fields[b"accept-encoding"] == b"identity"


def prometheus_says(result: object) -> bytes:
    return answer(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode())


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (answer(b"<html>", "401 Unauthorized"), "what answers for Prometheus says 401 Unauthorized"),
        (
            REDIRECT,
            "what answers for Prometheus says 302 Found (a redirect to login.test, which is not followed)",
        ),
        (answer(b"<html>", "502 Bad Gateway"), "what answers for Prometheus says 502 Bad Gateway"),
        (
            answer(b'{"status": "error", "error": "parse error: unexpected end"}', "400 Bad Request"),
            "Prometheus refuses r: parse error: unexpected end",
        ),
        (prometheus_says([]), "Prometheus has no series for r, or none with a sample of the last minutes"),
        (prometheus_says([{"metric": {}, "value": [1, "NaN"]}]), "Prometheus has nan for r"),
        (prometheus_says([{"metric": {}, "value": [1, "1"]}] * 2), "Prometheus has 2 values for r, and one is needed"),
        (answer(b"hello"), "what answers for Prometheus is something else"),
    ],
)
def test_why_a_query_can_t_be_read(servers: Servers, reply: bytes, cause: str) -> None:
    server = servers(always(reply))
    with closing(Prometheus(f"http://127.0.0.1:{server.port}")) as prometheus:
        assert values(document(revenue="r"), prometheus) == {"revenue": cause}


def test_a_prometheus_that_is_slow_is_told_so(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.rollout.providers.prometheus.TIMEOUT", 0.2)
    with closing(Prometheus(f"http://127.0.0.1:{servers(silent).port}")) as prometheus:
        found = values(document(revenue="r"), prometheus)
    assert found == {"revenue": "Prometheus does not answer within 0.2 s"}


def test_without_metrics_nobody_is_asked() -> None:
    assert values(declared()) == {}
    assert values(declared(rollout=None)) == {}
