"""What gateways are told of a deployment: what its servers speak, who has which part of the traffic, who gets what."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.document.model import ModelDeployment
from deployer.rollout.controller import Split
from deployer.rollout.route import route
from gateway.contract import route_table
from tests.fakes.deployments import deployment


@pytest.mark.parametrize(
    ("spec", "runtime", "servable"),
    [
        ({"runtime": "tfserving"}, "tfserving", 3),
        ({"runtime": "seldon"}, "seldon", None),
        ({"runtime": "seldon", "seldon": {"protocol": "v2"}}, "oip", None),
        ({"runtime": "seldon", "seldon": {"protocol": "tensorflow"}}, "tfserving", 3),
        ({"runtime": "oip"}, "oip", None),
        ({"runtime": "triton"}, "oip", 3),
    ],
)
def test_what_servers_speak(spec: dict[str, Any], runtime: str, servable: int | None) -> None:
    document = ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "digits"},
            "spec": {**spec, "versions": [{"name": "v1", "model": "/models/digits/3"}], "traffic": {"stable": "v1"}},
        }
    )
    routed = route(None, document, {"v1"}, Split.of(document))
    assert (routed.runtime, [version.servable for version in routed.versions]) == (runtime, [servable])


def made(
    before: route_table.Deployment | None,
    roles: Split,
    ready: set[str],
    *versions: str,
    rollout: bool = True,
    traffic: dict[str, Any] | None = None,
    **more: Any,
) -> route_table.Deployment:
    spec: dict[str, Any] = {"rollout": {"objectives": {"slow": {"over": "50ms"}}}} if rollout else {}
    named = [{"name": name, "image": "team/digits"} for name in versions or ("v1", "v2")]
    document = deployment("oip", *named, traffic={"stable": named[0]["name"], **(traffic or {})}, **spec, **more)
    return route(before, document, ready, roles)


def split(route: route_table.Deployment) -> tuple[str, str | None, float, int]:
    return route.stable, route.canary, route.weight, route.epoch


def test_the_epoch_rises_with_each_change_of_the_split_and_with_nothing_else() -> None:
    both = {"v1", "v2"}
    first = made(None, Split("v1", "v2", 0, "s 1"), both)
    assert split(first) == ("v1", "v2", 0, 0)
    assert split(made(first, Split("v1", "v2", 0, "s 2"), both)) == ("v1", "v2", 0, 0)
    second = made(first, Split("v1", "v2", 5, "s 1"), both)
    assert split(second) == ("v1", "v2", 5, 1)
    assert split(made(second, Split("v2"), both)) == ("v2", None, 0, 2)


def test_by_hand_a_canary_that_is_not_ready_has_no_weight_and_in_a_rollout_it_keeps_it() -> None:
    before = made(None, Split("v1", "v2", 5), {"v1", "v2"})
    assert made(before, Split("v1", "v2", 5), {"v1"}, rollout=False).weight == 0
    assert made(before, Split("v1", "v2", 5), {"v1"}).weight == 5
    assert made(before, Split("v1", "v2", 5), set()).weight == 5


def test_what_was_stable_is_held_until_its_successor_is_ready() -> None:
    before = made(None, Split("v1"), {"v1"}, "v1")
    held = made(before, Split("v2"), {"v1"}, "v2")
    assert split(held) == ("v1", None, 0, 0)
    assert [version.name for version in held.versions] == ["v2", "v1"]
    assert split(made(held, Split("v2"), {"v1", "v2"}, "v2")) == ("v2", None, 0, 1)


def test_a_promoted_canary_that_does_not_answer_for_a_moment_keeps_all_it_had() -> None:
    before = made(None, Split("v1", "v2", 100, "s"), {"v1", "v2"})
    assert split(made(before, Split("v2"), {"v1"})) == ("v1", "v2", 100, 0)
    assert split(made(before, Split("v2"), {"v1", "v2"})) == ("v2", None, 0, 1)


def test_a_canary_that_is_stable_is_no_canary() -> None:
    assert split(made(None, Split("v1", "v1", 0), {"v1"})) == ("v1", None, 0, 0)


def test_keys_rules_and_limits_are_told() -> None:
    traffic = {"sticky": {"header": "x-user"}, "match": [{"header": {"x-cohort": "beta"}, "version": "v2"}]}
    routed = made(None, Split("v1", "v2", 5, "default/digits v1 v2 1"), {"v1", "v2"}, traffic=traffic)
    assert routed.salt == "default/digits v1 v2 1"
    assert routed.sticky == route_table.Sticky(header="x-user")
    assert routed.match == (route_table.Match(header={"x-cohort": "beta"}, version="v2"),)
    assert routed.slow == 0.05


def test_what_the_document_says_of_requests_is_told() -> None:
    routed = made(None, Split("v1"), {"v1"}, timeout="2.5m", maxMessageBytes=1000, cors={"origins": ["*"]})
    assert (routed.timeout, routed.max_message_bytes, routed.cors) == (150, 1000, ("*",))
    routed = made(None, Split("v1"), {"v1"})
    assert (routed.timeout, routed.max_message_bytes, routed.cors) == (None, None, ())


def test_without_keys_and_rollouts_there_is_no_salt_and_no_limit() -> None:
    routed = made(None, Split("v1", "v2", 5, "default/digits v1 v2 0"), {"v1", "v2"}, rollout=False)
    assert (routed.salt, routed.sticky, routed.match, routed.slow) == ("", None, (), None)
