"""What is counted is shown: each word of a worker's counters, and each field of a view, changes a metric."""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Callable
from typing import Any

import pytest

from gateway.contract.evidence import SIGNALS
from gateway.contract.route_table import Deployment, Endpoint, RouteTable, Version
from gateway.parent.exposition import View, exposition
from gateway.stats import counters, totals
from gateway.stats.counters import Counters
from gateway.stats.totals import Totals

ENDPOINT = Endpoint(host="127.0.0.1", rest=9000, grpc=9001)
VERSION = Version(name="v1", endpoints=(ENDPOINT,))
TABLE = RouteTable(
    revision=1,
    deployments=(Deployment(namespace="vision", name="digits", runtime="tfserving", stable="v1", versions=(VERSION,)),),
)
KEY = ("vision", "digits", "v1")
MUCH = 1 << 44
"""Enough for each word, whatever it counts: requests, bytes, microseconds, or the moment since when one is open."""

WORDS: dict[str, Callable[[Counters], memoryview]] = {
    "a worker": lambda made: made.worker._words,
    "a request slot": lambda made: made.request(*KEY, "tfserving-rest", "split")._words,
    "an endpoint slot": lambda made: made.endpoint(*KEY, ENDPOINT)._words,
    "a refusal slot": lambda made: made.refusal("seldon-rest", "unknown_deployment")._words,
}

CHANGED: dict[str, Any] = {
    "evidence": {(*KEY, "7", "false"): [5, *range(len(SIGNALS))]},
    "source": "c0ffee",
    "newest": 7,
    "in_force": 6,
    "age": 1.5,
    "rejected": 2,
    "rejecting": True,
    "connected": False,
    "silence": 2.5,
    "workers": {"ready": 1},
    "restarts": 3,
    "draining": True,
}
"""Another value of each field of a view but its sums."""


def shown(buffer: mmap.mmap, **changed: Any) -> str:
    total = Totals()
    total.follow(TABLE)
    view = View(
        sums=total.sum([totals.read(buffer, 0)]),
        evidence={(*KEY, "7", "false"): [0] * (1 + len(SIGNALS))},
        source="",
        newest=None,
        in_force=None,
        age=None,
        rejected=0,
        rejecting=False,
        connected=None,
        silence=None,
        workers={},
        restarts=0,
        draining=False,
    )
    body = exposition(dataclasses.replace(view, **changed), "")[0].decode()
    return "\n".join(line for line in body.splitlines() if line.startswith("turnout_"))


@pytest.mark.parametrize("kind", WORDS)
def test_each_word_that_is_counted_is_shown(kind: str) -> None:
    buffer = mmap.mmap(-1, counters.SIZE)
    words = WORDS[kind](Counters(buffer))
    before = shown(buffer)
    lost = []
    for word in range(len(words)):
        if kind == "a worker" and word == counters.BEATS:
            continue  # the parent looks at it
        words[word] += MUCH
        if shown(buffer) == before:
            lost.append(word)
        words[word] -= MUCH
    assert not lost, "\n".join(
        f"word {word} of {kind} in gateway/stats/counters.py changes no metric: sum it in gateway/stats/totals.py, "
        "and show it in gateway/parent/exposition.py"
        for word in lost
    )


def test_each_field_of_a_view_is_shown() -> None:
    buffer = mmap.mmap(-1, counters.SIZE)
    before = shown(buffer)
    names = {field.name for field in dataclasses.fields(View)} - {"sums"}
    assert names == CHANGED.keys(), "CHANGED has another value of each field"
    lost = [name for name, value in CHANGED.items() if shown(buffer, **{name: value}) == before]
    assert not lost, f"gateway/parent/exposition.py shows no metric of {', '.join(lost)} of its View"
