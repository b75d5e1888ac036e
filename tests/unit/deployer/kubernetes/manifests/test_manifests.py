"""What holds of the objects of every ModelDeployment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.document.model import ModelDeployment
from deployer.kubernetes.manifests import CannotRender, Object, Options, Owner, manifests, version_objects
from deployer.kubernetes.objects import names
from tests.fakes.deployments import CASES, deployment

OWNER = Owner("digits", "6f1c")
EMPTY_ON_PURPOSE = {"emptyDir"}
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


def walk(part: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield path, part
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield from walk(value, (*path, key))


@pytest.mark.parametrize("case", CASES)
def test_objects_are_plain_say_whose_they_are_and_hold_nothing_empty(case: str) -> None:
    document, options = CASES[case]
    made = manifests(document, options, OWNER)
    assert json.loads(json.dumps(made)) == list(made)
    assert made == manifests(document, options, OWNER)
    for item in made:
        labels = item["metadata"]["labels"]
        version = labels[names.VERSION_LABEL]
        assert item["metadata"]["name"] == names.version_name(document.metadata.name, version)
        assert labels == names.labels(document.metadata.name, version, document.spec.runtime)
        assert [owner["uid"] for owner in item["metadata"]["ownerReferences"]] == [OWNER.uid]
        for path, value in walk(item):
            if (
                path[-1:]
                and path[-1] not in EMPTY_ON_PURPOSE
                and "matchLabels" not in path
                and "nodeSelector" not in path
            ):
                assert value not in (None, "", [], {}), path


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 70), ("500ms", 70), ("5m", 310), ("90.5s", 101)])
def test_a_pod_waits_for_the_warm_up_and_for_the_last_request(timeout: str | None, seconds: int) -> None:
    more = {} if timeout is None else {"timeout": timeout}
    version = {"name": "v1", "image": "team/digits", "warmup": {"inputs": []}}
    document = deployment("oip", version, traffic={"stable": "v1"}, **more)
    (made,) = [item for item in manifests(document, Options(), OWNER) if item["kind"] == "Deployment"]
    pod = made["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == seconds
    probe = pod["containers"][1]["readinessProbe"]
    assert (probe["exec"]["command"][5], probe["timeoutSeconds"]) == (str(seconds - 10), 2 * (seconds - 10) + 5)


@pytest.mark.parametrize("case", CASES)
def test_each_version_runs_is_found_and_selects_its_own_pods(case: str) -> None:
    document, options = CASES[case]
    for version in document.spec.versions:
        by_kind = {item["kind"]: item for item in version_objects(document, version, options)}
        selector = names.selector(document.metadata.name, version.name)
        assert by_kind["Service"]["spec"]["selector"] == selector
        ports = by_kind["Service"]["spec"]["ports"]
        assert [port["name"] for port in ports[:2]] == ["rest", "grpc"]
        assert len({port["port"] for port in ports}) == len(ports)
        if seldon := by_kind.get("SeldonDeployment"):
            (predictor,) = seldon["spec"]["predictors"]
            assert predictor["labels"] == selector
            pod = predictor["componentSpecs"][0]["spec"]
        else:
            template = by_kind["Deployment"]["spec"]["template"]
            assert by_kind["Deployment"]["spec"]["selector"] == {"matchLabels": selector}
            assert selector.items() <= template["metadata"]["labels"].items()
            pod = template["spec"]
        check_pod(pod)


def check_pod(pod: Object) -> None:
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    mounted = {mount["name"] for container in containers for mount in container.get("volumeMounts", [])}
    assert mounted == volumes
    for container in containers:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        places = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        assert len(set(places)) == len(places)


def test_what_is_left_out_is_left_out_everywhere() -> None:
    made = manifests(deployment("tfserving", {"model": "models/1"}), Options())
    assert [item["kind"] for item in made] == ["ConfigMap", "Deployment", "Service"]
    assert all("ownerReferences" not in item["metadata"] for item in made)


MODELS = st.one_of(
    st.builds("models/{}/{}".format, st.sampled_from(["a", "b c", "ü", "$(HOME)"]), st.integers(1, 99)),
    st.builds(
        "{}://place/{}".format,
        st.sampled_from(["gs", "s3", "pvc", "http", "https"]),
        st.from_regex("[a-z0-9./:%]{0,8}", fullmatch=True),
    ),
    st.sampled_from(["/", "//", "https://x/a.tar.gz", "https://x/Digits.py", "pvc://claim/../..", "file:///m/1"]),
)
AMOUNTS = st.fixed_dictionaries(
    {}, optional={"cpu": st.sampled_from(["1", "0.25", "1500m"]), "memory": st.just("1.5Gi"), "gpu": st.integers(0, 8)}
)
SCALING = st.builds(
    lambda least, more, load: {"minReplicas": least, "maxReplicas": least + more, "target": {"inFlight": load}},
    st.integers(1, 9),
    st.integers(0, 9),
    st.floats(0.1, 10_000),
)
PARTS = {
    "args": st.lists(st.text(max_size=5), max_size=2),
    "env": st.dictionaries(st.sampled_from(["A", "B"]), st.text(max_size=5)),
    "resources": st.fixed_dictionaries({}, optional={"limits": AMOUNTS}),
    "autoscaling": SCALING,
    "warmup": st.just({"instances": [1]}),
    "pod": st.fixed_dictionaries({}, optional={"volumes": st.just([{"pvc": "c", "path": "/tmp"}])}),
}
RUNTIMES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # What each version has, and what the spec may have.
    "tfserving": ({"model": MODELS}, {}),
    "seldon": (
        {"model": MODELS, "implementation": st.sampled_from(["SKLEARN_SERVER", "TRITON_SERVER"])},
        {"seldon": st.sampled_from([{"operator": False}, {"operator": True}, {"protocol": "v2"}])},
    ),
    "triton": ({"model": MODELS}, {}),
    "oip": (
        {"image": st.just("team/server:1"), "model": MODELS},
        {"oip": st.sampled_from([{"server": "mlserver"}, {"server": "other", "ports": {"rest": 1, "grpc": 2}}])},
    ),
}
OPTIONS = st.builds(Options, st.booleans(), st.booleans(), st.none() | st.just("http://prometheus:9090"))


@st.composite
def documents(draw: st.DrawFn) -> ModelDeployment:
    runtime = draw(st.sampled_from(list(RUNTIMES)))
    content, sections = RUNTIMES[runtime]
    version = st.fixed_dictionaries(
        content, optional=PARTS | ({} if "image" in content else {"image": st.just("team/server:1")})
    )
    versions = [
        {"name": name, **draw(version), **({"servable": index} if runtime in ("tfserving", "triton") else {})}
        for index, name in enumerate(draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)), 1)
    ]
    return deployment(runtime, *versions, name=draw(NAMES), **draw(st.fixed_dictionaries({}, optional=sections)))


@given(documents(), OPTIONS)
def test_any_document_is_rendered_or_refused_with_the_field(document: ModelDeployment, options: Options) -> None:
    refused = ""
    try:
        made = manifests(document, options)
    except CannotRender as error:
        made, refused = (), error.field
    assert (refused == "") == bool(made)
    assert refused == "" or refused.startswith("spec.")
    known = {(item["kind"], item["metadata"]["name"]) for item in made}
    assert len(known) == len(made)
    assert all(len(item["metadata"]["name"]) <= 63 for item in made)
