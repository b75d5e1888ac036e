"""The table that the demo shows: the gateway's figures, and how often each version was right."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

from rich.table import Table

from examples.demo.clients import APIS
from examples.demo.figures import Figures
from examples.demo.load import Results

VERSIONS = ("v1", "v2")


def table(figures: Mapping[tuple[str, str], Figures], results: Results) -> Table:
    """`figures` are of the same time as `results`."""
    shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("deployment", "API", ""):
        shown.add_column(name, no_wrap=True)
    for name in ("share", "req/s", "p50", "p99", "errors", "accuracy"):
        shown.add_column(name, justify="right", no_wrap=True, min_width=7)
    for api in APIS:
        by_version = {version: figures.get((api.protocol, version), Figures()) for version in VERSIONS}
        total = sum(one.requests for one in by_version.values())
        for version, one in by_version.items():
            answers, right = results.answers[api.protocol, version], results.right[api.protocol, version]
            shown.add_row(
                api.deployment,
                api.name,
                version,
                f"{one.requests / total:.1%}" if total else "-",
                f"{one.requests / results.seconds(api.protocol):.0f}",
                _milliseconds(one.quantile(0.5)),
                _milliseconds(one.quantile(0.99)),
                f"{one.failures:g}",
                f"{right / answers:.1%}" if answers else "-",
                style="" if one.requests else "dim",
            )
    return shown


def _milliseconds(seconds: float) -> str:
    return "-" if isnan(seconds) else f"{seconds * 1000:.1f} ms"
