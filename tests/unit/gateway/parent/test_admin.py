"""The admin port's pages over a gateway of plain values; with a real one in
tests/integration/gateway/parent/test_parent.py."""

import asyncio
from collections.abc import Collection
from typing import Any

import httpx
import pytest

from gateway.contract.evidence import DeploymentEvidence, Evidence
from gateway.contract.skew import CONTRACT
from gateway.contract.state import State
from gateway.parent.admin import application
from gateway.parent.exposition import View
from gateway.stats.totals import Totals


class Gateway:
    ready = (True, "ok")

    def view(self) -> View:
        return View(
            sums=Totals().sum([]),
            evidence={},
            source="",
            newest=1,
            in_force=1,
            age=0.0,
            rejected=0,
            rejecting=False,
            connected=None,
            silence=None,
            workers={"ready": 1},
            restarts=0,
            draining=False,
        )

    def readiness(self) -> tuple[bool, str]:
        return self.ready

    def report(self) -> dict[str, Any]:
        return {"revision": 1}

    def state(self) -> State:
        return State(ready=True, why="ok", revision=3)

    def evidence(self, keys: Collection[str]) -> Evidence:
        deployments = {key: DeploymentEvidence(epoch=1, counts=()) for key in sorted(keys)}
        return Evidence(source="a", ready=True, revision=None, deployments=deployments)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


class Client:
    def __init__(self, gateway: Gateway) -> None:
        self.transport = httpx.ASGITransport(application(gateway))

    def get(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://admin") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(ask())


@pytest.fixture
def client(gateway: Gateway) -> Client:
    return Client(gateway)


def test_readiness_says_why(client: Client, gateway: Gateway) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    gateway.ready = (False, "draining")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "draining\n")
    assert client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/plain; version="),
        ("text/plain;version=0.0.4", "text/plain; version="),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text; version=1.0.0"),
    ],
)
def test_metrics_come_as_asked(client: Client, accept: str | None, content_type: str) -> None:
    answer = client.get("/metrics", headers={} if accept is None else {"accept": accept})
    assert answer.headers["content-type"].startswith(content_type)
    assert "turnout_table_revision 1.0" in answer.text


def test_the_table_is_json(client: Client) -> None:
    answer = client.get("/table")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"revision": 1}


def test_the_state_is_a_page_of_the_contract(client: Client) -> None:
    answer = client.get("/state")
    assert answer.headers["content-type"] == "application/json"
    assert State.model_validate_json(answer.content) == State(contract=CONTRACT, ready=True, why="ok", revision=3)


def test_evidence_is_of_the_deployments_that_are_asked_for(client: Client) -> None:
    answer = client.get("/evidence?deployment=vision/digits&deployment=a%2Fb")
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()["deployments"]) == ["a/b", "vision/digits"]
    assert client.get("/evidence").json() == {
        "contract": CONTRACT,
        "source": "a",
        "ready": True,
        "revision": None,
        "deployments": {},
    }


def test_the_index_links_to_pages_that_are_there(client: Client) -> None:
    links = [part.partition('"')[0] for part in client.get("/").text.split('href="')[1:]]
    assert sorted(links) == ["evidence", "livez", "metrics", "readyz", "state", "table"]
    assert [client.get(f"/{link}").status_code for link in links] == [200] * 6


def test_errors_are_json_and_say_what_to_do(client: Client) -> None:
    answer = client.get("/metric")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert answer.json() == {
        "error": "no page /metric; there are /metrics, /state, /evidence, /livez, /readyz and /table"
    }
    answer = client.get("/table", method="POST")
    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
    assert answer.json() == {"error": "POST is not possible on /table; use GET"}
