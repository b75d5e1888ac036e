"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from loadtests.generators import Load
from loadtests.statistics import Ratio, ratio, share_holds

GOAL = 1.2
"""The low end of the ratio to Envoy that is aimed at."""

TITLES = {"rest": "REST over HTTP/1.1", "grpc": "gRPC"}


class Run(NamedTuple):
    """One peer under load for some seconds. `cpu` is what the proxy's processes took in that time, in CPU-seconds."""

    load: Load
    cpu: float

    @property
    def per_cpu_second(self) -> float:
        """0 where there is no proxy."""
        return self.load.requests / self.cpu if self.cpu else 0.0


Runs = dict[str, list[Run]]
"""By peer; the i-th of each were measured one after another."""


def brief(run: Run) -> str:
    """One run in a few words, while more are measured."""
    per_cpu = f"{run.per_cpu_second:,.0f} per CPU-second, " if run.cpu else ""
    return f"{per_cpu}{run.load.requests / run.load.seconds:,.0f}/s"


def compare(runs: Runs) -> Ratio:
    """Turnout over Envoy, in requests per second of the proxy's CPU."""
    figures = {peer: [run.per_cpu_second for run in runs[peer]] for peer in ("turnout", "envoy")}
    return ratio(figures["turnout"], figures["envoy"])


def faults(protocol: str, runs: Runs, canary_share: float) -> list[str]:
    """What makes the figures worth nothing: wrong answers, failed requests, another split than was asked for."""
    found = []
    for peer, measured in runs.items():
        where = f"{protocol} {peer}"
        total = sum(run.load.requests for run in measured)
        versions, errors = Counter[str](), Counter[str]()
        for run in measured:
            versions.update(run.load.versions)
            errors.update(run.load.errors)
        found += [f"{where}: {kind} ({count} times)" for kind, count in errors.items()]
        if wrong := sum(run.load.wrong for run in measured):
            found.append(f"{where}: {wrong} of {total} answers were not the ones expected")
        if peer == "direct":
            continue
        if versions[""]:
            found.append(f"{where}: {versions['']} answers bear no x-turnout-version")
        if not share_holds(versions["v2"], total, canary_share):
            found.append(f"{where}: the canary got {versions['v2']} of {total}, not {canary_share:.0%}")
    return found


def table(protocol: str, runs: Runs) -> str:
    """One line a peer (medians over its runs, with the range of the main figure), and the ratio."""
    lines = [
        TITLES[protocol],
        f"  {'':8} {'requests per CPU-second':>30} {'requests/s':>11} {'CPU':>5} {'p50':>9} {'p99':>9} {'canary':>7}",
    ]
    lines += [f"  {peer:8} {_row(measured)}" for peer, measured in runs.items()]
    found = compare(runs)
    verdict = "reached" if found.low >= GOAL else "NOT reached"
    lines.append(
        f"  turnout / envoy: {found.mean:.2f} (95 % interval {found.low:.2f} to {found.high:.2f}, {found.pairs} pairs);"
        f" goal, low end at least {GOAL}: {verdict}"
    )
    return "\n".join(lines)


def _row(measured: Sequence[Run]) -> str:
    loads = [run.load for run in measured]
    rate = statistics.median(load.requests / load.seconds for load in loads)
    p50 = statistics.median(load.p50 for load in loads)
    p99 = statistics.median(load.p99 for load in loads)
    total = sum(load.requests for load in loads)
    canary = sum(load.versions.get("v2", 0) for load in loads) / total
    per_cpu = [run.per_cpu_second for run in measured]
    main = f"{statistics.median(per_cpu):,.0f} ({min(per_cpu):,.0f} to {max(per_cpu):,.0f})" if all(per_cpu) else "-"
    busy = f"{statistics.median(run.cpu / run.load.seconds for run in measured):.0%}" if all(per_cpu) else "-"
    return f"{main:>30} {rate:>11,.0f} {busy:>5} {p50:>6.2f} ms {p99:>6.2f} ms {canary:>7.1%}"


def document(machine: dict[str, Any], settings: dict[str, Any], measured: dict[str, Runs]) -> dict[str, Any]:
    """Everything, JSON-ready: each run's figures, and the ratio by protocol."""
    return {
        "machine": machine,
        "settings": settings,
        "protocols": {
            protocol: {
                "ratio": compare(runs)._asdict(),
                "runs": {
                    peer: [{**run.load._asdict(), "cpu": run.cpu, "per_cpu_second": run.per_cpu_second} for run in each]
                    for peer, each in runs.items()
                },
            }
            for protocol, runs in measured.items()
        },
    }
