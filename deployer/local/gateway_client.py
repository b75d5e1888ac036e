"""Reads the gateway's admin port."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT = 2.0
"""Seconds. The admin port is on this machine, and in a process that carries no data."""

_REVISION = "turnout_table_revision_in_force"
_IN_FLIGHT = "turnout_endpoint_requests_in_flight"
_SECONDS = "turnout_inflight_seconds_total"
_REQUESTS = "turnout_requests_total"
_OURS = (_REVISION, _IN_FLIGHT, _SECONDS, _REQUESTS)
_NOT_THE_VERSION = frozenset({"success", "client_error", "cancelled"})
"""How requests end that no version has to answer for."""

Version = tuple[str, str]
"""A deployment's key, `namespace/name`, and a version's name."""


@dataclass(frozen=True)
class Snapshot:
    """What the gateway told at one moment."""

    ready: bool
    why: str
    """In words, why it is ready or not."""
    revision: int = 0
    """Of the route table that every worker routes by."""
    in_flight: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    """Requests at each endpoint, by deployment, version and `host:port` (the REST port)."""
    seconds: Mapping[Version, float] = field(default_factory=dict)
    """The seconds that requests were in flight, summed; absent until there was one."""
    requests: Mapping[Version, float] = field(default_factory=dict)
    """Requests that have ended."""
    failures: Mapping[Version, float] = field(default_factory=dict)
    """Those that ended badly for a reason that is the version's or the gateway's."""


def read(admin: str) -> Snapshot:
    """What the gateway with the admin port `admin` (`host:port`) tells; not ready if it does not answer."""
    try:
        with httpx.Client(base_url=f"http://{admin}", timeout=TIMEOUT, trust_env=False) as client:
            ready = client.get("/readyz")
            metrics = client.get("/metrics").raise_for_status()
    except httpx.HTTPError as error:
        return Snapshot(False, f"its admin port does not answer ({error})")
    return parse(ready.status_code == 200, ready.text.strip(), metrics.text)


def parse(ready: bool, why: str, metrics: str) -> Snapshot:
    """`metrics` in Prometheus' text format."""
    revision = 0
    in_flight: dict[tuple[str, str, str], float] = defaultdict(float)
    seconds: dict[Version, float] = defaultdict(float)
    requests: dict[Version, float] = defaultdict(float)
    failures: dict[Version, float] = defaultdict(float)
    # The histograms are most of the text and are not needed: reading them takes a hundred times longer.
    lines = [line for line in metrics.splitlines() if line.startswith(_OURS)]
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if sample.name == _REVISION:
                revision = int(sample.value)
                continue
            labels = sample.labels
            version = (f"{labels['namespace']}/{labels['deployment']}", labels["version"])
            if sample.name == _IN_FLIGHT:
                in_flight[*version, labels["endpoint"]] += sample.value
            elif sample.name == _SECONDS:
                seconds[version] += sample.value
            elif sample.name == _REQUESTS:
                requests[version] += sample.value
                if labels["outcome"] not in _NOT_THE_VERSION:
                    failures[version] += sample.value
    return Snapshot(ready, why, revision, in_flight, seconds, requests, failures)
