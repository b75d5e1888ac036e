"""By what of a REST request its version is chosen, on connections and for heads that were met before; and what travels
on of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.contract.route_table import Match, RouteTable, Sticky
from gateway.routing.sticky import position
from gateway.wire.http1 import request_reader
from tests.fakes.gateway import PREDICT, Gateway, deployment
from tests.fakes.rest_client import Answer, Client, request
from tests.fakes.rest_servers import Server, always, answer

Servers = Callable[..., Server]
StartGateway = Callable[..., Gateway]

SALT = "default/m v1 v2 1"
USERS = [f"user-{number}" for number in range(40)]
VERSIONS = {user: "v2" if position(SALT, user.encode()).share < 0.5 else "v1" for user in USERS}
ASSIGNMENT = "x-turnout-assignment"


@pytest.fixture
def v1(servers: Servers) -> Server:
    return servers(always(answer(b"one", "200 OK", "x-turnout-assignment: forged/by=server")))


@pytest.fixture
def v2(servers: Servers) -> Server:
    return servers(always(answer(b"two")))


@pytest.fixture
def start(start_gateway: StartGateway, v1: Server, v2: Server) -> Callable[..., Client]:
    """A client of a gateway whose deployment `m` is as told, its canary at weight 50."""

    def made(**values: Any) -> Client:
        routed = deployment("m", {"v1": [v1], "v2": [v2]}, **{"weight": 50, "salt": SALT} | values)
        return start_gateway(RouteTable(revision=1, deployments=(routed,)), random=lambda: 0.75).client()

    return made


def versions(client: Client, field: str) -> dict[str, str | None]:
    """By user, each asked three times over; `field` has their name for {}."""
    seen: dict[str, set[str | None]] = {user: set() for user in USERS}
    for _ in range(3):
        for user in USERS:
            seen[user].add(client.post(PREDICT, b"{}", field.format(user)).version)
    assert all(len(each) == 1 for each in seen.values()), "all of a user's requests got one version"
    return {user: each.pop() for user, each in seen.items()}


def test_there_are_users_of_both() -> None:
    assert set(VERSIONS.values()) == {"v1", "v2"}


@pytest.mark.parametrize(
    "field",
    ["x-user: {}", "X-User: {}", "X-USER:   {}  ", "x-user: {}\r\nx-user: user-0", "Connection: x-user\r\nX-User: {}"],
)
def test_a_header_is_the_key(start: Callable[..., Client], field: str) -> None:
    found = versions(start(sticky=Sticky(header="x-user")), field)
    # What Connection nominates is between the client and us, and no field of the request.
    assert found == (dict.fromkeys(USERS, "v1") if field.startswith("Connection") else VERSIONS)


@pytest.mark.parametrize(
    "field",
    ["Cookie: user={}", 'cookie: a=b; user="{}"; c=d', "Cookie: a=b\r\nCookie: user={}", "Cookie: user={}; user=x"],
)
def test_a_cookie_is_the_key_and_is_not_remembered(start: Callable[..., Client], field: str) -> None:
    assert versions(start(sticky=Sticky(cookie="user")), field) == VERSIONS
    assert not [head for head in request_reader._known if b"user-" in head and b"ookie" in head]


def test_credentials_as_a_key_are_not_remembered(start: Callable[..., Client]) -> None:
    assert versions(start(sticky=Sticky(header="authorization")), "Authorization: {}") == VERSIONS
    assert not [head for head in request_reader._known if b"uthorization: user-" in head]


def test_the_key_goes_on_to_the_server(start: Callable[..., Client], v1: Server, v2: Server) -> None:
    start(sticky=Sticky(header="x-user")).post(PREDICT, b"{}", f"x-user: {USERS[0]}")
    ((sent, *_),) = [server.requests for server in (v1, v2) if server.requests]
    assert sent.fields[b"x-user"] == USERS[0].encode()


def test_rules(start: Callable[..., Client]) -> None:
    client = start(match=(Match(header={"x-group": "beta", "x-region": "eu"}, version="v2"),))
    for _ in range(2):
        assert client.post(PREDICT, b"{}", "X-Group: beta", "X-Region: eu").version == "v2"
        assert client.post(PREDICT, b"{}", "X-Group: beta", "X-Region: us").version == "v1"
        assert client.post(PREDICT, b"{}", "X-Group: beta, x", "X-Region: eu").version == "v1"
        assert client.post(PREDICT, b"{}", "X-Group: alpha", "X-Group: beta", "X-Region: eu").version == "v1"
        assert client.post(PREDICT, b"{}", "X-Group: beta", "X-Region: eu", "x-turnout-version: v1").version == "v1"


def assignment(got: Answer) -> str | None:
    return got.fields.get(ASSIGNMENT)


@pytest.mark.parametrize(
    ("sent", "version", "onward"),
    [
        (None, "v1", "default/m=v1"),
        ("default/m=v2", "v2", "default/m=v2"),
        ("default/m=v2, lab/a=v7", "v2", "default/m=v2, lab/a=v7"),
        ("lab/a=v7,default/m=v2", "v2", "default/m=v2, lab/a=v7"),
        ("lab/a=v7", "v1", "default/m=v1, lab/a=v7"),
        ("default/m=v9", "v1", "default/m=v1"),
        ("nonsense", "v1", "default/m=v1"),
        ("default/m=v2, " + "x" * 1024, "v1", "default/m=v1"),
    ],
)
def test_an_assignment_is_taken_over_and_travels_on(
    start: Callable[..., Client], v1: Server, v2: Server, sent: str | None, version: str, onward: str
) -> None:
    client = start()
    for _ in range(3):
        got = client.post(PREDICT, b"{}", *([] if sent is None else [f"X-Turnout-Assignment: {sent}"]))
        assert (got.version, assignment(got)) == (version, onward)
        server = v1 if version == "v1" else v2
        assert server.requests[-1].fields[ASSIGNMENT.encode()] == onward.encode()


def test_of_repeated_fields_the_first_counts(start: Callable[..., Client]) -> None:
    got = start().post(PREDICT, b"{}", f"{ASSIGNMENT}: default/m=v2", f"{ASSIGNMENT}: default/m=v1")
    assert (got.version, assignment(got)) == ("v2", "default/m=v2")


def test_a_pin_travels_on_too(start: Callable[..., Client]) -> None:
    got = start().post(PREDICT, b"{}", "x-turnout-version: v2", f"{ASSIGNMENT}: default/m=v1")
    assert (got.version, assignment(got)) == ("v2", "default/m=v2")


@pytest.mark.parametrize(
    ("sent", "onward"),
    [(None, None), ("lab/a=v7", "lab/a=v7"), ("default/m=v1", "default/m=v1"), ("default/m=v9", "default/m=v1")],
)
def test_without_a_canary_only_what_came_travels_on(
    start_gateway: StartGateway, v1: Server, sent: str | None, onward: str | None
) -> None:
    client = start_gateway(RouteTable(revision=1, deployments=(deployment("m", {"v1": [v1]}),))).client()
    for _ in range(3):
        got = client.post(PREDICT, b"{}", *([] if sent is None else [f"{ASSIGNMENT}: {sent}"]))
        assert (got.version, assignment(got)) == ("v1", onward)
        assert v1.requests[-1].fields.get(ASSIGNMENT.encode()) == (onward and onward.encode())


def test_the_canary_goes_and_its_mark_with_it(start_gateway: StartGateway, v1: Server, v2: Server) -> None:
    both = deployment("m", {"v1": [v1], "v2": [v2]}, weight=0)
    gateway = start_gateway(RouteTable(revision=1, deployments=(both,)))
    client = gateway.client()
    assert assignment(client.post(PREDICT)) == "default/m=v1"
    gateway.swap(RouteTable(revision=2, deployments=(both.model_copy(update={"canary": None}),)))
    assert assignment(client.post(PREDICT)) is None


@pytest.mark.parametrize(
    ("values", "field", "how"),
    [
        ({"match": (Match(header={"x-group": "beta"}, version="v2"),)}, "x-group: beta", "match"),
        ({}, f"{ASSIGNMENT}: default/m=v2", "inherited"),
    ],
)
def test_stable_answers_for_a_canary_that_can_not_and_the_answer_says_so(
    start_gateway: StartGateway, servers: Servers, v1: Server, values: dict[str, Any], field: str, how: str
) -> None:
    unready = servers(always(answer(b"{}", "503 Service Unavailable")))
    routed = deployment("m", {"v1": [v1], "v2": [unready]}, weight=0, **values)
    gateway = start_gateway(RouteTable(revision=1, deployments=(routed,)))
    got = gateway.client().post(PREDICT, b"{}", field)
    assert (got.status, got.version, assignment(got)) == (200, "v1", "default/m=v1")
    assert v1.requests[-1].fields[ASSIGNMENT.encode()] == b"default/m=v1"
    assert gateway.outcomes("v2", assignment=how) == {"unavailable": 1}
    assert gateway.outcomes("v1", assignment="fallback") == {"success": 1}


def test_metrics_tell_how_each_was_chosen(start_gateway: StartGateway, v1: Server, v2: Server) -> None:
    rule = Match(header={"x-group": "beta"}, version="v2")
    routed = deployment("m", {"v1": [v1], "v2": [v2]}, weight=0, match=(rule,), sticky=Sticky(header="x-user"))
    gateway = start_gateway(RouteTable(revision=1, deployments=(routed,)))
    client = gateway.client()
    fields = ["x-turnout-version: v2", "x-group: beta", f"{ASSIGNMENT}: default/m=v2", "x-user: alice", "x-none: 1"]
    for field in fields:
        client.post(PREDICT, b"{}", field)
    for how in ("pin", "match", "inherited"):
        assert gateway.outcomes("v2", assignment=how) == {"success": 1}
    assert gateway.outcomes("v1", assignment="split") == {"success": 2}


def test_pipelined_requests_have_keys_of_their_own(start: Callable[..., Client]) -> None:
    """Several in one read, all with known heads."""
    client = start(sticky=Sticky(header="x-user"))
    for _ in range(3):
        client.send(b"".join(request("POST", PREDICT, b"{}", f"x-user: {user}") for user in USERS))
        assert [client.answer().version for _ in USERS] == list(VERSIONS.values())
