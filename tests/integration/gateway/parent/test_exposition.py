"""What Prometheus reads: names, units, help; and counters that never fall, whatever dies."""

import mmap
import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.contract.evidence import SIGNALS
from gateway.contract.route_table import Endpoint
from gateway.parent.exposition import View, exposition
from gateway.stats import counters, totals
from gateway.stats.counters import Counters
from gateway.stats.totals import Totals
from tests.fakes.parent_process import ParentProcess, eventually, route_table

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
VERSION = {"namespace": "vision", "deployment": "digits", "version": "v1"}
REQUEST = VERSION | {"protocol": "tfserving-rest", "assignment": "split"}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.fixture
def view() -> View:
    """A worker that has seen one of everything, two seconds after its start."""
    buffer = mmap.mmap(-1, counters.SIZE)
    made = Counters(buffer)
    slot = made.request("vision", "digits", "v1", "tfserving-rest", "split")
    for _ in range(3):
        slot.started(0)
    slot.finished(0, 3_000, counters.SUCCESS)
    slot.finished(0, 400_000, counters.DEADLINE)
    slot.retried(counters.CONNECT)
    endpoint = made.endpoint("vision", "digits", "v1", Endpoint(host="127.0.0.1", rest=9000, grpc=1))
    endpoint.connected()
    endpoint.sent()
    endpoint.ejected()
    leaving = made.endpoint("vision", "digits", "v1", Endpoint(host="127.0.0.1", rest=9001, grpc=1))
    leaving.sent()
    made.refusal("seldon-rest", "unknown_deployment").refused()
    made.worker.accepted()
    made.worker.gathered(1000)
    total = Totals()
    total.follow(route_table(1, "v1"))
    return View(
        sums=total.sum([totals.read(buffer, 2_000_000)]),
        evidence={("vision", "digits", "v1", "7", "false"): [5, 1, 2, 3]},
        source="c0ffee",
        newest=7,
        in_force=6,
        age=1.5,
        rejected=2,
        rejecting=True,
        connected=False,
        silence=2.5,
        workers={"ready": 1, "starting": 1},
        restarts=3,
        draining=False,
    )


def test_each_figure_is_where_it_is_looked_for(view: View) -> None:
    body, content_type = exposition(view, "")
    assert content_type.startswith("text/plain; version=")
    found = samples(body.decode())
    assert value(found, "turnout_requests_total", **REQUEST, outcome="success") == 1
    assert value(found, "turnout_requests_total", **REQUEST, outcome="deadline") == 1
    assert value(found, "turnout_requests_total", **REQUEST, outcome="refused") == 0
    assert value(found, "turnout_retries_total", **REQUEST, cause="connect") == 1
    assert value(found, "turnout_requests_in_flight", **REQUEST) == 1
    buckets = {bound: value(found, "turnout_request_duration_seconds_bucket", **REQUEST, le=bound) for bound in BOUNDS}
    assert [buckets[bound] for bound in ("0.0025", "0.005", "0.25", "0.5", "60.0", "+Inf")] == [0, 1, 1, 2, 2, 2]
    assert value(found, "turnout_request_duration_seconds_count", **REQUEST) == 2
    assert value(found, "turnout_request_duration_seconds_sum", **REQUEST) == pytest.approx(0.403)
    assert value(found, "turnout_inflight_seconds_total", **VERSION) == pytest.approx(2.403)
    assert value(found, "turnout_refusals_total", protocol="seldon-rest", reason="unknown_deployment") == 1
    evidence = VERSION | {"epoch": "7", "keyed": "false", "source": "c0ffee"}
    assert value(found, "turnout_evidence_requests_total", **evidence) == 5
    bad = [value(found, "turnout_evidence_bad_total", **evidence, signal=signal) for signal in SIGNALS]
    assert bad == [1, 2, 3]
    for endpoint, up, ejections, connections, in_flight in (
        ("127.0.0.1:9000", 0, 1, 1, 1),
        ("127.0.0.1:9001", None, None, 0, 1),
    ):
        labels = VERSION | {"endpoint": endpoint}
        assert found.get(("turnout_endpoint_up", frozenset(labels.items()))) == up
        assert found.get(("turnout_endpoint_ejections_total", frozenset(labels.items()))) == ejections
        assert value(found, "turnout_endpoint_connections", **labels) == connections
        assert value(found, "turnout_endpoint_requests_in_flight", **labels) == in_flight
    for name, expected in {
        "turnout_table_revision": 7,
        "turnout_table_revision_in_force": 6,
        "turnout_table_age_seconds": 1.5,
        "turnout_table_rejected_total": 2,
        "turnout_table_rejecting": 1,
        "turnout_worker_restarts_total": 3,
        "turnout_connections": 1,
        "turnout_connections_accepted_total": 1,
        "turnout_gathered_bytes": 1000,
        "turnout_draining": 0,
    }.items():
        assert value(found, name) == expected
    assert value(found, "turnout_workers", state="starting") == 1
    assert any(name == "process_resident_memory_bytes" for name, _ in found)


BOUNDS = [*map(str, counters.BUCKETS), "+Inf"]


def test_a_table_that_was_never_read_has_no_revision(view: View) -> None:
    text = exposition(View(**vars(view) | {"newest": None, "in_force": None, "age": None}), "")[0].decode()
    assert not {name for name, _ in samples(text)} & {"turnout_table_revision", "turnout_table_age_seconds"}


def test_openmetrics_holds_the_same(view: View) -> None:
    body, content_type = exposition(view, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    families = {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
    assert families["turnout_requests"].type == "counter"
    assert families["turnout_request_duration_seconds"].type == "histogram"
    assert families["turnout_build"].type == "info"


@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
def test_a_version_that_is_no_number_gets_text(view: View, kind: str) -> None:
    assert exposition(view, f"{kind};version=nan")[1] == exposition(view, "")[1]


def families(view: View) -> Iterator[Metric]:
    return (family for family in parse_text(exposition(view, "")[0].decode()) if family.name.startswith("turnout_"))


def test_names_follow_the_conventions(view: View) -> None:
    """What `promtool check metrics` asks: base units, a suffix for what counts, help; and no metric twice."""
    seen = set()
    for family in families(view):
        assert family.name not in seen
        seen.add(family.name)
        assert re.fullmatch(r"[a-z][a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert len(family.documentation) > 20
        assert not re.search(r"milli|micro|minutes|_ms$|_count$|_sum$|_bucket$", family.name)
        assert (family.type == "counter") == all(sample.name.endswith("_total") for sample in family.samples)
        assert family.type in ("counter", "gauge", "histogram")
    assert len(seen) > 15


def test_the_number_of_series_is_bounded_by_what_the_table_and_the_protocols_can_name(view: View) -> None:
    labels = {label for family in families(view) for sample in family.samples for label in sample.labels}
    assert labels == {
        *("namespace", "deployment", "version", "protocol", "assignment", "outcome", "cause", "endpoint", "le"),
        *("reason", "state", "python", "epoch", "keyed", "signal", "source"),
    }


def all_replaced(old: list[int], now: list[int]) -> bool:
    return None not in now and not set(now) & set(old)


def test_counters_never_fall_when_workers_die_and_versions_stay(tmp_path: Path) -> None:
    parent = ParentProcess(tmp_path)
    try:
        parent.publish(route_table(1, "v1"))
        parent.ready()
        before: Samples = {}
        for round in range(1, 4):
            for _ in range(20):
                parent.ask("count")
            with parent.connect("hold") as held, held.makefile() as lines:
                assert lines.readline() == "held\n"
                before = not_less(parent, before)
                pids = parent.pids()
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                    before = not_less(parent, before)
            eventually(parent.pids, partial(all_replaced, pids))
            parent.ready()
            before = not_less(parent, before)
            labels = VERSION | {"protocol": "fake", "assignment": "split"}
            assert value(before, "turnout_requests_total", **labels, outcome="success") == 20 * round
            assert value(before, "turnout_requests_in_flight", **labels) == 0
            assert value(before, "turnout_worker_restarts_total") == 2 * round
        parent.publish(route_table(2, "v2"))
        parent.in_force(2)
        assert not any(dict(labels).get("version") == "v1" for _, labels in scrape(parent))
    finally:
        parent.close()


def scrape(parent: ParentProcess) -> Samples:
    return samples(parent.admin.get("/metrics").text)


def not_less(parent: ParentProcess, before: Samples) -> Samples:
    now = scrape(parent)
    counted = {key for key in before if key[0].startswith("turnout_") and re.search("_total$|_bucket$|_sum$", key[0])}
    assert {key: before[key] for key in counted if now[key] < before[key]} == {}
    return now
