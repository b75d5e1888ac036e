"""The chart under Helm: it lints, renders, and refuses values that it doesn't know."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deployer.kubernetes.rollout.gateway_addresses import ADMIN_PORT
from gateway.cli import main
from tests.chart.renders import CHART, NAMESPACE, VALUES, HelmFailed, Object, helm, named, render

# The first use builds Helm.
pytestmark = [pytest.mark.tools, pytest.mark.timeout(900)]

each = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))


def pods(objects: list[Object]) -> dict[str, Any]:
    """The specs of all pods by the name of what makes them."""
    templates = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in objects if "template" in one["spec"]
    }
    return templates | {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "Pod"}


def with_spec(objects: list[Object]) -> list[Object]:
    return [one for one in objects if "spec" in one]


@each
def test_it_lints(values: Path) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", "--values", values, CHART)


def test_proxies_are_named_as_the_gateway_reads_them() -> None:
    def proxies(objects: list[Object]) -> object:
        (container,) = pods(with_spec(objects))["turnout-gateway"]["containers"]
        args = [arg for arg in container["args"] if arg.startswith("--proxies=")]
        return main.make_context("turnout-gateway", args).params["proxies"]

    full = render("--values", CHART / "ci/full-values.yaml")
    assert proxies(full) == (ip_network("10.1.2.0/24"), ip_network("fd00:1::/64"))
    assert proxies(render()) == ()


@each
def test_every_pod_is_hardened(values: Path) -> None:
    found = pods(with_spec(render("--values", values)))
    assert set(found) == {"turnout-gateway", "turnout-operator", "turnout-test"}
    for spec in found.values():
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]


@each
def test_a_gateway_has_time_to_drain(values: Path) -> None:
    spec = pods(with_spec(render("--values", values)))["turnout-gateway"]
    (container,) = spec["containers"]
    (drain,) = (arg.partition("=")[2] for arg in container["args"] if arg.startswith("--drain-seconds"))
    hook = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert hook + float(drain) < spec["terminationGracePeriodSeconds"]


@each
def test_everything_is_labelled_and_in_its_namespace(values: Path) -> None:
    watched = YAML(typ="safe").load(values).get("watchNamespace")
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    for one in render("--values", values):
        assert one["metadata"]["labels"]["app.kubernetes.io/name"] == "turnout", one
        if one["kind"] not in cluster_wide:
            assert one["metadata"]["namespace"] in (NAMESPACE, watched), one
        assert not (watched and one["kind"] in cluster_wide)


def test_selectors_find_the_pods() -> None:
    objects = render("--values", CHART / "ci/full-values.yaml")
    labels = {
        name: named(objects, "Deployment", f"turnout-{name}")["spec"]["template"]["metadata"]["labels"]
        for name in ("gateway", "operator")
    }
    services = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Service"}
    for name in ("gateway", "operator"):
        policy = named(objects, "NetworkPolicy", f"turnout-{name}")["spec"]["podSelector"]["matchLabels"]
        monitor = named(objects, "ServiceMonitor", f"turnout-{name}")["spec"]
        metrics = services[f"turnout-{name}-metrics"]
        assert monitor["selector"]["matchLabels"].items() <= metrics["metadata"]["labels"].items()
        assert monitor["endpoints"][0]["port"] in {port["name"] for port in metrics["spec"]["ports"]}
        assert monitor["endpoints"][0]["honorLabels"] is True
        for selector in (policy, metrics["spec"]["selector"]):
            assert selector.items() <= labels[name].items()
            assert not selector.items() <= labels["operator" if name == "gateway" else "gateway"].items()
    # The Service for predictions has no metrics, and is not scraped.
    data = services["turnout-gateway"]
    assert {port["targetPort"] for port in data["spec"]["ports"]} == {"data"}
    assert "turnout.dev/metrics" not in data["metadata"]["labels"]


def test_the_operator_finds_the_gateways_and_may_ask_them() -> None:
    for values in VALUES:
        objects = render("--values", values)
        (operator,) = pods(with_spec(objects))["turnout-operator"]["containers"]
        (service,) = (arg.removeprefix("--gateways=") for arg in operator["args"] if arg.startswith("--gateways="))
        namespace, _, name = service.partition("/")
        assert namespace == NAMESPACE
        assert ADMIN_PORT in {port["name"] for port in named(objects, "Service", name)["spec"]["ports"]}
        rules = named(objects, "Role", "turnout-operator-home")["rules"]
        assert {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]} in rules
    objects = render("--values", CHART / "ci/full-values.yaml")
    labels = named(objects, "Deployment", "turnout-operator")["spec"]["template"]["metadata"]["labels"]
    admitted = [
        source["podSelector"]["matchLabels"]
        for rule in named(objects, "NetworkPolicy", "turnout-gateway")["spec"]["ingress"]
        for source in rule.get("from", ())
        if rule["ports"][0]["port"] == "admin" and "podSelector" in source
    ]
    assert any(selector.items() <= labels.items() for selector in admitted)


def test_an_autoscaler_owns_the_number_of_gateways() -> None:
    objects = render("--values", CHART / "ci/full-values.yaml")
    assert "replicas" not in named(objects, "Deployment", "turnout-gateway")["spec"]
    scaler = named(objects, "HorizontalPodAutoscaler", "turnout-gateway")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 20)


def test_one_gateway_may_be_evicted() -> None:
    """A budget of one replica would let no node be drained, or protect nothing."""
    kinds = {one["kind"] for one in render("--values", CHART / "ci/minimal-values.yaml")}
    assert "PodDisruptionBudget" not in kinds
    assert "PodDisruptionBudget" in {one["kind"] for one in render()}


def test_the_longest_names_fit() -> None:
    release = "a" * 53  # Helm's own bound
    for one in YAML(typ="safe").load_all(helm("template", release, CHART, "--values", CHART / "ci/full-values.yaml")):
        assert len(one["metadata"]["name"]) <= 63


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("gatewy.replicas=3", "gatewy"),
        ("gateway.replica=3", "replica"),
        ("gateway.replicas=0", "replicas"),
        ("gateway.workers=two", "workers"),
        ("gateway.proxies={ingress}", "proxies"),
        ("gateway.proxies=10.0.0.0/8", "proxies"),
        ("gateway.service.type=ExternalName", "type"),
        ("operator.replicas=3", "replicas"),
        ("operator.prometheus=prometheus:9090", "prometheus"),
        ("monitors.intervalSeconds=30", "intervalSeconds"),
        ("image.pullPolicy=always", "pullPolicy"),
        ("watchNamespace=Vision", "watchNamespace"),
    ],
)
def test_wrong_values_are_refused(setting: str, message: str) -> None:
    with pytest.raises(HelmFailed, match=message):
        render("--set", setting)


def test_every_value_is_explained() -> None:
    """By a comment on the line above; amounts and labels by the one on their group."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    named = {path.rpartition(".")[2] for path in leaves(YAML(typ="safe").load(CHART / "values.yaml"))}
    for before, line in pairwise(lines):
        if line.strip().partition(":")[0] in named:
            assert before.strip().startswith("#"), line


def leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in ("resources", "labels"):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def test_every_value_is_in_the_guide() -> None:
    guide = (CHART.parents[1] / "docs/kubernetes.md").read_text()
    found = list(leaves(YAML(typ="safe").load(CHART / "values.yaml")))
    assert len(found) > 30
    missing = [path for path in found if f"`{path}`" not in guide and f"`.{path.rpartition('.')[2]}`" not in guide]
    # Said once for both: "the same of `operator`".
    assert [path for path in missing if not path.startswith("operator.")] == []


def test_its_version_is_the_project_s() -> None:
    """So that the image of the same number is what it was tested with."""
    chart = YAML(typ="safe").load(CHART / "Chart.yaml")
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == chart["version"] == project["version"]


def test_the_dashboard_and_the_rules_arrive_as_they_are() -> None:
    objects = render("--values", CHART / "ci/full-values.yaml")
    dashboard = named(objects, "ConfigMap", "turnout-dashboard")["data"]["turnout.json"]
    assert json.loads(dashboard) == json.loads((CHART / "dashboards/turnout.json").read_text())
    rules = named(objects, "PrometheusRule", "turnout")["spec"]
    assert rules == YAML(typ="safe").load(CHART / "rules/turnout.yaml")
