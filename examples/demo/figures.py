"""The gateway's own figures: what its metrics say of each API and version, and how they differ between two moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, nan

import httpx
from prometheus_client.parser import text_string_to_metric_families

REQUESTS = "turnout_requests_total"
DURATIONS = "turnout_request_duration_seconds_bucket"


@dataclass
class Figures:
    """Of one protocol and version, counted since the gateway's start or since an earlier moment."""

    requests: float = 0
    failures: float = 0
    within: dict[float, float] = field(default_factory=dict)
    """How many took at most so many seconds: the histogram's buckets."""

    def since(self, before: Figures) -> Figures:
        within = {bound: count - before.within.get(bound, 0) for bound, count in self.within.items()}
        return Figures(self.requests - before.requests, self.failures - before.failures, within)

    def quantile(self, q: float) -> float:
        """In seconds, linear within a bucket, as Prometheus has it; nan where nothing was counted."""
        rank = q * self.within.get(inf, 0)
        for (low, below), (high, count) in pairwise([(0.0, 0.0), *sorted(self.within.items())]):
            if count > below and count >= rank:
                return low if high == inf else low + (high - low) * (rank - below) / (count - below)
        return nan


def read(admin: str) -> Mapping[tuple[str, str], Figures]:
    """By protocol and version. `admin` is the address of the gateway's admin port. Raises httpx.HTTPError."""
    metrics = httpx.get(f"http://{admin}/metrics", trust_env=False).raise_for_status().text
    lines = [line for line in metrics.splitlines() if line.startswith((REQUESTS, DURATIONS))]
    found: dict[tuple[str, str], Figures] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            figures = found.setdefault((sample.labels["protocol"], sample.labels["version"]), Figures())
            if sample.name == DURATIONS:
                bound = float(sample.labels["le"])
                figures.within[bound] = figures.within.get(bound, 0) + sample.value
            else:
                figures.requests += sample.value
                figures.failures += sample.value * (sample.labels["outcome"] != "success")
    return found
