"""Objects as YAML that any reader takes back, and what changes between two forms of one."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from deployer.kubernetes.manifests import Options, manifests
from deployer.kubernetes.objects.printed import as_yaml, difference
from tests.fakes.deployments import CASES, deployment


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@pytest.mark.parametrize("case", CASES)
def test_the_yaml_is_read_back_as_it_was_by_either_yaml(case: str, version: tuple[int, int]) -> None:
    made = list(manifests(*CASES[case]))
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    assert list(yaml.load_all(as_yaml(made))) == made


@pytest.mark.parametrize(
    "text",
    ["on", "Yes", "y", "1", "1e3", "0x1", "1:20", "~", "", "null", "=", "<<", "a: b", "a #b", "- a", "a\nb\n", " a\n b",
     "é", "2026-01-01", "--flag=on", "a:", "\ta", "a\n\n", "{a}", "*a", "'", '"', "http://a:1/b"],
)  # fmt: skip
def test_text_stays_text(text: str) -> None:
    for version in ((1, 1), (1, 2)):
        yaml = YAML(typ="safe", pure=True)
        yaml.version = version
        assert yaml.load(as_yaml([{"a": {text: text}}])) == {"a": {text: text}}


def test_a_difference_leaves_out_what_tells_nothing() -> None:
    (before,) = [
        item for item in manifests(deployment("tfserving", {"model": "m/1"}), Options()) if item["kind"] == "Deployment"
    ]
    noise = {"uid": "1", "generation": 2, "managedFields": [{}], "annotations": {"turnout.dev/digest": "x"}}
    after = {"kind": "Deployment", "metadata": {**before["metadata"], **noise}, "status": {"replicas": 1}, **before}
    after["metadata"] = {**before["metadata"], **noise}
    assert difference(before, after) == ""
    after["spec"] = {**before["spec"], "replicas": 2}
    assert difference(before, after).splitlines()[:2] == [
        "--- live/Deployment/default/digits-v1",
        "+++ applied/Deployment/default/digits-v1",
    ]
    assert [line for line in difference(before, after).splitlines() if line[0] in "+-"][2:] == [
        "-  replicas: 1",
        "+  replicas: 2",
    ]
    assert difference(None, before).startswith("--- /dev/null\n+++ applied/Deployment")
    assert difference(before, None).startswith("--- live/Deployment/default/digits-v1\n+++ /dev/null")
    assert difference(None, None) == ""


def test_a_difference_has_annotations_of_the_users_own() -> None:
    metadata = {"name": "digits", "namespace": "lab"}
    before = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
    after = {**before, "metadata": {**metadata, "annotations": {"turnout.dev/digest": "x", "team": "vision"}}}
    assert [line for line in difference(before, after).splitlines() if line[0] in "+-"][2:] == [
        "+  annotations:",
        "+    team: vision",
    ]
