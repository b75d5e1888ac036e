"""What a worker counts, in memory that the parent reads while the worker goes on: 64-bit integers, one writer each.

Times are microseconds of the monotonic clock, which all processes of a machine share. The layout is a few words of the
worker's own, then an area of slots for each kind of thing counted. `gateway/stats/totals.py` reads it.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Collection, Iterable
from typing import Final

from gateway.contract.route_table import Deployment, Endpoint, RouteTable
from gateway.stats import evidence_slots
from gateway.stats.evidence_slots import BitmapSlot, EvidenceSlot, EvidenceSlots
from gateway.stats.shared_slots import WORD, Area, Key, Slot, Slots

OUTCOMES: Final = ("success", "client_error", "server_error", "deadline", "cancelled", "unavailable", "refused")
SUCCESS, CLIENT_ERROR, SERVER_ERROR, DEADLINE, CANCELLED, UNAVAILABLE, REFUSED = range(7)
"""How a request ended. `unavailable`: no endpoint could be had; `refused`: the gateway's own limits."""

CAUSES: Final = ("connect", "refused_stream", "reset", "unavailable")
CONNECT, REFUSED_STREAM, RESET, BACKEND_UNAVAILABLE = range(4)
"""Why an attempt was repeated. `reset`: a reused connection, before any byte of an answer."""

BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The latency histogram's bounds in seconds: half a millisecond is a small model, a minute the default deadline."""

OTHER: Final = "_other"
"""The label of what no longer fits. The underscore keeps it from being a deployment's name."""

EPOCH_US: Final = 1 << 44
"""Added to each time that a slot sums, so that one word tells both how many requests are open and since when."""

_BUCKETS_US: Final = tuple(round(bound * 1_000_000) for bound in BUCKETS)

# Words of a slot, after its state.
OPEN, DURATION, FIRST_OUTCOME = 0, 1, 2
FIRST_CAUSE: Final = FIRST_OUTCOME + len(OUTCOMES)
FIRST_BUCKET: Final = FIRST_CAUSE + len(CAUSES)
REQUEST_WORDS: Final = FIRST_BUCKET + len(BUCKETS) + 1
UP, IN_FLIGHT, CONNECTIONS, EJECTIONS, ENDPOINT_WORDS = range(5)
OPEN_CONNECTIONS, ACCEPTED, GATHERED, BEATS, WORKER_WORDS = range(5)

REQUESTS: Final = Area(WORKER_WORDS, 16384, REQUEST_WORDS)  # more than the 10,000 versions that a table may have
ENDPOINTS: Final = Area(REQUESTS.end, 16384, ENDPOINT_WORDS)
REFUSALS: Final = Area(ENDPOINTS.end, 256, 1)  # protocols times reasons, both fixed sets
EVIDENCE: Final = Area(REFUSALS.end, 32768, evidence_slots.EVIDENCE_WORDS)  # of 1024 deployments with all they may have
BITMAPS: Final = Area(EVIDENCE.end, 1024, evidence_slots.BITMAP_WORDS)  # of 512 deployments, 41 MB
SIZE: Final = BITMAPS.end * WORD


def allocate() -> int:
    """A descriptor of fresh memory for one worker's life; sparse, and gone with its last descriptor and mapping."""
    descriptor = os.memfd_create("turnout-counters")
    os.ftruncate(descriptor, SIZE)
    return descriptor


def attach(descriptor: int) -> mmap.mmap:
    return mmap.mmap(descriptor, SIZE)


class RequestSlot(Slot):
    """Requests of one namespace, deployment, version, protocol and assignment."""

    __slots__ = ()

    def started(self, now_us: int) -> None:
        # One word, written at once, so that no reader can see the number of open requests without their starts.
        self._words[OPEN] += now_us + EPOCH_US

    def finished(self, started_us: int, now_us: int, outcome: int) -> None:
        """Once for each `started`, with the same time; `outcome` is an index of OUTCOMES."""
        words = self._words
        duration = now_us - started_us
        words[DURATION] += duration
        words[OPEN] -= started_us + EPOCH_US
        words[FIRST_OUTCOME + outcome] += 1
        words[FIRST_BUCKET + bisect_left(_BUCKETS_US, duration)] += 1

    def retried(self, cause: int) -> None:
        """`cause` is an index of CAUSES."""
        self._words[FIRST_CAUSE + cause] += 1

    @property
    def idle(self) -> bool:
        return self._words[OPEN] == 0


class EndpointSlot(Slot):
    """One endpoint of a version; up until it is ejected."""

    __slots__ = ()

    def __init__(self, words: memoryview) -> None:
        super().__init__(words)
        words[UP] = 1

    def sent(self) -> None:
        self._words[IN_FLIGHT] += 1

    def done(self) -> None:
        self._words[IN_FLIGHT] -= 1

    def connected(self) -> None:
        self._words[CONNECTIONS] += 1

    def disconnected(self) -> None:
        self._words[CONNECTIONS] -= 1

    def ejected(self) -> None:
        self._words[UP] = 0
        self._words[EJECTIONS] += 1

    def restored(self) -> None:
        self._words[UP] = 1

    @property
    def idle(self) -> bool:
        return self._words[IN_FLIGHT] == 0 and self._words[CONNECTIONS] == 0


class RefusalSlot(Slot):
    """Requests refused before a version was chosen, by protocol and reason."""

    __slots__ = ()

    def refused(self) -> None:
        self._words[0] += 1


class WorkerSlot:
    """What a worker counts of itself."""

    __slots__ = ("_words",)

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def accepted(self) -> None:
        """A client's connection."""
        self._words[ACCEPTED] += 1
        self._words[OPEN_CONNECTIONS] += 1

    def closed(self) -> None:
        self._words[OPEN_CONNECTIONS] -= 1

    def gathered(self, size: int) -> None:
        """The bytes of requests that are held now."""
        self._words[GATHERED] = size

    def beat(self) -> None:
        """The loop runs. Each second."""
        self._words[BEATS] += 1


class Counters:
    """The worker's side. `buffer` is SIZE bytes of zeros that nobody else writes. Callers keep the slots they get,
    and ask anew with each table."""

    def __init__(self, buffer: mmap.mmap | bytearray) -> None:
        memory = memoryview(buffer)
        self.worker = WorkerSlot(memory.cast("q")[:WORKER_WORDS])
        self._requests = Slots(memory, REQUESTS, RequestSlot, (OTHER,) * 5)
        self._endpoints = Slots(memory, ENDPOINTS, EndpointSlot, (OTHER,) * 4)
        self._refusals = Slots(memory, REFUSALS, RefusalSlot, (OTHER,) * 2)
        self.evidence = EvidenceSlots(
            Slots(memory, EVIDENCE, EvidenceSlot, (OTHER,) * 5), Slots(memory, BITMAPS, BitmapSlot, (OTHER,) * 4)
        )

    def request(self, namespace: str, deployment: str, version: str, protocol: str, assignment: str) -> RequestSlot:
        return self._requests.get((namespace, deployment, version, protocol, assignment))

    def endpoint(self, namespace: str, deployment: str, version: str, endpoint: Endpoint) -> EndpointSlot:
        return self._endpoints.get((namespace, deployment, version, endpoint_label(endpoint)))

    def refusal(self, protocol: str, reason: str) -> RefusalSlot:
        return self._refusals.get((protocol, reason))

    def retain(self, table: RouteTable, departed: Collection[Deployment]) -> None:
        """Free the slots of what `departed` had and `table` has no more: of versions and endpoints once nothing is in
        flight there, of evidence at once."""
        names = {(deployment.namespace, deployment.name) for deployment in departed}
        versions, endpoints = members(table.by_key[name] for name in names if name in table.by_key)
        self._requests.retain(names, lambda key: key[:3] in versions)
        self._endpoints.retain(names, endpoints.__contains__)
        self.evidence.retain(table, departed)


def endpoint_label(endpoint: Endpoint) -> str:
    """One server, whichever of its two ports was used."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{host}:{endpoint.rest}"


def members(deployments: Iterable[Deployment]) -> tuple[set[Key], set[Key]]:
    """The first three labels of each version, and the labels of each endpoint."""
    versions: set[Key] = set()
    endpoints: set[Key] = set()
    for deployment in deployments:
        for version in deployment.versions:
            key = (deployment.namespace, deployment.name, version.name)
            versions.add(key)
            endpoints.update((*key, endpoint_label(endpoint)) for endpoint in version.endpoints)
    return versions, endpoints
