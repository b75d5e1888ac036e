"""What gateways say when they are asked for evidence, and what it is worth when they say nonsense, or nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deployer.rollout.analysis.evidence import Comparison, EvidenceLedger, taken
from deployer.rollout.analysis.reading import Count
from deployer.rollout.providers import gateways
from deployer.rollout.providers.gateways import Gateways
from gateway.contract.route_table import RouteTable, Sticky
from gateway.routing.sticky import position
from tests.fakes.gateway import PREDICT, GatewayProcess, deployment
from tests.fakes.rest_servers import Peer, Script, Server, always, answer, silent
from tests.fakes.turnout import free_port

KEY = "default/m"
SALT = "default/m v1 v2 1"
GOOD: dict[str, Any] = {
    "source": "c0ffee",
    "ready": True,
    "revision": 3,
    "deployments": {
        KEY: {
            "epoch": 7,
            "counts": [
                {"version": "v2", "epoch": 7, "keyed": True, "requests": 9, "errors": 1, "slow": 2, "rejections": 3}
            ],
            "salt": SALT,
            "buckets": {"v2": {"errors": base64.b64encode(bytes([5]) + bytes(1249)).decode()}},
        }
    },
}


@pytest.fixture
def reader() -> Iterator[Gateways]:
    with closing(Gateways()) as reader:
        yield reader


def at(server: Server) -> str:
    return f"{server.endpoint.host}:{server.endpoint.rest}"


def reporting(report: object) -> Script:
    return always(answer(json.dumps(report).encode()))


def test_what_a_gateway_says(reader: Gateways, servers: Callable[[Script], Server]) -> None:
    server = servers(reporting(GOOD))
    reports = reader.read([at(server), at(server)], [KEY, "default/other"])
    assert reports.unread == {}
    (reading,) = reports.of(KEY)
    assert (reading.source, reading.epoch, reading.salt) == ("c0ffee", 7, SALT)
    assert reading.counts == (Count("v2", 7, True, 9, 1, 2, 3),)
    assert reading.buckets == {"v2": {"errors": 0b101}}
    assert reports.of("default/other") == ()
    assert (reports.in_force(KEY), reports.in_force("default/other")) == (7, None)
    (request,) = server.requests
    assert request.line == b"GET /evidence?deployment=default%2Fm&deployment=default%2Fother HTTP/1.1"


def test_what_is_in_force_is_what_the_last_of_those_that_serve_has(
    reader: Gateways, servers: Callable[[Script], Server]
) -> None:
    def with_epoch(epoch: int, ready: bool = True) -> Server:
        return servers(
            reporting(GOOD | {"ready": ready, "deployments": {KEY: GOOD["deployments"][KEY] | {"epoch": epoch}}})
        )

    def in_force(*asked: Server) -> int | None:
        return reader.read([at(server) for server in asked], [KEY]).in_force(KEY)

    assert in_force(with_epoch(9), with_epoch(8)) == 8
    assert in_force(with_epoch(9), with_epoch(8, ready=False)) == 9
    assert in_force(with_epoch(9), servers(reporting(GOOD | {"deployments": {}}))) is None
    assert in_force(with_epoch(9), servers(always(answer(b"{}", "500 X")))) is None
    assert in_force() is None


def without(*path: str) -> dict[str, Any]:
    report = json.loads(json.dumps(GOOD))
    part = report
    for name in path[:-1]:
        part = part[name]
    del part[path[-1]]
    return dict(report)


def with_count(**values: object) -> dict[str, Any]:
    report = json.loads(json.dumps(GOOD))
    report["deployments"][KEY]["counts"][0] |= values
    return dict(report)


def with_bits(text: str) -> dict[str, Any]:
    report = json.loads(json.dumps(GOOD))
    report["deployments"][KEY]["buckets"]["v2"]["errors"] = text
    return dict(report)


async def drip(peer: Peer) -> None:
    """A byte now and then, so that no single wait is long."""
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while not peer.server.gate.is_set():
        await peer.send(b" ")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (always(answer(b"{}", "503 X")), "its admin port answers 503"),
        (always(answer(b"<html>")), "it answers what is no evidence"),
        (reporting([]), "it answers what is no evidence"),
        (reporting(without("source")), "source: Field required"),
        (reporting(without("deployments", KEY, "epoch")), "deployments.default/m.epoch: Field required"),
        (reporting(with_count(requests=-1)), "requests: Input should be greater than or equal to 0"),
        (reporting(with_count(errors=1.5)), "errors: Input should be a valid integer"),
        (reporting(with_count(errors="NaN")), "errors: Input should be a valid integer"),
        (reporting(with_bits("%%%")), "it answers what is no evidence"),
        (reporting(with_bits(base64.b64encode(bytes(1251)).decode())), "more than 10000 bits"),
    ],
)
def test_nonsense_is_unread(reader: Gateways, servers: Callable[[Script], Server], script: Script, why: str) -> None:
    address = at(servers(script))
    reports = reader.read([address], [KEY])
    assert reports.read == {}
    assert why in reports.unread[address]


def test_one_that_hangs_or_is_gone_keeps_no_other_from_being_heard(
    reader: Gateways, servers: Callable[[Script], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateways, "TIMEOUT", 0.2)
    slow, hanging, good = servers(drip), servers(silent), servers(reporting(GOOD))
    gone, wrong = f"127.0.0.1:{free_port()}", "not an address"
    with closing(Gateways()) as hasty:
        reports = hasty.read([at(slow), at(hanging), gone, wrong, at(good)], [KEY])
    slow.open_gate()
    assert set(reports.read) == {at(good)}
    assert reports.unread[at(slow)] == "its answer is not there within 0.2 s"
    assert reports.unread[at(hanging)] == "it does not answer within 0.2 s"
    assert reports.unread[gone].startswith("it does not answer (")
    assert reports.unread[wrong].startswith("it does not answer (")
    assert reports.in_force(KEY) is None


def test_an_answer_without_end_is_not_read_to_it(
    reader: Gateways, servers: Callable[[Script], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateways, "LARGEST", 100)
    address = at(servers(reporting(GOOD)))
    assert reader.read([address], [KEY]).unread == {address: "its answer is longer than 100 bytes"}


def test_nobody_is_asked_for_nothing(reader: Gateways, servers: Callable[[Script], Server]) -> None:
    server = servers(reporting(GOOD))
    assert reader.read([at(server)], []).read == {}
    assert server.requests == []


def test_a_gateway_of_real_processes(reader: Gateways, servers: Callable[[Script], Server], tmp_path: Path) -> None:
    """What its callers met is what is taken, also after it has started again."""
    ok, bad = servers(always(answer(b"{}"))), servers(always(answer(b"{}", "500 X")))
    made = deployment("m", {"v1": [ok], "v2": [bad]}, weight=100, epoch=7, salt=SALT, sticky=Sticky(header="x-user"))
    before = EvidenceLedger(after=6).knowing(7, 0.05)
    total = [0, 0, 0]
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        process = GatewayProcess(tmp_path / folder, RouteTable(revision=3, deployments=(made,)), workers=2)
        try:
            for _ in range(10):
                with process.client() as client:
                    client.post(PREDICT, b"{}")
                    client.post(PREDICT, b"{}", "x-user: ada")
            for _ in range(2):
                address = f"{process.admin.base_url.host}:{process.admin.base_url.port}"
                reports = reader.read([address], [KEY])
                assert reports.unread == {}
                assert reports.in_force(KEY) == 7
                before, looks = taken(before, Comparison("v1", "v2", SALT, 7), reports.of(KEY), 0.0)
                total[0] += sum(look.canary_requests for look in looks["errors"])
                total[1] += sum(look.canary_bad for look in looks["errors"])
                total[2] += sum(look.fresh.canary for look in looks["errors"] if look.fresh is not None)
        finally:
            process.close()
    assert total == [40, 40, 1]
    assert sum(buckets.canary for buckets in before.buckets["errors"]) == 1 << position(SALT, b"ada").bucket
