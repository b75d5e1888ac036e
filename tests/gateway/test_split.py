"""Which version a request gets: exact weights, pins, and what is said to pins of nothing."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gateway import split
from gateway.errors import Refusal
from gateway.split import Pin, assign, find
from gateway.table import Deployment, RouteTable, Version

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


def test_a_deployment_is_found_or_the_nearest_named() -> None:
    table = RouteTable(
        revision=1,
        deployments=(deployment(name="digits"), deployment(name="letters"), deployment(name="digits", namespace="lab")),
    )
    assert find(table, "digits", None).key == "default/digits"
    assert find(table, "digits", "lab").key == "lab/digits"
    for name, namespace, said in (
        ("digit", None, "no deployment digit; known: digits and 1 more"),
        ("digits", "lib", "no deployment lib/digits; known: lab/digits"),
        ("zzz", None, "no deployment zzz; known: digits, letters"),
        ("x" * 100_000, None, f"no deployment {'x' * 77}...; known: digits, letters"),
    ):
        with pytest.raises(Refusal) as raised:
            find(table, name, namespace)
        assert (raised.value.status, raised.value.reason) == (404, "unknown_deployment")
        assert said in raised.value.message


def test_nothing_is_known_where_there_is_nothing() -> None:
    with pytest.raises(Refusal, match="no deployment m; none is served now"):
        find(RouteTable(revision=1), "m", None)


def test_what_is_asked_for_in_vain_again_and_again_is_compared_once() -> None:
    """To compare with hundreds of like names takes tens of milliseconds, in which a data loop does nothing else."""
    split._near.cache_clear()
    many = RouteTable(revision=1, deployments=tuple(deployment(name=f"some-model-{n}") for n in range(1_000)))
    for _ in range(3):
        with pytest.raises(Refusal, match=r"known: some-model-.* and 995 more"):
            find(many, "some-modell-7", None)
    assert split._near.cache_info()[:2] == (2, 1)
