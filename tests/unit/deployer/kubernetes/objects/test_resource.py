"""Objects of the API server as ModelDeployments."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deployer.kubernetes.objects.resource import InvalidSpec, read
from tests.cluster.bad_documents import ANSWERED, FIXED, REFUSED, WHOLE, Bad, document


@pytest.mark.parametrize("spec", WHOLE, ids=lambda spec: str(spec["runtime"]))
def test_what_is_right_is_read(spec: dict[str, Any]) -> None:
    resource = document("digits", spec)
    resource["metadata"] |= {"uid": "1", "labels": {"a": "b"}, "annotations": {"long": "x" * 10_000}, "generation": 3}
    resource["status"] = {"phase": "Ready"}
    before = copy.deepcopy(resource)
    deployment = read(resource)
    assert resource == before
    assert deployment.key == "default/digits"
    assert [version.name for version in deployment.spec.versions] == [version["name"] for version in spec["versions"]]


@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: f"{bad.path}-{'-'.join(bad.words)}")
def test_what_the_api_server_refuses_is_refused_here_too(bad: Bad) -> None:
    with pytest.raises(InvalidSpec):
        read(bad.document())


@pytest.mark.parametrize("bad", ANSWERED, ids=lambda bad: f"{bad.path}-{'-'.join(bad.words)}")
def test_what_the_api_server_can_not_see_is_told_with_its_field(bad: Bad) -> None:
    with pytest.raises(InvalidSpec) as raised:
        read(bad.document())
    assert [word for word in bad.words if word not in str(raised.value)] == []


@pytest.mark.parametrize("bad", FIXED, ids=lambda bad: str(bad.path))
def test_what_can_not_change_is_right_at_first(bad: Bad) -> None:
    read(document("digits", bad.spec))


def test_all_mistakes_are_told() -> None:
    resource = document("digits", copy.deepcopy(WHOLE[0]))
    resource["spec"]["traffic"] = {"stable": "v3", "weight": 1}
    resource["spec"]["versions"][0]["modle"] = resource["spec"]["versions"][0].pop("model")
    with pytest.raises(InvalidSpec) as raised:
        read(resource)
    assert {line.partition(": ")[0] for line in str(raised.value).splitlines()} == {
        "spec.versions[0].modle",
        "spec.traffic.stable",
        "spec.traffic.weight",
    }


def test_an_object_without_a_spec() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.runtime: runtime is missing"):
        read({"metadata": {"name": "digits", "namespace": "default"}})
