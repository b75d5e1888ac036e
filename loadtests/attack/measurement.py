"""What became of the honest client's requests and of the gateway's memory before, during and after an attack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MIB = 1 << 20


class Sample(NamedTuple):
    """What all processes of the gateway took at a time."""

    when: float
    memory: int
    """Bytes resident."""
    busy: float
    """Seconds of a processor, so far."""


class Record(NamedTuple):
    """A request of the honest client."""

    when: float
    seconds: float
    how: str
    """`ok`, or what went wrong."""


class Span(NamedTuple):
    """From one time of the monotonic clock to another."""

    begin: float
    end: float

    def holds(self, when: float) -> bool:
        return self.begin <= when < self.end


class Measurement(NamedTuple):
    """Of one attack."""

    attack: str
    earlier: str
    """What it did before it was seen to."""
    failed: Counter[str]
    requests: int
    """The honest client's, during the attack and after it."""
    p99: tuple[float, float, float]
    """Of the honest client's requests before, during and after, in seconds."""
    memory: tuple[int, int, int]
    """Before, at most, and at the end, in bytes."""
    busy: float
    """Processors that the gateway kept busy during the attack."""
    ending: str
    """How the attacker's connections ended, or what else it saw."""


def measure(
    attack: str,
    earlier: str,
    spans: tuple[Span, Span, Span],
    records: Iterable[Record],
    samples: Sequence[Sample],
    ending: str,
) -> Measurement:
    """`spans`: before, during and after."""
    by_span = [[record for record in records if span.holds(record.when)] for span in spans]
    before = [sample.memory for sample in samples if spans[0].holds(sample.when)]
    harmed = by_span[1] + by_span[2]
    return Measurement(
        attack=attack,
        earlier=earlier,
        failed=Counter(record.how for record in harmed if record.how != "ok"),
        requests=len(harmed),
        p99=(_p99(by_span[0]), _p99(by_span[1]), _p99(by_span[2])),
        memory=(before[-1], max(sample.memory for sample in samples), samples[-1].memory),
        busy=_busy([sample for sample in samples if spans[1].holds(sample.when)]),
        ending=ending,
    )


def _busy(samples: Sequence[Sample]) -> float:
    first, last = samples[0], samples[-1]
    return (last.busy - first.busy) / (last.when - first.when)


def _p99(records: Sequence[Record]) -> float:
    seconds = sorted(record.seconds for record in records)
    return seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)] if seconds else float("nan")


def row(found: Measurement) -> tuple[str, ...]:
    """A line of the table."""
    causes = ", ".join(f"{count} {how}" for how, count in found.failed.most_common(3))
    failed = f"{sum(found.failed.values())} of {found.requests}" + (f" ({causes})" if causes else "")
    before, during, after = found.p99
    memory = " → ".join(str(size // MIB) for size in found.memory)
    times = f"{during / before:.1f} times, then {after / before:.1f} times {before * 1000:.0f} ms"
    return found.attack, found.earlier, failed, times, f"{found.busy:.1f}", f"{memory} MiB", found.ending


TITLES = (
    "Attack",
    "Before",
    "Honest requests failed",
    "Their p99",
    "Processors that the gateway took",
    "Memory: before → peak → after",
    "The attacker saw",
)


def table(measurements: Iterable[Measurement]) -> str:
    """In Markdown."""
    lines = [TITLES, ("---",) * len(TITLES), *map(row, measurements)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
