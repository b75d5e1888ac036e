"""What KEDA asks Prometheus, evaluated by a real one: the mean number in flight, also where a gateway is not seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from deployer.document.model import ModelDeployment
from deployer.kubernetes.manifests.autoscaling import GATEWAYS_JOB, in_flight_query
from tests.fakes.prometheus import Exporter, Prometheus, prometheus
from tests.fakes.turnout import until

pytestmark = pytest.mark.tools

IN_FLIGHT = {"v1": 3.0, "v2": 40.0}
"""On each gateway."""


def carrying() -> str:
    """A gateway that always has as many in flight."""
    names = 'namespace="vision",deployment="digits"'
    lines = [
        f'turnout_inflight_seconds_total{{{names},version="{version}"}} {number * time.time()}'
        for version, number in IN_FLIGHT.items()
    ]
    return "\n".join(["# TYPE turnout_inflight_seconds_total counter", *lines, ""])


def failing() -> None:
    """A gateway that carries as much, and whose metrics can't be read."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Prometheus]]:
    """All at once: each needs a minute until the query's window is full."""
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as stack:
        one, other, lost, too = (
            stack.enter_context(Exporter(text)).address for text in (carrying, carrying, failing, failing)
        )
        targets = {"both": [one, other], "one of two": [one, lost], "none of two": [lost, too], "no gateways": []}
        yield {
            name: stack.enter_context(prometheus(folder / name.replace(" ", "-"), GATEWAYS_JOB, addresses))
            for name, addresses in targets.items()
        }


@pytest.fixture(scope="module")
def query() -> str:
    document = ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "digits", "namespace": "vision"},
            "spec": {
                "runtime": "tfserving",
                "versions": [{"name": "v1", "model": "models/digits/1"}],
                "traffic": {"stable": "v1"},
            },
        }
    )
    return in_flight_query(document, document.spec.versions[0])


@pytest.mark.parametrize("name", ["both", "one of two"])
def test_it_is_what_all_gateways_carry(servers: dict[str, Prometheus], query: str, name: str) -> None:
    expected = 2 * IN_FLIGHT["v1"]
    server = servers[name]
    until(lambda: server.query(query) == [pytest.approx(expected, rel=0.03)], f"the query is {expected}", 120)
    assert sorted(server.reached().values()) == {"both": ["up", "up"], "one of two": ["down", "up"]}[name]


@pytest.mark.parametrize(("name", "known"), [("none of two", 2), ("no gateways", 0)])
def test_without_data_there_is_no_number(servers: dict[str, Prometheus], query: str, name: str, known: int) -> None:
    """KEDA then keeps the replicas, where a 0 would take them away."""
    server = servers[name]
    seen = f'count(up{{job="{GATEWAYS_JOB}"}} == 0)'
    until(lambda: server.query(seen) == ([known] if known else []), "each target was asked")
    assert server.query(query) == []
