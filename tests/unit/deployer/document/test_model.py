"""The models of the document: what they take, what they refuse, what they derive."""

from __future__ import annotations

import copy
import math
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from deployer.document import units
from deployer.document.model import ModelDeployment, Version
from deployer.document.model_uri import absolute, checked, folder_number, is_local, local_path
from deployer.document.rules import broken

VALID: dict[str, Any] = {
    "apiVersion": "turnout.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "digits"},
    "spec": {
        "runtime": "tfserving",
        "versions": [{"name": "v1", "model": "models/digits/1"}, {"name": "v2", "model": "file://models/digits/2"}],
        "traffic": {"stable": "v1", "canary": "v2", "weight": 10},
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """VALID with the field at `path` (spec/versions/0/name) set to `value`."""
    document = copy.deepcopy(VALID)
    *parents, last = path.split("/")
    part: Any = document
    for name in parents:
        part = part[int(name)] if isinstance(part, list) else part.setdefault(name, {})
    part[int(last) if isinstance(part, list) else last] = value
    return document


def deployment(document: dict[str, Any]) -> ModelDeployment:
    return ModelDeployment.model_validate(document, by_name=False)


def test_defaults() -> None:
    read = deployment(VALID)
    first, second = read.spec.versions
    assert read.key == "default/digits"
    assert (first.number, second.number) == (1, 2)
    assert (first.path, second.path) == ("models/digits/1", "models/digits/2")
    assert first.replicas == (1, 1)
    assert list(read.by_name) == ["v1", "v2"]


def test_models_are_seen_from_the_documents_folder() -> None:
    read = deployment(changed("spec/versions/0/model", "/srv/digits/1")).resolved("/home/ada/deployments")
    assert [version.model for version in read.spec.versions] == [
        "/srv/digits/1",
        "/home/ada/deployments/models/digits/2",
    ]


@pytest.mark.parametrize("weight", [0, 100, 0.01, 99.99, 12.25, 33.33, 66.67, 10.07])
def test_weights_are_exact(weight: float) -> None:
    assert deployment(changed("spec/traffic/weight", weight)).spec.traffic.weight == weight


@pytest.mark.parametrize("weight", [-0.01, 100.01, 0.001, 33.333, "10", True, None, math.nan, math.inf])
def test_other_weights_are_refused(weight: object) -> None:
    with pytest.raises(ValidationError, match="weight"):
        deployment(changed("spec/traffic/weight", weight))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("apiVersion", "turnout.dev/v1"),
        ("kind", "Deployment"),
        ("metadata/name", "Digits"),
        ("metadata/name", "a" * 64),
        ("metadata/name", "-a"),
        ("metadata/name", "a\n"),
        ("metadata/namespace", ""),
        ("spec/runtime", "onnx"),
        ("spec/versions", []),
        ("spec/versions", [{"name": f"v{n}", "model": f"m/{n}"} for n in range(1, 34)]),
        ("spec/versions/0/model", ""),
        ("spec/versions/0/model", "file://"),
        ("spec/versions/0/model", "ftp://bucket/1"),
        ("spec/versions/0/image", "my image"),
        ("spec/versions/0/pod/volumes", [{"path": "data", "pvc": "a"}]),
        ("spec/versions/0/pod/volumes", [{"path": "/data/", "pvc": "a"}]),
        ("spec/versions/0/pod/serviceAccount", "a..b"),
        ("spec/versions/0/pod/tolerations", [{"key": "a", "effect": "Never"}]),
        ("spec/seldon", {"protocol": "grpc"}),
        ("spec/oip", {"ports": {"rest": 8080}}),
        ("spec/versions/0/model", "x" * 1025),
        ("spec/versions/0/servable", 0),
        ("spec/versions/0/servable", 1.0),
        ("spec/versions/0/servable", 2**63),
        ("spec/versions/0/autoscaling", {"minReplicas": 1}),
        ("spec/versions/0/autoscaling", {"maxReplicas": 0}),
        ("spec/versions/0/autoscaling", {"maxReplicas": 1001}),
        ("spec/versions/0/autoscaling", {"min_replicas": 1, "maxReplicas": 2}),
        ("spec/versions/0/autoscaling/target/inFlight", 0),
        ("spec/versions/0/resources/requests/cpu", 0),
        ("spec/versions/0/resources/requests/cpu", 0.5),
        ("spec/versions/0/resources/limits/memory", "1GB"),
        ("spec/versions/0/env", {"1A": "x"}),
        ("spec/versions/0/env", {"A": 1}),
        ("spec/versions/0/env", {f"A{n}": "" for n in range(65)}),
        ("spec/versions/0/warmup", [1]),
        ("spec/versions/0/warmup", {"instances": [math.nan]}),
        ("spec/versions/0/rollout", {}),
        ("status", {}),
    ],
)
def test_refused(path: str, value: object) -> None:
    with pytest.raises(ValidationError):
        deployment(changed(path, value))


RULES: list[tuple[str, object, str]] = [
    ("spec/versions/1/servable", 1, "spec.versions.1.servable servable 1 is version 'v1' already"),
    ("spec/versions/1/model", "other/1", "spec.versions.1.model servable 1 is version 'v1' already"),
    ("spec/versions/1/model", "models/b", "spec.versions.1.model the model's folder is not named by a number"),
    ("spec/versions/1/model", "models/0", "spec.versions.1.model the model's folder is not named by a number"),
    ("spec/versions/0/autoscaling", {"minReplicas": 3, "maxReplicas": 2}, "spec.versions.0.autoscaling.maxReplicas 2"),
    (
        "spec/versions/0/resources",
        {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}},
        "spec.versions.0.resources.requests.cpu 2 is above the limit of 1500m",
    ),
    (
        "spec/versions/0/resources",
        {"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}},
        "spec.versions.0.resources.requests.memory 1Gi is above the limit of 1G",
    ),
    (
        "spec/versions/0/resources",
        {"requests": {"gpu": 1}},
        "spec.versions.0.resources.requests.gpu GPUs are not shared",
    ),
    (
        "spec/versions/0/autoscaling",
        {"maxReplicas": 2, "target": {}},
        "spec.versions.0.autoscaling.target it has no load",
    ),
    (
        "spec/versions/0/autoscaling",
        {"maxReplicas": 2, "target": {"inFlight": 1, "cpu": 50}},
        "spec.versions.0.autoscaling.target.cpu there are two targets",
    ),
    (
        "spec/versions/0/autoscaling",
        {"maxReplicas": 2, "target": {"cpu": 50}},
        "spec.versions.0.autoscaling.target.cpu it is a percentage of the CPU requested",
    ),
    ("spec/versions/0", {"name": "v1", "image": "a"}, "spec.versions.0.model tfserving needs a model"),
    ("spec/versions/0/implementation", "SKLEARN_SERVER", "spec.versions.0.implementation tfserving has no choice"),
    ("spec/seldon", {}, "spec.seldon only the runtime seldon has this"),
    ("spec/oip", {"server": "mlserver"}, "spec.oip only the runtime oip has this"),
    ("spec/versions/0/pod/envFrom", [{}], "spec.versions.0.pod.envFrom.0 it names no secret or configMap"),
    (
        "spec/versions/0/pod/envFrom",
        [{"secret": "a", "configMap": "b"}],
        "spec.versions.0.pod.envFrom.0.configMap it names a secret and a configMap",
    ),
    (
        "spec/versions/0/pod/volumes",
        [{"path": "/a"}],
        "spec.versions.0.pod.volumes.0 it names no secret, configMap or pvc",
    ),
    (
        "spec/versions/0/pod/volumes",
        [{"path": "/a", "pvc": "a", "secret": "b"}],
        "spec.versions.0.pod.volumes.0.pvc it names a secret and a pvc",
    ),
    (
        "spec/versions/0/pod/volumes",
        [{"path": "/a", "pvc": "a"}, {"path": "/b", "pvc": "a"}, {"path": "/a", "secret": "b"}],
        "spec.versions.0.pod.volumes.2.path volumes[0] is mounted at /a already",
    ),
    (
        "spec/versions/0/pod/volumes",
        [{"path": "/sys/a", "pvc": "a"}],
        "spec.versions.0.pod.volumes.0.path /sys is taken",
    ),
    ("spec/versions/0/pod/tolerations", [{"value": "a"}], "spec.versions.0.pod.tolerations.0.key there is no key"),
    (
        "spec/versions/0/pod/tolerations",
        [{"operator": "Exists", "value": "a"}],
        "spec.versions.0.pod.tolerations.0.value Exists takes any value",
    ),
    (
        "spec/versions/0/pod/tolerations",
        [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}],
        "spec.versions.0.pod.tolerations.0.tolerationSeconds only NoExecute",
    ),
    ("spec/traffic/stable", "v3", "spec.traffic.stable no version is called 'v3'"),
    ("spec/traffic/canary", "v", "spec.traffic.canary no version is called 'v'"),
    ("spec/traffic/canary", "v1", "spec.traffic.canary 'v1' is stable already"),
    ("spec/traffic", {"stable": "v1", "weight": 1}, "spec.traffic.weight weight is the canary's share"),
]


@pytest.mark.parametrize(("path", "value", "expected"), RULES)
def test_parts_that_disagree(path: str, value: object, expected: str) -> None:
    document = changed(path, value)
    found = [f"{'.'.join(map(str, rule.path))} {rule.message}" for rule in broken(document)]
    assert len(found) == 1
    assert found[0].startswith(expected)
    with pytest.raises(ValidationError):
        deployment(document)


def test_each_disagreement_is_found() -> None:
    found = {rule.path[1:] for rule in broken(changed("spec/versions/1", {"name": "v1", "model": "b/1"}))}
    assert found == {("versions", 1, "name"), ("versions", 1, "model"), ("traffic", "canary")}


def test_parts_that_agree() -> None:
    assert list(broken(VALID)) == []
    deployment(changed("spec/traffic", {"stable": "v1", "weight": 0}))
    deployment(changed("spec/versions/1", {"name": "v2", "model": "models/b", "servable": 7}))
    deployment(changed("spec/versions/0/resources", {"requests": {"cpu": 1}, "limits": {"cpu": "1000m"}}))
    deployment(changed("spec/versions/0/pod/volumes", [{"path": "/system", "pvc": "a"}, {"path": "/a", "pvc": "a"}]))
    deployment(changed("spec/versions/0/pod/tolerations", [{"operator": "Exists"}, {"key": "a", "value": "b"}]))
    on_cpu = changed("spec/versions/0/autoscaling", {"maxReplicas": 2, "target": {"cpu": 50}})
    on_cpu["spec"]["versions"][0]["resources"] = {"requests": {"cpu": 1}}
    deployment(on_cpu)


OTHERS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("seldon", {}, {"model": "models/digits"}, ""),
    ("seldon", {}, {"image": "test/digits"}, ""),
    ("seldon", {"protocol": "v2"}, {"model": "s3://m", "implementation": "SKLEARN_SERVER"}, ""),
    ("seldon", {}, {}, "model seldon needs a model, or an image that holds one"),
    ("seldon", {}, {"model": "m", "servable": 2}, "servable a version of seldon has no servable number"),
    ("seldon", {}, {"model": "m", "implementation": "SKLEARN"}, "implementation 'SKLEARN' is no prepackaged server"),
    (
        "seldon",
        {},
        {"image": "a", "implementation": "SKLEARN_SERVER"},
        "implementation an implementation loads a model",
    ),
    ("oip", {}, {"model": "s3://m"}, ""),
    ("oip", {}, {"model": "s3://m", "implementation": "mlserver_sklearn.SKLearnModel"}, ""),
    ("oip", {"server": "other", "ports": {"rest": 1, "grpc": 2}}, {"image": "test/digits"}, ""),
    ("triton", {}, {"model": "s3://m", "servable": 3}, ""),
    ("triton", {}, {}, "model triton needs a model, or an image that holds one"),
    ("triton", {}, {"model": "m", "implementation": "a.B"}, "implementation triton has no choice"),
    ("oip", {}, {}, "model oip needs a model, or an image that holds one"),
    ("oip", {}, {"model": "s3://m", "servable": 3}, "servable a version of oip has no servable number"),
    ("oip", {"server": "other", "ports": {"rest": 1, "grpc": 2}}, {"model": "m"}, "image another server than mlserver"),
]


@pytest.mark.parametrize(("runtime", "section", "version", "expected"), OTHERS)
def test_what_the_other_runtimes_need(
    runtime: str, section: dict[str, Any], version: dict[str, Any], expected: str
) -> None:
    document = changed(
        "spec", {"runtime": runtime, "versions": [{"name": "v1", **version}], "traffic": {"stable": "v1"}}
    )
    if section:
        document["spec"][runtime] = section
    found = [f"{rule.path[-1]} {rule.message}" for rule in broken(document)]
    assert [line[: len(expected)] for line in found] == ([expected] if expected else [])
    if not expected:
        deployment(document)


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"server": "other"}, ("spec", "oip", "server")),
        ({"ports": {"rest": 8080, "grpc": 8080}}, ("spec", "oip", "ports", "grpc")),
        ({"ports": {"rest": 8080, "grpc": 8081, "metrics": 8081}}, ("spec", "oip", "ports", "metrics")),
    ],
)
def test_ports_of_oip(section: dict[str, Any], path: tuple[str, ...]) -> None:
    document = changed("spec/runtime", "oip")
    document["spec"] |= {"oip": section, "versions": [{"name": "v1", "image": "a"}], "traffic": {"stable": "v1"}}
    assert [rule.path for rule in broken(document)] == [path]


def test_what_was_left_out_stays_out() -> None:
    read = deployment(changed("spec/traffic", {"stable": "v1"}))
    assert deployment(read.model_dump(mode="json", exclude_unset=True)) == read


def test_seldon_versions_have_no_servable_number() -> None:
    document = changed("spec/runtime", "seldon")
    deployment(document)
    document["spec"]["versions"][1]["servable"] = 2
    assert [rule.path for rule in broken(document)] == [("spec", "versions", 1, "servable")]


@pytest.mark.parametrize(
    "document",
    [None, [], 3, {"spec": []}, {"spec": {"versions": {}, "traffic": []}}, {"spec": {"versions": [1, None, {}]}},
     changed("spec/versions/0/name", ["v1"]), changed("spec/traffic/stable", {}), changed("spec/runtime", [])],
)  # fmt: skip
def test_rules_pass_over_what_has_the_wrong_type(document: object) -> None:
    for rule in broken(document):
        assert rule.path[:2] in {("spec", "traffic"), ("spec", "versions")}


@pytest.mark.parametrize(
    ("text", "cpus"), [("1", "1"), ("0.5", "0.5"), ("500m", "0.5"), ("1.125", "1.125"), ("2500m", "2.5")]
)
def test_cpu(text: str, cpus: str) -> None:
    assert units.cores(text) == Decimal(cpus)


@pytest.mark.parametrize("text", ["", "0", "0m", "-1", "1.2345", "1.5m", "1 ", "one", "1k", "1\n", "٣"])
def test_no_cpu(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        units.cores(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1k", 10**3),
        ("1Ki", 2**10),
        ("512Mi", 512 * 2**20),
        ("1G", 10**9),
        ("1.5Gi", 3 * 2**29),
        ("1E", 10**18),
    ],
)
def test_memory(text: str, size: int) -> None:
    assert units.memory_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "0Gi", "1GB", "1gb", "1ki", "-1G", "1 G", "10m", "Gi", "1Gii"])
def test_no_memory(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        units.memory_bytes(text)


def test_model_paths() -> None:
    assert local_path("file:///srv/m/1") == "/srv/m/1"
    assert local_path("FILE://m") == "m"
    assert [checked(model) for model in ("s3://b/1", "PVC://claim/m", "m/1")] == ["s3://b/1", "PVC://claim/m", "m/1"]
    assert [is_local(model) for model in ("m", "file://m", "FILE://m", "s3://m", "a:/b")] == [True] * 3 + [False, True]
    assert absolute("file://../m/./1", "/a/b") == "/a/m/1"
    assert [folder_number(model) for model in ("m/1", "m/12/", "file://m/007", "1")] == [1, 12, 7, 1]
    assert [folder_number(model) for model in ("m/v1", "m/0", "m/-1", "m/1.5", "m/²", "/")] == [None] * 6


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("ftp://b/1", "is no place of models"),
        ("s3://", "names no folder"),
        ("gs:///", "names no folder"),
        ("file://", "names no folder"),
        ("  ", "names no folder"),
        ("a\0b", "names no folder"),
    ],
)
def test_no_model_path(model: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(model)


def test_models_elsewhere_have_no_path_here() -> None:
    with pytest.raises(ValueError, match="can be fetched on Kubernetes only"):
        local_path("s3://b/1")


def test_a_version_without_a_model_has_no_path_on_this_machine() -> None:
    version = Version(name="v1", image="team/digits:1")
    with pytest.raises(ValueError, match="version v1 has no model, but an image: that runs on Kubernetes"):
        _ = version.path
