"""What all workers counted as evidence, living and dead: the reader's side of `gateway/stats/evidence_recorder.py`.
Pure."""

from __future__ import annotations

import base64
import mmap
import struct
from collections.abc import Callable, Iterable
from functools import reduce
from operator import add, or_
from typing import NamedTuple

from gateway.contract.evidence import CALLER_GROUPS, SIGNALS, Count, DeploymentEvidence
from gateway.contract.route_table import Deployment, RouteTable
from gateway.stats import counters, shared_slots
from gateway.stats.evidence_slots import BITMAP_BYTES, COUNTS, has_salt_in_force, is_recent
from gateway.stats.shared_slots import Key

Rows = dict[Key, list[int]]

_COUNTED = ("requests", *SIGNALS)


class EvidenceCounts(NamedTuple):
    """Of each group of callers four, one group after the other."""

    counts: Rows
    """Requests and the bad ones of each signal, by namespace, deployment, version, epoch and whether they had a key."""
    buckets: Rows
    """For all requests and each signal a bitmap as an integer, by namespace, deployment, version and salt."""


def read(buffer: mmap.mmap | bytearray) -> EvidenceCounts:
    """One worker's as it is now."""
    return EvidenceCounts(
        {slot.key: slot.words for slot in shared_slots.read(buffer, counters.EVIDENCE)},
        {slot.key: _bitmaps(slot.words) for slot in shared_slots.read(buffer, counters.BITMAPS)},
    )


def _bitmaps(words: list[int]) -> list[int]:
    data = struct.pack(f"={len(words)}q", *words)
    return [
        int.from_bytes(data[at : at + BITMAP_BYTES], "little")
        for at in range(0, BITMAP_BYTES * COUNTS * CALLER_GROUPS, BITMAP_BYTES)
    ]


class EvidenceTotals:
    """The sums over workers. Those that died are a base, so that a death lowers no count."""

    def __init__(self) -> None:
        self._table = RouteTable(revision=0)
        self._base = EvidenceCounts({}, {})

    def follow(self, table: RouteTable) -> None:
        """Forget what `table`, the newest, lets go."""
        self._table = table
        self._base = self._retained(self._base)

    def fold(self, last: EvidenceCounts) -> None:
        """Add a dead worker's last counts to the base."""
        self._base = self.sum([last])

    def sum(self, living: Iterable[EvidenceCounts]) -> EvidenceCounts:
        total = EvidenceCounts(dict(self._base.counts), dict(self._base.buckets))
        for evidence in living:
            _merge(total.counts, evidence.counts, add)
            _merge(total.buckets, evidence.buckets, or_)
        return self._retained(total)

    def _retained(self, evidence: EvidenceCounts) -> EvidenceCounts:
        table = self._table
        return EvidenceCounts(
            {key: row for key, row in evidence.counts.items() if key[0] == counters.OTHER or is_recent(key, table)},
            {key: row for key, row in evidence.buckets.items() if has_salt_in_force(key, table)},
        )


def _merge(rows: Rows, more: Rows, how: Callable[[int, int], int]) -> None:
    for key, row in more.items():
        before = rows.get(key)
        rows[key] = row if before is None else list(map(how, before, row))


def total(row: list[int]) -> list[int]:
    """Of all callers: of requests, and of each signal."""
    return [sum(row[at::COUNTS]) for at in range(COUNTS)]


def reports(evidence: EvidenceCounts, epochs: Iterable[tuple[Deployment, int]]) -> dict[str, DeploymentEvidence]:
    """What the admin port says of deployments and the epochs in force there, by `namespace/name`."""
    asked = list(epochs)
    counts: dict[str, list[Count]] = {deployment.key: [] for deployment, _ in asked}
    buckets: dict[str, dict[str, dict[str, str]]] = {deployment.key: {} for deployment, _ in asked}
    callers: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {deployment.key: {} for deployment, _ in asked}
    for (namespace, name, version, epoch, keyed), row in evidence.counts.items():
        if (of_deployment := counts.get(f"{namespace}/{name}")) is not None:
            numbers = dict(zip(_COUNTED, total(row), strict=True))
            groups = tuple(zip(*[iter(row)] * COUNTS, strict=True)) if any(row) else ()
            of_deployment.append(
                Count(version=version, epoch=int(epoch), keyed=keyed == "true", **numbers, callers=groups)
            )
    for (namespace, name, version, _), row in evidence.buckets.items():
        if (by_version := buckets.get(f"{namespace}/{name}")) is not None:
            of_signals = {counted: row[at::COUNTS] for at, counted in enumerate(_COUNTED)}
            by_version[version] = {counted: _text(reduce(or_, bitmaps)) for counted, bitmaps in of_signals.items()}
            callers[f"{namespace}/{name}"][version] = {
                counted: tuple([_text(bits) if bits else "" for bits in bitmaps])
                for counted, bitmaps in of_signals.items()
            }
    return {
        deployment.key: DeploymentEvidence(
            epoch=epoch,
            counts=tuple(counts[deployment.key]),
            salt=deployment.salt,
            buckets=buckets[deployment.key],
            callers=callers[deployment.key],
        )
        for deployment, epoch in asked
    }


def _text(bits: int) -> str:
    return base64.b64encode(bits.to_bytes(BITMAP_BYTES, "little")).decode()
