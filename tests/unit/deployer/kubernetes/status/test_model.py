"""What is read of a status that another release wrote, or nobody in their right mind."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deployer.kubernetes.status.model import DeploymentStatus, read

ROUTE = {"namespace": "n", "name": "d", "runtime": "oip", "stable": "v1", "epoch": 7, "versions": [{"name": "v1"}]}
GOOD = {"type": "Ready", "status": "True", "reason": "Of", "lastTransitionTime": "2026-01-01T00:00:00Z"}
LATER = {**GOOD, "type": "Later"}

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
fields = [field.alias or name for name, field in DeploymentStatus.model_fields.items() if name != "route"]


@given(st.dictionaries(st.sampled_from([*fields, "later"]), json))
def test_nothing_beside_the_route_costs_the_route(found: dict[str, Any]) -> None:
    route = read({**found, "route": ROUTE}).route
    assert route is not None
    assert (route.stable, route.epoch) == ("v1", 7)


def test_of_conditions_those_that_are_known_stay() -> None:
    assert [one.type for one in read({"conditions": [LATER, GOOD, LATER]}).conditions] == ["Ready"]


def test_what_a_later_release_adds_to_a_route_is_left_out() -> None:
    later = {**ROUTE, "mirror": {"to": "v3"}, "versions": [{"name": "v1", "colour": "blue"}]}
    assert read({"route": later}) == read({"route": ROUTE})


def test_what_is_read_is_not_changed() -> None:
    found = {"conditions": [LATER], "route": {**ROUTE, "mirror": 1}}
    read(found)
    assert found == {"conditions": [LATER], "route": {**ROUTE, "mirror": 1}}


def test_a_field_that_a_later_release_adds_deep_inside_costs_nothing_beside_it() -> None:
    later = {**GOOD, "severity": {"level": 3}}
    found = {"conditions": [later, GOOD], "action": {"text": "pause:1", "by": "alice"}, "later": 1}
    status = read(found)
    assert status == read({"conditions": [GOOD, GOOD], "action": {"text": "pause:1"}})
    assert status.action is not None
    assert status.action.text == "pause:1"
