from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.kubernetes.reconcile.compare import answer, is_as_desired, is_scaled, projected, stamped, without_replicas

DESIRED = stamped(
    {
        "kind": "Deployment",
        "metadata": {"name": "digits-v1", "annotations": {"a": "b"}},
        "spec": {
            "replicas": 1,
            "containers": [
                {"name": "server", "env": [{"name": "A", "value": "1"}], "args": ["--x", "--y"]},
                {"name": "warmup", "ports": [{"containerPort": 80}]},
            ],
            "tolerations": [{"key": "gpu"}],
        },
    }
)


def live() -> dict[str, Any]:
    """As the API server has it: with fields and items of others, in an order of its own."""
    found = copy.deepcopy(DESIRED)
    found["metadata"] |= {"uid": "1", "labels": {"other": "x"}}
    found["spec"]["strategy"] = {"type": "RollingUpdate"}
    server, warmup = found["spec"]["containers"]
    server["env"].insert(0, {"name": "INJECTED", "value": "x"})
    found["spec"]["containers"] = [{"name": "sidecar"}, warmup, server]
    found["spec"]["tolerations"][0]["operator"] = "Equal"
    return found


def test_what_others_added_is_no_difference() -> None:
    assert is_as_desired(DESIRED, live(), None)


CHANGES = {
    "a value": lambda o: o["spec"].update(replicas=2),
    "a value in a list's item": lambda o: o["spec"]["containers"][2]["env"][1].update(value="2"),
    "an item that is gone": lambda o: o["spec"]["containers"].pop(),
    "another order of words": lambda o: o["spec"]["containers"][2]["args"].reverse(),
    "a word more": lambda o: o["spec"]["containers"][2]["args"].append("--z"),
    "a field that is gone": lambda o: o["spec"].pop("replicas"),
    "an item more in a list without names": lambda o: o["spec"]["tolerations"].append({"key": "x"}),
    "the digest": lambda o: o["metadata"]["annotations"].update({"turnout.dev/digest": "0"}),
    "no annotations": lambda o: o["metadata"].pop("annotations"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_in_our_places_is_a_difference(change: str) -> None:
    found = live()
    CHANGES[change](found)
    assert not is_as_desired(DESIRED, found, None)


def test_a_field_that_is_no_longer_named_shows_in_the_digest() -> None:
    plain = {**DESIRED, "metadata": {"name": "digits-v1", "annotations": {"a": "b"}}}
    less = stamped({**plain, "spec": {"replicas": 1}})
    assert projected(live(), less)["spec"] == less["spec"]
    assert not is_as_desired(less, live(), None)


def test_another_form_of_the_same_is_remembered_for_that_object_alone() -> None:
    found = live()
    found["spec"]["replicas"] = "1"
    known = answer(DESIRED, found)
    assert not is_as_desired(DESIRED, found, None)
    assert is_as_desired(DESIRED, found, known)
    found["spec"]["replicas"] = "2"
    assert not is_as_desired(DESIRED, found, known)


def test_who_scales_is_seen() -> None:
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    ours = {"manager": "turnout", "operation": "Apply", "fieldsV1": fields}
    theirs = {"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale", "fieldsV1": fields}
    assert not is_scaled({"metadata": {}})
    assert not is_scaled({"metadata": {"managedFields": [ours]}})
    assert is_scaled({"metadata": {"managedFields": [ours, theirs]}})
    assert "replicas" not in without_replicas(DESIRED)["spec"]
    assert DESIRED["spec"]["replicas"] == 1


values = st.recursive(
    st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "x", "y"]), inner, max_size=3),
    max_leaves=12,
)


@given(values)
def test_everything_is_as_itself(value: Any) -> None:
    assert projected(value, value) == value
