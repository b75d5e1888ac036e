"""Evidence by way of Prometheus: a real one, and answers that no real one gives on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from deployer.document.model import ModelDeployment
from deployer.rollout.analysis.evidence import Comparison, EvidenceLedger, taken
from deployer.rollout.analysis.reading import Count, Reading
from deployer.rollout.providers.prometheus import Prometheus, Unread, filled
from tests.fakes.prometheus import Exporter, prometheus
from tests.fakes.rest_servers import Peer, Server, always, answer, silent
from tests.fakes.rollout import ROLLOUT, declared
from tests.fakes.turnout import free_port, until

DOCUMENT = declared(rollout={**ROLLOUT, "evidence": "prometheus"})
NAMES = {"namespace": "default", "deployment": "digits"}


def sample(value: str, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [1000.5, value]}


def arm(value: str, version: str = "v2", source: str = "a", **labels: str) -> dict[str, Any]:
    return sample(
        value, **NAMES, version=version, epoch="7", keyed="false", source=source, instance="10.0.0.1", **labels
    )


def vector(*samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(samples)}, **more}


@pytest.fixture
def ask(servers: Callable[..., Server]) -> Iterator[Callable[..., Prometheus]]:
    """A Prometheus that gives these answers in turn. Each keeps the questions that it got in `questions`."""
    made: list[Prometheus] = []

    def begin(*answers: object) -> Prometheus:
        left = list(answers)

        async def script(peer: Peer) -> None:
            while await peer.request() is not None:
                await peer.send(answer(json.dumps(left.pop(0)).encode()))

        server = servers(script)
        made.append(Prometheus(f"http://127.0.0.1:{server.port}/"))
        made[-1].server = server  # type: ignore[attr-defined]
        return made[-1]

    yield begin
    for one in made:
        one.close()


def test_a_host_that_none_can_be_called_is_no_valid_address() -> None:
    asked = Prometheus("http://a..b")
    with pytest.raises(Unread, match="Prometheus has no valid address"):
        asked.number("q")
    asked.close()


def questions(asked: Prometheus) -> list[dict[str, list[str]]]:
    return [parse_qs(body.decode()) for body in asked.server.bodies]  # type: ignore[attr-defined]


def test_counts_are_put_together_by_source(ask: Callable[..., Prometheus]) -> None:
    asked = ask(
        vector(arm("10"), arm("190", "v1"), arm("5", source="b")),
        vector(arm("1", signal="errors"), arm("2", signal="slow"), arm("3", "v1", signal="rejections")),
    )
    assert asked.counts(DOCUMENT, "v1", "v2") == (
        Reading("a 10.0.0.1", 7, (Count("v2", 7, False, 10, 1, 2, 0), Count("v1", 7, False, 190, 0, 0, 3))),
        Reading("b 10.0.0.1", 7, (Count("v2", 7, False, 5, 0, 0, 0),)),
    )
    first, second = questions(asked)
    assert first["query"] == ['turnout_evidence_requests_total{namespace="default",deployment="digits"}']
    assert second["query"] == ['turnout_evidence_bad_total{namespace="default",deployment="digits"}']
    assert "time" not in first
    assert second["time"] == ["1000.5"]  # both as of the same moment, by Prometheus' own clock


def test_queries_can_be_set(ask: Callable[..., Prometheus]) -> None:
    queries = {
        "requests": 'sum by (version, epoch) (rq{ns="{namespace}", d="{deployment}", v=~"{stable}|{canary}", x="{}"})',
        "bad": "bad",
    }
    document = declared(rollout={**ROLLOUT, "evidence": "prometheus", "queries": queries})
    asked = ask(
        vector(sample("10", version="v2", epoch="7")), vector(sample("1", version="v2", epoch="7", signal="slow"))
    )
    assert asked.counts(document, "v1", "v2") == (Reading("Prometheus", 7, (Count("v2", 7, False, 10, 0, 1, 0),)),)
    assert questions(asked)[0]["query"] == [
        'sum by (version, epoch) (rq{ns="default", d="digits", v=~"v1|v2", x="{}"})'
    ]


ERROR = {"status": "error", "errorType": "bad_data", "error": "parse error"}


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([vector()], "Prometheus has nothing for turnout_evidence_requests_total"),
        ([ERROR], "parse error"),
        ([vector(arm("1"), warnings=["one store is down"])], "no whole answer for .*: one store is down"),
        ([{"no": "status"}], "what answers for Prometheus is something else"),
        ([vector(arm("NaN")), vector()], "a series is nan, and counters are whole numbers"),
        ([vector(arm("+Inf")), vector()], "a series is inf"),
        ([vector(arm("0.5")), vector()], "a series is 0.5"),
        ([vector(arm("-1")), vector()], "a series is -1"),
        ([vector(arm("1")), vector(arm("NaN", signal="errors"))], "a series is nan"),
        ([vector(sample("1", epoch="7")), vector()], "a series has version '' and epoch '7'; both labels are needed"),
        ([vector(sample("1", version="v2")), vector()], "a series has version 'v2' and epoch ''"),
        ([vector(arm("1")), vector(arm("1"))], "has the signal ''; there are errors, slow, rejections"),
        ([vector(arm("1") | {"metric": {"version": "v2", "epoch": "7", "keyed": "true"}}), vector()], "sticky keys"),
        ([{"status": "success", "data": {"resultType": "matrix", "result": []}}], "has a matrix for"),
        ([{"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}], "has a scalar for"),
    ],
)
def test_what_can_be_no_evidence_is_unread(ask: Callable[..., Prometheus], answers: list[object], why: str) -> None:
    with pytest.raises(Unread, match=why):
        ask(*answers).counts(DOCUMENT, "v1", "v2")


def test_sticky_keys_are_none_of_prometheus_matter(ask: Callable[..., Prometheus]) -> None:
    spec = declared(traffic={"sticky": {"header": "x-user"}})
    with pytest.raises(Unread, match="can't tell sticky keys apart"):
        ask().counts(spec, "v1", "v2")


def test_a_series_that_is_stale_is_missing_and_no_reset(ask: Callable[..., Prometheus]) -> None:
    """A scrape that failed: its series are gone until the next one. What was counted meanwhile comes with that."""
    asked = ask(
        *(vector(arm("10"), arm("20", source="b")), vector()),
        *(vector(arm("25", source="b")), vector()),
        *(vector(arm("40"), arm("25", source="b")), vector()),
    )
    before, requests = EvidenceLedger(after=6).knowing(7, 0.05), []
    for _ in range(3):
        before, looks = taken(before, Comparison("v1", "v2", "", None), asked.counts(DOCUMENT, "v1", "v2"), 0.0)
        requests.append(sum(look.canary_requests for look in looks["errors"]))
    assert requests == [30, 5, 30]


@pytest.mark.parametrize(
    ("response", "number"),
    [
        (vector(sample("0.25", a="b")), 0.25),
        (vector(sample("1e3")), 1000.0),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1, "2.5"]}}, 2.5),
    ],
)
def test_a_number(ask: Callable[..., Prometheus], response: object, number: float) -> None:
    assert ask(response).number("q") == number


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (vector(), "has no series for q"),
        (vector(sample("1", a="1"), sample("2", a="2")), "has 2 values for q"),
        (vector(sample("NaN")), "has nan for q"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1, "-Inf"]}}, "has -inf for q"),
        ({"status": "success", "data": {"resultType": "scalar", "result": []}}, "has no series for q"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1, "x"]}}, "something else than a number"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1, None]}}, "something else than a number"),
        ({"status": "success", "data": {"resultType": "string", "result": [1, "x"]}}, "has a string for q"),
        (ERROR, "refuses q: parse error"),
    ],
)
def test_what_is_no_number_is_unread(ask: Callable[..., Prometheus], response: object, why: str) -> None:
    with pytest.raises(Unread, match=why):
        ask(response).number("q")


def test_one_that_hangs_or_is_gone_is_unread(servers: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.rollout.providers.prometheus.TIMEOUT", 0.2)
    html = servers(always(answer(b"<html>")))
    for port, why in ((free_port(), "does not answer"), (servers(silent).port, "does not answer"), (html.port, "else")):
        with closing(Prometheus(f"http://127.0.0.1:{port}")) as asked, pytest.raises(Unread, match=why):
            asked.number("q")


class _Gateways:
    """What two gateways expose: requests and errors of the canary."""

    def __init__(self) -> None:
        self.name = "a"
        self.counts = (0, 0)
        self.other: tuple[int, int] | None = (0, 0)

    def one(self) -> str:
        return _exposition(self.name, *self.counts)

    def two(self) -> str | None:
        return None if self.other is None else _exposition("b", *self.other)


def _exposition(source: str, requests: int, errors: int) -> str:
    labels = f'namespace="default",deployment="digits",version="v2",epoch="7",keyed="false",source="{source}"'
    return (
        f"turnout_evidence_requests_total{{{labels}}} {requests}\n"
        f'turnout_evidence_bad_total{{{labels},signal="errors"}} {errors}\n'
    )


@pytest.mark.tools
def test_a_real_one(tmp_path: Path) -> None:
    """With a gateway that starts again, and one that can't be scraped for a while; and Prometheus is stopped last."""
    gateways, port = _Gateways(), free_port()
    before, total = EvidenceLedger(after=6).knowing(7, 0.05), [0, 0]

    def look(document: ModelDeployment = DOCUMENT) -> list[int]:
        nonlocal before
        before, looks = taken(before, Comparison("v1", "v2", "", None), asked.counts(document, "v1", "v2"), 0.0)
        total[0] += sum(one.canary_requests for one in looks["errors"])
        total[1] += sum(one.canary_bad for one in looks["errors"])
        return total

    with (
        Exporter(gateways.one) as first,
        Exporter(gateways.two) as second,
        closing(Prometheus(f"http://127.0.0.1:{port}")) as asked,
    ):
        with prometheus(tmp_path / "prometheus", "turnout", [first.address, second.address], port=port) as server:
            until(lambda: len(server.query("turnout_evidence_requests_total")) == 2, "both are scraped")
            look()
            gateways.counts, gateways.other = (10, 1), (20, 2)
            until(lambda: look() == [30, 3], "what both have counted is taken")
            gateways.name, gateways.counts = "a again", (4, 1)
            until(lambda: look() == [34, 4], "what it counts after its start is taken, and nothing twice")
            gateways.other = None
            until(lambda: set(server.reached().values()) == {"up", "down"}, "the other can't be scraped")
            gateways.counts = (8, 1)
            until(lambda: look() == [38, 4], "one is still heard")
            gateways.other = (50, 5)
            until(lambda: look() == [68, 7], "what the other has counted meanwhile comes with it")
            assert asked.number('sum(turnout_evidence_requests_total{deployment="digits",source!="a"})') == 58
            with pytest.raises(Unread, match="parse error"):
                asked.number("sum(")
            queries = {
                "requests": 'sum by (version, epoch) (turnout_evidence_requests_total{deployment="{deployment}"})',
                "bad": 'sum by (version, epoch, signal) (turnout_evidence_bad_total{version="{canary}"})',
            }
            own = declared(rollout={**ROLLOUT, "evidence": "prometheus", "queries": queries})
            (reading,) = asked.counts(own, "v1", "v2")
            assert (reading.source, reading.epoch) == ("Prometheus", 7)
        with pytest.raises(Unread, match="Prometheus does not answer"):
            look()


def test_placeholders_are_filled_and_other_braces_left() -> None:
    assert filled('a{b="{canary}"}{x}', DOCUMENT, "v1", "v2") == 'a{b="v2"}{x}'
