"""What Prometheus reads: one collector over the sums of all workers, and how it is written. Pure but for the process's
own figures, so it runs in a thread beside the parent's loop."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.contract.evidence import SIGNALS
from gateway.stats import counters, evidence_slots, evidence_totals, totals
from gateway.stats.evidence_totals import Rows
from gateway.stats.shared_slots import Key
from gateway.stats.totals import Sums

VERSION = ("namespace", "deployment", "version")
REQUEST = (*VERSION, "protocol", "assignment")
ENDPOINT = (*VERSION, "endpoint")
EVIDENCE = (*VERSION, "epoch", "keyed", "source")

_BOUNDS = (*map(str, counters.BUCKETS), "+Inf")

try:
    _BUILD = {"version": importlib.metadata.version("turnout"), "python": platform.python_version()}
except importlib.metadata.PackageNotFoundError:  # run from a source tree
    _BUILD = {"version": "source", "python": platform.python_version()}


@dataclass(frozen=True)
class View:
    """What a scrape shows: plain values, taken at one moment in the parent's loop."""

    sums: Sums
    evidence: Rows
    source: str
    """Of the evidence: another after each start, so that no count of it ever falls."""
    newest: int | None
    """The revision of the newest table read."""
    in_force: int | None
    """The revision that the slowest worker routes by."""
    age: float | None
    """Seconds since the newest table was read."""
    rejected: int
    """Tables that were not served."""
    rejecting: bool
    """Whether what the source of tables says now is not served, or not all of it."""
    connected: bool | None
    """Whether changes at the source are heard of; None where there is no connection to lose."""
    silence: float | None
    """Seconds since the source last said anything; None as before."""
    workers: dict[str, int]
    """How many are `ready` and `starting`."""
    restarts: int
    draining: bool


def exposition(view: View, accept: str) -> tuple[bytes, str]:
    """The body, as text or OpenMetrics by the request's `Accept`, and its content type."""
    registry = CollectorRegistry()
    registry.register(_Scrape(view))
    ProcessCollector(registry=registry)
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # it asks for a version that is no number
        encode, content_type = choose_encoder("")
    return encode(registry), content_type


class _Scrape(Collector):
    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        yield from _requests(self._view.sums)
        yield from _time_in_flight(self._view.sums)
        yield from _evidence(self._view.evidence, self._view.source)
        yield from _endpoints(self._view.sums)
        yield from _table(self._view)
        yield from _gateway(self._view)


def _requests(sums: Sums) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "turnout_requests",
        "Requests that were given a version and have ended, by how they ended.",
        labels=(*REQUEST, "outcome"),
    )
    duration = HistogramMetricFamily(
        "turnout_request_duration_seconds",
        "From the whole request's arrival at the gateway to the last byte of its answer, retries included.",
        labels=REQUEST,
    )
    retries = CounterMetricFamily(
        "turnout_retries",
        "Attempts that were repeated, by what had failed. A request may have several.",
        labels=(*REQUEST, "cause"),
    )
    for key, row in sums.present.requests.items():
        for outcome, count in zip(counters.OUTCOMES, row[totals.OUTCOMES], strict=True):
            requests.add_metric((*key, outcome), count)
        for cause, count in zip(counters.CAUSES, row[totals.CAUSES], strict=True):
            retries.add_metric((*key, cause), count)
        duration.add_metric(key, _cumulative(row[totals.BUCKETS]), row[totals.FINISHED_US] / 1e6)
    yield requests
    yield duration
    yield retries

    refusals = CounterMetricFamily(
        "turnout_refusals",
        "Requests that the gateway refused before they had a version: malformed, unknown, too large.",
        labels=("protocol", "reason"),
    )
    for key, row in sums.present.refusals.items():
        refusals.add_metric(key, row[0])
    yield refusals

    in_flight = GaugeMetricFamily(
        "turnout_requests_in_flight",
        "Requests that have a version and have not ended, also of versions that left the route table.",
        labels=REQUEST,
    )
    for key, number in _summed(sums.present.requests, sums.leaving.requests, column=totals.IN_FLIGHT):
        in_flight.add_metric(key, number)
    yield in_flight


def _time_in_flight(sums: Sums) -> Iterator[Metric]:
    by_version: dict[Key, int] = defaultdict(int)
    for key, row in sums.present.requests.items():
        by_version[key[:3]] += row[totals.OPEN_US] + row[totals.FINISHED_US]
    seconds = CounterMetricFamily(
        "turnout_inflight_seconds",
        "Time that requests have spent in flight, those still open included. Its rate is the mean number in flight, "
        "exact over any window: scale on it.",
        labels=VERSION,
    )
    for key, microseconds in by_version.items():
        seconds.add_metric(key, microseconds / 1e6)
    yield seconds


def _evidence(rows: Rows, source: str) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "turnout_evidence_requests",
        "Requests that the random split assigned to a version of a deployment with a rollout or with sticky keys, once "
        "something is known of them, by the epoch that they were assigned in, of which the last "
        f"{evidence_slots.EPOCHS_KEPT} are kept. "
        "What had no room is counted under `_other`, and no rollout is decided by it.",
        labels=EVIDENCE,
    )
    bad = CounterMetricFamily(
        "turnout_evidence_bad",
        "Of these the ones whose first attempt failed (errors) or was refused by the server (rejections), or that took "
        "longer than the rollout allows (slow). They belong to the epoch that they were assigned in.",
        labels=(*EVIDENCE, "signal"),
    )
    for key, row in rows.items():
        counted, *counts = evidence_totals.total(row)
        requests.add_metric((*key, source), counted)
        for signal, count in zip(SIGNALS, counts, strict=True):
            bad.add_metric((*key, source, signal), count)
    yield requests
    yield bad


def _endpoints(sums: Sums) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "turnout_endpoint_up",
        "Share of the workers that send to this endpoint: 1 all, 0 none (ejected after failures).",
        labels=ENDPOINT,
    )
    ejections = CounterMetricFamily(
        "turnout_endpoint_ejections",
        "How often a worker stopped sending to this endpoint for a while, after failures.",
        labels=ENDPOINT,
    )
    for key, row in sums.present.endpoints.items():
        if row[totals.ENDPOINT_KNOWN]:
            up.add_metric(key, row[totals.ENDPOINT_UP] / row[totals.ENDPOINT_KNOWN])
        ejections.add_metric(key, row[totals.ENDPOINT_EJECTIONS])
    yield up
    yield ejections

    connections = GaugeMetricFamily(
        "turnout_endpoint_connections", "Open connections from the gateway to this endpoint.", labels=ENDPOINT
    )
    in_flight = GaugeMetricFamily(
        "turnout_endpoint_requests_in_flight",
        "Attempts that this endpoint has not answered, also of endpoints that left the route table: at 0 it may end.",
        labels=ENDPOINT,
    )
    for family, column in ((connections, totals.ENDPOINT_CONNECTIONS), (in_flight, totals.ENDPOINT_IN_FLIGHT)):
        for key, number in _summed(sums.present.endpoints, sums.leaving.endpoints, column=column):
            family.add_metric(key, number)
        yield family


def _table(view: View) -> Iterator[Metric]:
    yield _gauge("turnout_table_revision", "Revision of the newest route table that was read.", view.newest)
    yield _gauge(
        "turnout_table_revision_in_force",
        "Revision of the route table that every worker routes by; the oldest where they differ.",
        view.in_force,
    )
    yield _gauge("turnout_table_age_seconds", "Time since the newest route table was read.", view.age)
    yield CounterMetricFamily(
        "turnout_table_rejected",
        "How often the route table changed into one that can't be served, such as a malformed one; "
        "the last good one stays. Alert on an increase.",
        view.rejected,
    )
    yield _gauge(
        "turnout_table_rejecting",
        "1 while the source's route table, or one deployment's part of it, can't be served and the last good one is in "
        "force, else 0.",
        view.rejecting,
    )
    yield _gauge(
        "turnout_discovery_connected",
        "On Kubernetes: 1 while the API server is heard, 0 while the last known table is served without it.",
        view.connected,
    )
    yield _gauge(
        "turnout_discovery_silence_seconds",
        "On Kubernetes: time since the API server last said anything. It speaks once a minute where nothing changes.",
        view.silence,
    )


def _gateway(view: View) -> Iterator[Metric]:
    workers = GaugeMetricFamily("turnout_workers", "Worker processes, by state: ready or starting.", labels=("state",))
    for state, number in view.workers.items():
        workers.add_metric((state,), number)
    yield workers
    yield CounterMetricFamily("turnout_worker_restarts", "Workers that died and were replaced.", view.restarts)
    worker = view.sums.present.worker
    yield _gauge("turnout_connections", "Open connections of clients.", worker[counters.OPEN_CONNECTIONS])
    yield CounterMetricFamily(
        "turnout_connections_accepted", "Connections of clients ever accepted.", worker[counters.ACCEPTED]
    )
    yield _gauge("turnout_gathered_bytes", "Bytes of requests and of untaken answers.", worker[counters.GATHERED])
    yield _gauge("turnout_draining", "1 once the gateway was told to end and finishes what it has.", view.draining)
    yield InfoMetricFamily("turnout_build", "Always 1; the labels tell what runs.", _BUILD)


def _gauge(name: str, help: str, value: float | None) -> Metric:
    """Without a sample where there is no value: an absent series is not a zero."""
    family = GaugeMetricFamily(name, help, labels=())
    if value is not None:
        family.add_metric((), value)
    return family


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(_BOUNDS, counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets


def _summed(*parts: totals.Rows, column: int) -> Iterable[tuple[Key, int]]:
    result: dict[Key, int] = defaultdict(int)
    for rows in parts:
        for key, row in rows.items():
            result[key] += row[column]
    return result.items()
