"""What counts as evidence for or against a version, and what does not: each rule on real connections.

A row is requests, errors, slow ones, rejections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.contract.route_table import Endpoint, Match, Sticky
from gateway.refusal import HTTP_STATUS, Code
from gateway.routing.sticky import position
from gateway.stats import counters
from gateway.stats.evidence_slots import ERRORS, REJECTIONS
from tests.fakes import grpc_client
from tests.fakes.evidence import CANARY, SALT, STABLE, held, routes, to_canary
from tests.fakes.gateway import FEEDBACK, PREDICT, Gateway
from tests.fakes.grpc_client import predict
from tests.fakes.grpc_servers import GrpcServer, answering, failing
from tests.fakes.parent_process import eventually
from tests.fakes.rest_client import ConnectionEnded, request
from tests.fakes.rest_servers import Peer, Server, always, answer, dead, resetting, silent

Servers = Callable[..., Server]
GrpcServers = Callable[..., GrpcServer]
Start = Callable[..., Gateway]

OK = always(answer(b"{}"))


def to_stable() -> float:
    return 0.999


# Whose choice it was.


def test_what_the_split_assigns_counts_for_both_arms(servers: Servers, start_gateway: Start) -> None:
    draws = iter([0.2, 0.3, 0.7])
    gateway = start_gateway(routes(servers(OK), servers(OK), 50), random=lambda: next(draws))
    client = gateway.client()
    assert [client.post(PREDICT).version for _ in range(3)] == ["v2", "v2", "v1"]
    assert gateway.evidence() == {STABLE: [1, 0, 0, 0], CANARY: [2, 0, 0, 0]}


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/v1/models/m/versions/2:predict", ()),
        ("/v1/models/m/labels/canary:predict", ()),
        (PREDICT, ("x-turnout-version: v2",)),
        (PREDICT, ("x-cohort: beta",)),
        (PREDICT, ("x-turnout-assignment: default/m=v2",)),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Internal Server Error"])
def test_what_somebody_chose_counts_for_no_arm(
    servers: Servers, start_gateway: Start, target: str, fields: tuple[str, ...], status: str
) -> None:
    bad = servers(always(answer(b"{}", status)))
    rule = Match(header={"x-cohort": "beta"}, version="v2")
    gateway = start_gateway(routes(bad, bad, match=(rule,)), random=to_stable)
    assert gateway.client().post(target, b"{}", *fields).version == "v2"
    assert gateway.evidence() == {}
    assert sum(gateway.outcomes("v2").values()) == 1  # it is in the metrics


def test_what_has_no_version_yet_counts_for_none(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(routes(servers(OK), servers(OK)))
    client = gateway.client()
    for target in ("/v1/models/m/versions/9:predict", "/v1/models/other:predict", "/v2/models/m/infer"):
        assert client.post(target).status >= 400
    assert gateway.evidence() == {}


def test_without_a_rollout_nothing_is_counted(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(routes(servers(OK), servers(OK), 50, salt=""))
    assert gateway.client().post(PREDICT).status == 200
    assert gateway.evidence_sums() == ({}, {})


def test_after_a_promotion_the_new_stable_is_counted_alone(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(routes(servers(OK), servers(OK), 0, stable="v2", canary=None, epoch=8))
    assert gateway.client().post(PREDICT).version == "v2"
    assert gateway.evidence_sums().counts == {("default", "m", "v2", "8", "false"): [1, 0, 0, 0]}


# What is bad.


def judged(status: int) -> list[int]:
    """The row of one request with this first answer."""
    refused = 400 <= status < 500
    return [1, int(status >= 500), 0, int(refused)]


@pytest.mark.parametrize("status", [200, 204, 304, 400, 401, 403, 404, 413, 422, 429, 499, 500, 501, 503, 504])
def test_rest_statuses(servers: Servers, start_gateway: Start, status: int) -> None:
    gateway = start_gateway(routes(servers(OK), servers(always(answer(b"", f"{status} X")))), random=to_canary)
    gateway.client().post(PREDICT)
    assert gateway.evidence() == {CANARY: judged(status)}


def test_the_statuses_fall_on_all_sides() -> None:
    assert [judged(status) for status in (200, 400, 429, 500)] == [
        [1, 0, 0, 0],
        [1, 0, 0, 1],
        [1, 0, 0, 1],
        [1, 1, 0, 0],
    ]


@pytest.mark.parametrize("code", list(Code))
def test_grpc_codes(grpc_servers: GrpcServers, start_gateway: Start, code: Code) -> None:
    canary = grpc_servers(answering() if code == Code.OK else failing(code))
    gateway = start_gateway(routes(grpc_servers(answering()), canary), random=to_canary)
    gateway.grpc_client().call(grpc_client.PREDICT, predict())
    assert gateway.evidence() == {CANARY: judged(HTTP_STATUS[code])}


def test_a_grpc_answer_without_a_status_is_an_error(grpc_servers: GrpcServers, start_gateway: Start) -> None:
    gateway = start_gateway(routes(grpc_servers(answering()), grpc_servers(failing(None))), random=to_canary)
    gateway.grpc_client().call(grpc_client.PREDICT, predict())
    assert gateway.evidence() == {CANARY: [1, 1, 0, 0]}


def test_a_retry_mends_nothing(servers: Servers, start_gateway: Start) -> None:
    async def once_broken(peer: Peer) -> None:
        while await peer.request() is not None:
            if len(peer.server.requests) == 1:
                peer.reset()
                return
            await peer.send(answer(b"{}"))

    gateway = start_gateway(routes(servers(OK), servers(once_broken)), random=to_canary)
    got = gateway.client().post(PREDICT)
    assert (got.status, got.version) == (200, "v2")
    assert gateway.outcomes("v2") == {"success": 1}
    assert gateway.evidence() == {CANARY: [1, 1, 0, 0]}


def test_a_retry_spoils_nothing_more(servers: Servers, start_gateway: Start) -> None:
    """A logical request is bad once, whatever its attempts come to."""
    gateway = start_gateway(routes(servers(resetting), None, 0), random=to_canary)
    assert gateway.client().post(PREDICT).status == 503
    assert gateway.retries("v1") == {"reset": 1}
    assert gateway.evidence() == {STABLE: [1, 1, 0, 0]}


@pytest.mark.parametrize("kind", ["dead", "none", "resetting", "busy", "garbage"])
def test_where_stable_answers_instead_the_canary_has_failed(servers: Servers, start_gateway: Start, kind: str) -> None:
    canaries: dict[str, Callable[[], Server | Endpoint | None]] = {
        "dead": dead,
        "none": lambda: None,
        "resetting": lambda: servers(resetting),
        "busy": lambda: servers(always(answer(b"{}", "503 Service Unavailable"))),
        "garbage": lambda: servers(always(b"garbage")),
    }
    gateway = start_gateway(routes([servers(OK), servers(OK)], canaries[kind]()), random=to_canary)
    got = gateway.client().post(PREDICT)
    assert (got.status, got.version) == (200, "v1")
    assert gateway.evidence() == {CANARY: [1, 1, 0, 0]}


def test_a_fallback_says_nothing_of_stable(servers: Servers, start_gateway: Start) -> None:
    refusing = servers(always(answer(b"{}", "400 Bad Request")))
    gateway = start_gateway(routes(refusing, dead()), random=to_canary)
    assert gateway.client().post(PREDICT).status == 400
    assert gateway.evidence() == {CANARY: [1, 1, 0, 0]}


def test_an_endpoint_that_is_full_is_its_versions_failure(servers: Servers, start_gateway: Start) -> None:
    server = servers(held)
    gateway = start_gateway(routes(server, None, 0), max_endpoint_connections=1)
    waiting = gateway.client().send(request("POST", PREDICT, b"{}"))
    eventually(lambda: server.requests)
    assert gateway.client().post(PREDICT).status == 503
    assert gateway.evidence() == {STABLE: [1, 1, 0, 0]}
    server.open_gate()
    assert waiting.answer().status == 200
    assert gateway.evidence() == {STABLE: [2, 1, 0, 0]}


def test_feedback_that_is_not_sent_again_is_an_error(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(routes(servers(OK), servers(resetting)), random=to_canary)
    assert gateway.client().post(FEEDBACK).status == 503
    assert gateway.evidence() == {CANARY: [1, 1, 0, 0]}


def test_half_an_answer_is_an_error(servers: Servers, start_gateway: Start) -> None:
    async def half(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"{}")[:-1])
        await peer.server.gate.wait()

    canary = servers(half)
    gateway = start_gateway(routes(servers(OK), canary), random=to_canary)
    client = gateway.client().send(request("POST", PREDICT, b"{}"))
    client.head()
    canary.open_gate()
    with pytest.raises(ConnectionEnded):
        client.body({"content-length": "2"})
    assert gateway.evidence() == {CANARY: [1, 1, 0, 0]}


# Where keys stick.


def test_requests_with_a_key_are_a_stratum_of_their_own(servers: Servers, start_gateway: Start) -> None:
    gateway = start_gateway(routes(servers(OK), servers(OK), sticky=Sticky(header="x-user")), random=to_stable)
    client = gateway.client()
    version = client.post(PREDICT, b"{}", "x-user: ada").version
    assert client.post(PREDICT).version == "v1"
    expected = {STABLE: [1, 0, 0, 0]} | {(version, "7", "true"): [1, 0, 0, 0]}
    assert gateway.evidence() == expected


@pytest.mark.parametrize(
    ("status", "signal"), [("500 X", ERRORS), ("404 X", REJECTIONS), ("200 OK", None), ("429 X", REJECTIONS)]
)
def test_a_keys_bucket_is_bad_for_good(servers: Servers, start_gateway: Start, status: str, signal: int | None) -> None:
    async def bad_at_first(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(answer(b"{}", status if len(peer.server.requests) == 1 else "200 OK"))

    gateway = start_gateway(routes(servers(OK), servers(bad_at_first), 100, sticky=Sticky(header="x-user")))
    client = gateway.client()
    for _ in range(3):
        assert client.post(PREDICT, b"{}", "x-user: ada").version == "v2"
    bucket = 1 << position(SALT, b"ada").bucket
    bits = [bucket, 0, 0, 0]
    if signal is not None:
        bits[1 + signal] = bucket
    assert gateway.evidence_sums().buckets == {
        ("default", "m", "v1", SALT): [0, 0, 0, 0],
        ("default", "m", "v2", SALT): bits,
    }


def test_a_slow_keys_bucket_is_bad_the_moment_it_is_late(servers: Servers, start_gateway: Start) -> None:
    canary = servers(silent)
    gateway = start_gateway(routes(servers(OK), canary, 100, sticky=Sticky(header="x-user"), slow=0.05))
    client = gateway.client().send(request("POST", PREDICT, b"{}", "x-user: ada"))
    key = ("default", "m", "v2", SALT)
    bits = eventually(lambda: gateway.evidence_sums().buckets.get(key, [0, 0, 0, 0]), lambda bits: any(bits[1:]))
    bucket = 1 << position(SALT, b"ada").bucket
    assert bits == [bucket, 0, bucket, 0]
    client.close()


def test_requests_without_a_key_mark_no_bucket(servers: Servers, start_gateway: Start) -> None:
    bad = servers(always(answer(b"{}", "500 X")))
    gateway = start_gateway(routes(bad, bad, sticky=Sticky(header="x-user")), random=to_canary)
    gateway.client().post(PREDICT)
    assert gateway.evidence() == {CANARY: [1, 1, 0, 0]}
    assert not any(bits for row in gateway.evidence_sums().buckets.values() for bits in row)


def test_buckets_outlive_a_change_of_weight_and_end_with_their_rollout(servers: Servers, start_gateway: Start) -> None:
    bad = servers(always(answer(b"{}", "500 X")))
    sticky: dict[str, Any] = {"sticky": Sticky(header="x-user")}
    gateway = start_gateway(routes(bad, bad, 100, **sticky))
    gateway.client().post(PREDICT, b"{}", "x-user: ada")
    gateway.swap(routes(bad, bad, 50, epoch=8, revision=2, **sticky))
    bits = gateway.evidence_sums().buckets["default", "m", "v2", SALT]
    bucket = 1 << position(SALT, b"ada").bucket
    assert bits == [bucket, bucket, 0, 0]
    gateway.swap(routes(bad, bad, 50, epoch=9, revision=3, salt="another", **sticky))
    assert gateway.evidence_sums().buckets == {}


# What has no room.


@pytest.mark.parametrize("area", ["EVIDENCE", "BITMAPS"])
def test_where_one_arm_has_no_room_neither_is_counted(
    servers: Servers, start_gateway: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, area: str
) -> None:
    monkeypatch.setattr(getattr(counters, area), "capacity", 2)  # one for itself
    bad = servers(always(answer(b"{}", "500 X")))
    gateway = start_gateway(routes(bad, bad, 50, sticky=Sticky(header="x-user")))
    client = gateway.client()
    for key in range(20):
        client.post(PREDICT, b"{}", f"x-user: {key}")
        client.post(PREDICT)
    assert gateway.evidence() == {("_other", "_other", "_other"): [40, 40, 0, 0]}
    assert not any(bits for row in gateway.evidence_sums().buckets.values() for bits in row)
    (line,) = [record for record in caplog.records if "no room to count evidence" in record.message]
    assert line.deployment == "default/m"  # type: ignore[attr-defined]
