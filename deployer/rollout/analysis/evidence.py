"""What counts as evidence: what sources have counted, what of that is new, and to which share it belongs. Pure.

Sources count from their start on, so a look takes the difference to what was taken before, per source, and keeps what
it took together with what followed from it. Whatever is read twice, late or not at all, no event is taken twice:

- A source that starts again has another name, so its counts begin anew.
- One that goes back all the same is not believed until all its counts in that epoch are beyond what was taken already;
  what it counted meanwhile is lost, on canary and stable alike.
- One that was forgotten, since it was gone for long, may only bring what it counts from its return on.

A request belongs to the epoch in which it was assigned, and each epoch has one share. Epochs whose share is not known
are dropped. No clock of another machine is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field

from deployer.rollout.analysis.buckets import Buckets, Fresh, total
from deployer.rollout.analysis.products import Counts, GroupLook, Look
from deployer.rollout.analysis.reading import GROUPS, UNKNOWN, Bitmaps, Count, Reading, minus, united
from gateway.contract.evidence import SIGNALS

EPOCHS = 32
"""Epochs whose share is kept; those before are over."""
SOURCES = 128
"""Sources of which is kept what was taken."""
GONE = 3600.0
"""Seconds without a word after which a source is forgotten."""
_GRAIN = 300.0
"""Seconds between notes of when a source was last read, so that silence changes nothing that is kept."""


def _of_each(bits: object) -> object:
    """What a build has written that told no callers apart stands for each group of them."""
    return [bits] * GROUPS if isinstance(bits, int | dict) else bits


@dataclass(frozen=True)
class Source:
    """What was taken of one source. `last_read`: when, within minutes; `behind`: epochs in which it went back."""

    # A build from before the name was changed has written it as `heard`.
    last_read: Annotated[float, Field(validation_alias=AliasChoices("last_read", "heard"))]
    counts: tuple[Count, ...] = ()
    behind: tuple[int, ...] = ()


@dataclass(frozen=True)
class EvidenceLedger:
    """What of the evidence was taken into account in one rollout.

    `after`: epochs up to this one are none of the rollout's, or long over. `epochs`: the canary's share (0 to 1) in
    each later one. `forgotten`: the last epoch when a source was forgotten. `buckets`: by signal, and `met`: those that
    the canary had any request of; both of each group of callers. `steady`: the last epoch that all sources had in
    force. `dropped`: requests of epochs without a share.
    """

    after: int = -1
    epochs: Mapping[int, float] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    forgotten: int = -1
    buckets: Mapping[str, Annotated[tuple[Buckets, ...], BeforeValidator(_of_each)]] = field(default_factory=dict)
    met: Annotated[Bitmaps, BeforeValidator(_of_each)] = (0,) * GROUPS
    steady: int | None = None
    dropped: int = 0

    def knowing(self, epoch: int, share: float) -> EvidenceLedger:
        """The same, where `epoch` has that share of the canary's. Of too many epochs the oldest are over."""
        if epoch <= self.after or self.epochs.get(epoch) == share:
            return self
        epochs = {**self.epochs, epoch: share}
        over = sorted(epochs)[:-EPOCHS]
        return replace(
            self,
            epochs={epoch: share for epoch, share in epochs.items() if epoch not in over},
            after=max(over, default=self.after),
        )


@dataclass(frozen=True)
class Comparison:
    """Whose counts are compared. `salt`: of the keys' buckets. `steady`: the epoch that is in force everywhere now;
    None while a change is under way, or so shortly after one that failures of the weight before may still arrive."""

    stable: str
    canary: str
    salt: str
    steady: int | None


def taken(
    before: EvidenceLedger, comparison: Comparison, readings: Sequence[Reading], now: float
) -> tuple[EvidenceLedger, dict[str, list[Look]]]:
    """What is taken with these readings, and by signal the looks that are new.

    Requests with a key are looked at apart: what is new of them in the comparison are buckets, and those don't tell
    their epoch. It is any of those from the last one that was in force everywhere on. `now` is compared with itself
    alone.
    """
    newest = max(before.epochs, default=before.after)
    sources, news, dropped = dict(before.sources), _News(), before.dropped
    for reading in readings:
        counts = [count for count in reading.counts if before.after < count.epoch <= newest]
        old = sources.get(reading.source)
        source, new = _advanced(old or Source(now), counts, before.forgotten if old is None else -1)
        last_read = now if old is None or not 0 <= now - old.last_read < _GRAIN else old.last_read
        marks = tuple(count for count in source.counts if count.epoch > before.after)
        sources[reading.source] = replace(source, last_read=last_read, counts=marks)
        for count in new:
            if count.epoch in before.epochs:
                news.add(count, comparison)
            else:
                dropped += count.requests
    buckets, met, fresh = _merged(before, comparison, readings)
    steady = comparison.steady if comparison.steady in before.epochs else None
    shares = _shares(before, steady)
    looks = {signal: news.looks(signal, before.epochs, fresh[signal], shares) for signal in SIGNALS}
    recent = _recent(sources, now)
    after = replace(
        before,
        sources=recent,
        forgotten=newest if len(recent) < len(sources) else before.forgotten,
        buckets=buckets,
        met=met,
        steady=before.steady if steady is None else steady,
        dropped=dropped,
    )
    return after, looks


class _News:
    """Sums of new counts by epoch and stratum: canary's and stable's."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, bool], tuple[list[Count], list[Count]]] = {}

    def add(self, count: Count, comparison: Comparison) -> None:
        if count.version in (comparison.canary, comparison.stable) and any(count.numbers):
            pair = self._sums.setdefault((count.epoch, count.keyed), ([], []))
            pair[count.version == comparison.stable].append(count)

    def looks(
        self, signal: str, shares: Mapping[int, float], fresh: Sequence[Fresh], of_fresh: tuple[float, float]
    ) -> list[Look]:
        """Of requests by their epochs, and one of the buckets that are `fresh`, under the least and the greatest share
        that they may have been bad under."""
        looks = []
        for (epoch, keyed), pair in sorted(self._sums.items()):
            canary, stable = (_by_group(counts, 1 + SIGNALS.index(signal)) for counts in pair)
            groups = []
            for group, ((sent, bad), (others, others_bad)) in enumerate(zip(canary, stable, strict=True)):
                # Of requests with a key, buckets are what is compared.
                compared = (0, 0, 0, 0) if keyed else (bad, others_bad, sent, bad)
                if group != UNKNOWN and any((sent, bad, others, others_bad)):
                    groups.append(GroupLook(group, sent + others, Counts(*compared, sent, bad)))
            sent, bad = (sum(column) for column in zip(*canary, strict=True))
            others, others_bad = (sum(column) for column in zip(*stable, strict=True))
            fresh_of = Fresh(0, 0) if keyed else None
            looks.append(Look(shares[epoch], sent, bad, others, others_bad, fresh_of, None, tuple(groups)))
        if any(any(one[:-1]) for one in fresh):
            groups = [
                GroupLook(group, 0, Counts(*one.compared[:-1], 0, 0))
                for group, one in enumerate(fresh)
                if group != UNKNOWN and any(one[:-1])
            ]
            looks.append(Look(of_fresh[1], 0, 0, 0, 0, total(fresh), of_fresh[0], tuple(groups)))
        return looks


def _by_group(counts: Iterable[Count], bad: int) -> list[tuple[int, int]]:
    """Requests, and those that are at the index `bad` of their numbers."""
    sums = [(0, 0)] * GROUPS
    for count in counts:
        sums = [(sent + of[0], failed + of[bad]) for (sent, failed), of in zip(sums, count.groups, strict=True)]
    return sums


def _advanced(source: Source, counts: Iterable[Count], unbelieved: int) -> tuple[Source, list[Count]]:
    """The source after it said `counts`, and what is new of them; nothing is of epochs up to `unbelieved`."""
    marks: dict[int, dict[tuple[str, bool], Count]] = {}
    for count in source.counts:
        marks.setdefault(count.epoch, {})[count.version, count.keyed] = count
    by_epoch: dict[int, dict[tuple[str, bool], Count]] = {}
    for count in counts:
        by_epoch.setdefault(count.epoch, {})[count.version, count.keyed] = count
    behind, new = set(source.behind), []
    for epoch, counted in by_epoch.items():
        known = marks.get(epoch, {})
        if any(_less(counted.get(key), mark) for key, mark in known.items()):
            behind.add(epoch)
            continue
        marks[epoch] = counted
        if epoch in behind or epoch <= unbelieved:
            behind.discard(epoch)
            continue
        new += [_difference(count, known.get(key)) for key, count in counted.items()]
    return Source(source.last_read, tuple(c for of in marks.values() for c in of.values()), tuple(sorted(behind))), new


def _less(count: Count | None, mark: Count) -> bool:
    there = (count.numbers, *count.groups) if count else ((0, 0, 0, 0),) * (GROUPS + 1)
    return any(min(minus(now, before)) < 0 for now, before in zip(there, (mark.numbers, *mark.groups), strict=True))


def _difference(count: Count, mark: Count | None) -> Count:
    if mark is None:
        return count
    requests, errors, slow, rejections = minus(count.numbers, mark.numbers)
    callers = tuple([minus(now, before) for now, before in zip(count.callers, mark.groups, strict=False)])
    return Count(*count[:3], requests, errors, slow, rejections, callers)


def _merged(
    before: EvidenceLedger, comparison: Comparison, readings: Iterable[Reading]
) -> tuple[dict[str, tuple[Buckets, ...]], Bitmaps, dict[str, tuple[Fresh, ...]]]:
    """By signal the buckets with those of the readings, all that were met, and by signal what of it is new: each of
    every group of callers."""
    there = [
        reading for reading in readings if reading.salt == comparison.salt and (reading.buckets or reading.callers)
    ]
    if not there:
        return dict(before.buckets), before.met, dict.fromkeys(SIGNALS, ())
    requests = united(there, comparison.canary, "requests")
    met = [(bits & ~known).bit_count() for bits, known in zip(requests, before.met, strict=True)]
    buckets: dict[str, tuple[Buckets, ...]] = {}
    fresh: dict[str, tuple[Fresh, ...]] = {}
    for signal in SIGNALS:
        canary, stable = (united(there, version, signal) for version in (comparison.canary, comparison.stable))
        known = before.buckets.get(signal, (Buckets(),) * GROUPS)
        merged = [one.merged(*bits) for one, *bits in zip(known, canary, stable, strict=True)]
        buckets[signal] = tuple([one for one, _ in merged])
        fresh[signal] = tuple([new._replace(met=count) for (_, new), count in zip(merged, met, strict=True)])
    return buckets, tuple([bits | known for bits, known in zip(requests, before.met, strict=True)]), fresh


def _shares(before: EvidenceLedger, steady: int | None) -> tuple[float, float]:
    """The least and the greatest share of the epochs that may have been in force since the look before."""
    if steady is not None and steady == before.steady:
        return before.epochs[steady], before.epochs[steady]
    shares = [share for epoch, share in before.epochs.items() if before.steady is None or epoch >= before.steady]
    return (min(shares) if before.steady in before.epochs else 0.0), max(shares, default=0.0)


def _recent(sources: Mapping[str, Source], now: float) -> dict[str, Source]:
    """Without those gone for long; of too many, those read last."""
    there = {name: source for name, source in sources.items() if now - source.last_read < GONE}
    last = sorted(there, key=lambda name: there[name].last_read)[-SOURCES:]
    return {name: there[name] for name in there if name in last} if len(last) < len(there) else there
