"""Which version a request gets: exact weights, pins, and what is said to pins of nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gateway.contract.route_table import Deployment, Match, RouteTable, Sticky, Version
from gateway.refusal import Refusal
from gateway.routing.router import Assignment, Pin, assign, find
from gateway.routing.sticky import position

LAST = math.nextafter(1.0, 0.0)
"""The largest that random.random() gives."""


def deployment(weight: float = 0, name: str = "m", namespace: str = "default", canary: str | None = "v2") -> Deployment:
    versions = (Version(name="v1", servable=1), Version(name="v2", servable=20), Version(name="v3"))
    return Deployment(
        namespace=namespace,
        name=name,
        runtime="tfserving",
        stable="v1",
        canary=canary,
        weight=weight,
        epoch=7,
        versions=versions,
    )


@pytest.mark.parametrize(
    ("weight", "u", "version"),
    [
        (0, 0.0, "v1"),
        (0, LAST, "v1"),
        (100, 0.0, "v2"),
        (100, LAST, "v2"),
        (10, 0.0, "v2"),
        (10, 0.0999999999999, "v2"),
        (10, 0.1, "v1"),
        (50, 0.5, "v1"),
        (50, math.nextafter(0.5, 0.0), "v2"),
        (5e-324, 0.0, "v2"),
    ],
)
def test_the_canary_has_the_numbers_below_its_weight(weight: float, u: float, version: str) -> None:
    assigned = assign(deployment(weight), None, u)
    assert (assigned.version.name, assigned.how, assigned.epoch) == (version, "split", 7)


@given(st.floats(0, LAST))
def test_none_at_0_and_all_at_100(u: float) -> None:
    assert assign(deployment(0), None, u).version.name == "v1"
    assert assign(deployment(100), None, u).version.name == "v2"
    assert assign(deployment(0, canary=None), None, u).version.name == "v1"


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, LAST))
def test_who_has_the_canary_keeps_it_as_the_weight_grows(a: float, b: float, u: float) -> None:
    low, high = sorted((a, b))
    if assign(deployment(low), None, u).version.name == "v2":
        assert assign(deployment(high), None, u).version.name == "v2"


@pytest.mark.parametrize("weight", [0.5, 1, 10, 33.3, 50, 99])
def test_shares_are_the_weights(weight: float) -> None:
    draw = random.Random(weight)
    trials = 20_000
    chosen = sum(assign(deployment(weight), None, draw.random()).version.name == "v2" for _ in range(trials))
    assert stats.binomtest(chosen, trials, weight / 100).pvalue > 1e-4


@pytest.mark.parametrize(
    ("pin", "version"),
    [
        (Pin("servable", "1"), "v1"),
        (Pin("servable", "20"), "v2"),
        (Pin("label", "stable"), "v1"),
        (Pin("label", "canary"), "v2"),
        (Pin("name", "v3"), "v3"),
        (Pin("version", "v3"), "v3"),
        (Pin("version", "20"), "v2"),
    ],
)
def test_a_pin_gets_its_version_whatever_the_weight(pin: Pin, version: str) -> None:
    for weight in (0, 50, 100):
        for u in (0.0, LAST):
            assigned = assign(deployment(weight), pin, u)
            assert (assigned.version.name, assigned.how, assigned.epoch) == (version, "pin", 7)


@pytest.mark.parametrize(
    ("pin", "status", "reason", "message"),
    [
        (Pin("servable", "3"), 404, "unknown_version", "Could not find version 3 of model m; known: 1, 20"),
        (
            Pin("servable", "9" * 5000),
            404,
            "unknown_version",
            f"Could not find version {'9' * 77}... of model m; known: 1, 20",
        ),
        (Pin("name", "V2"), 404, "unknown_version", "Could not find version V2 of model m; known: v1, v2, v3"),
        (
            Pin("version", "020"),
            404,
            "unknown_version",
            "Could not find version 020 of model m; known: v1, v2, v3",
        ),
        (
            Pin("label", "beta"),
            400,
            "unknown_label",
            "Unrecognized servable version label: beta of default/m; the labels are stable and canary",
        ),
        (
            Pin("label", "a\r\né"),
            400,
            "unknown_label",
            "Unrecognized servable version label: a\\r\\n\\xe9 of default/m; the labels are stable and canary",
        ),
    ],
)
def test_a_pin_of_nothing_is_refused(pin: Pin, status: int, reason: str, message: str) -> None:
    with pytest.raises(Refusal) as raised:
        assign(deployment(50), pin, 0.0)
    refusal = raised.value
    assert (refusal.status, refusal.reason) == (status, reason)
    assert refusal.message == message


def test_the_canary_label_without_a_canary() -> None:
    with pytest.raises(Refusal, match="canary of default/m; it has no canary now"):
        assign(deployment(canary=None), Pin("label", "canary"), 0.0)


BETA = Match(header={"x-group": "beta"}, version="v3")
BETA_EU = Match(header={"x-group": "beta", "x-region": "eu"}, version="v2")


def chosen(
    routed: Deployment,
    values: Mapping[bytes, bytes] | None = None,
    before: Mapping[str, str] | None = None,
    pin: Pin | None = None,
    u: float = LAST,
) -> tuple[str, str]:
    assigned = assign(routed, pin, u, lambda: values or {}, before or {})
    assert assigned.epoch == 7
    return assigned.version.name, assigned.how


@pytest.mark.parametrize(
    ("rules", "values", "expected"),
    [
        ([BETA], {b"x-group": b"beta"}, ("v3", "match")),
        ([BETA], {b"x-group": b"beta", b"x-region": b"eu"}, ("v3", "match")),
        ([BETA], {b"x-group": b"Beta"}, ("v1", "split")),
        ([BETA], {b"x-group": b"beta2"}, ("v1", "split")),
        ([BETA], {b"x-groups": b"beta"}, ("v1", "split")),
        ([BETA], {}, ("v1", "split")),
        ([BETA_EU, BETA], {b"x-group": b"beta", b"x-region": b"eu"}, ("v2", "match")),
        ([BETA_EU, BETA], {b"x-group": b"beta", b"x-region": b"us"}, ("v3", "match")),
        ([BETA_EU, BETA], {b"x-region": b"eu"}, ("v1", "split")),
        ([BETA, BETA_EU], {b"x-group": b"beta", b"x-region": b"eu"}, ("v3", "match")),
        ([Match(header={"x-group": ""}, version="v2")], {b"x-group": b""}, ("v2", "match")),
        ([Match(header={"x-group": ""}, version="v2")], {}, ("v1", "split")),
    ],
)
def test_the_first_rule_decides_of_which_all_headers_are_equal(
    rules: list[Match], values: dict[bytes, bytes], expected: tuple[str, str]
) -> None:
    assert chosen(deployment(0).model_copy(update={"match": tuple(rules)}), values) == expected


def test_pins_go_before_rules_rules_before_earlier_assignments_and_these_before_the_split() -> None:
    routed = deployment(100).model_copy(update={"match": (BETA,), "sticky": Sticky(header="x-user")})
    values = {b"x-group": b"beta", b"x-user": b"alice"}
    before = {"default/m": "v1"}
    assert chosen(routed, values, before, Pin("name", "v2")) == ("v2", "pin")
    assert chosen(routed, values, before) == ("v3", "match")
    assert chosen(routed, {b"x-user": b"alice"}, before) == ("v1", "inherited")
    assert chosen(routed, {b"x-user": b"alice"}) == ("v2", "split")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({"default/m": "v3"}, ("v3", "inherited")),
        ({"default/other": "v3", "default/m": "v2"}, ("v2", "inherited")),
        ({"default/m": "v9"}, ("v1", "split")),
        ({"lab/m": "v3"}, ("v1", "split")),
    ],
)
def test_an_earlier_assignment_holds_where_its_version_is_there(
    before: dict[str, str], expected: tuple[str, str]
) -> None:
    assert chosen(deployment(0), before=before) == expected


def sticky(weight: float, salt: str = "salt") -> Deployment:
    return deployment(weight).model_copy(update={"sticky": Sticky(header="x-user"), "salt": salt})


def by_key(routed: Deployment, value: bytes, u: float) -> Assignment:
    return assign(routed, None, u, lambda: {b"x-user": value})


@given(st.floats(0, 100), st.floats(0, 100), st.binary(min_size=1), st.floats(0, LAST), st.floats(0, LAST))
def test_a_key_has_one_version_whatever_is_drawn_and_moves_towards_the_canary_only(
    a: float, b: float, value: bytes, u: float, v: float
) -> None:
    low, high = sorted((a, b))
    before = by_key(sticky(low), value, u)
    assert before == by_key(sticky(low), value, v)
    assert before.bucket == position("salt", value).bucket
    after = by_key(sticky(high), value, v)
    assert after.bucket == before.bucket
    if before.version.name == "v2":
        assert after.version.name == "v2"


@pytest.mark.parametrize("weight", [1, 5, 25, 50, 99])
def test_the_keys_of_the_canary_are_its_weights_share(weight: float) -> None:
    trials = 20_000
    keys = (b"user-%d" % number for number in range(trials))
    canary = sum(by_key(sticky(weight), value, 0.0).version.name == "v2" for value in keys)
    assert stats.binomtest(canary, trials, weight / 100).pvalue > 1e-4


@given(st.binary(min_size=1))
def test_no_key_has_the_canary_at_0_and_all_have_it_at_100(value: bytes) -> None:
    assert by_key(sticky(0), value, 0.0).version.name == "v1"
    assert by_key(sticky(100), value, LAST).version.name == "v2"


def test_the_next_rollout_begins_with_other_keys() -> None:
    keys = [b"%d" % number for number in range(10_000)]
    first, second = (
        {value for value in keys if by_key(sticky(10, salt), value, 0.0).version.name == "v2"}
        for salt in ("m v1 v2 1", "m v2 v3 2")
    )
    assert stats.binomtest(len(first & second), len(first), 0.1).pvalue > 1e-4


@pytest.mark.parametrize("values", [{}, {b"x-user": b""}, {b"x-other": b"alice"}])
def test_a_request_without_a_key_is_drawn(values: dict[bytes, bytes]) -> None:
    for u, version in ((0.0, "v2"), (LAST, "v1")):
        assigned = assign(sticky(50), None, u, lambda: values)
        assert (assigned.version.name, assigned.how, assigned.bucket) == (version, "split", None)


def test_what_is_not_split_by_a_key_has_no_bucket() -> None:
    values = {b"x-user": b"alice", b"x-group": b"beta"}
    routed = sticky(50)
    for assigned in (
        assign(routed, Pin("name", "v2"), 0.0, lambda: values),
        assign(routed.model_copy(update={"match": (BETA,)}), None, 0.0, lambda: values),
        assign(routed, None, 0.0, lambda: values, {"default/m": "v2"}),
        assign(deployment(50), None, 0.0, lambda: values),
    ):
        assert assigned.bucket is None


def test_the_fields_are_not_asked_for_where_nothing_depends_on_them() -> None:
    def never() -> Mapping[bytes, bytes]:
        raise AssertionError

    assert assign(deployment(50), None, 0.0, never, {"default/m": "v1"}).how == "inherited"
    assert assign(sticky(50), Pin("name", "v2"), 0.0, never).how == "pin"


def test_a_deployment_is_found_or_the_nearest_named() -> None:
    table = RouteTable(
        revision=1,
        deployments=(deployment(name="digits"), deployment(name="letters"), deployment(name="digits", namespace="lab")),
    )
    assert find(table, "digits", None).key == "default/digits"
    assert find(table, "digits", "lab").key == "lab/digits"
    for name, namespace, message in (
        ("digit", None, "no deployment digit"),
        ("digits", "lib", "no deployment lib/digits"),
        ("x" * 100_000, None, f"no deployment {'x' * 77}..."),
    ):
        with pytest.raises(Refusal) as raised:
            find(table, name, namespace)
        assert (raised.value.status, raised.value.reason) == (404, "unknown_deployment")
        assert raised.value.message == f"Servable not found for request: {message}", "nobody else's name is in it"
