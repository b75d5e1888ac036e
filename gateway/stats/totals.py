"""What all workers counted, living and dead: the reader's side of `gateway/stats/counters.py`. Pure: time is passed
in."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import NamedTuple

from gateway.contract.route_table import RouteTable
from gateway.contract.state import VersionState
from gateway.stats import counters, shared_slots
from gateway.stats.shared_slots import Key, Reading
from gateway.table_delta import departed

Row = list[int]
Rows = dict[Key, Row]

# A row of requests: how many are in flight, how long they have been, how long the finished ones took (microseconds),
# then a count for each outcome, each cause of a retry and each bucket of latency.
IN_FLIGHT, OPEN_US, FINISHED_US = range(3)
OUTCOMES = slice(3, 3 + len(counters.OUTCOMES))
CAUSES = slice(OUTCOMES.stop, OUTCOMES.stop + len(counters.CAUSES))
BUCKETS = slice(CAUSES.stop, CAUSES.stop + len(counters.BUCKETS) + 1)

# A row of an endpoint: the workers that send to it, the workers that know it, then as they are named.
ENDPOINT_UP, ENDPOINT_KNOWN, ENDPOINT_IN_FLIGHT, ENDPOINT_CONNECTIONS, ENDPOINT_EJECTIONS = range(5)

_FAILURES = tuple(
    OUTCOMES.start + outcome
    for outcome in (counters.SERVER_ERROR, counters.DEADLINE, counters.UNAVAILABLE, counters.REFUSED)
)
"""How requests end for which the version or the gateway has to answer."""


class Snapshot(NamedTuple):
    requests: Rows
    """By namespace, deployment, version, protocol and assignment."""
    endpoints: Rows
    """By namespace, deployment, version and endpoint."""
    refusals: Rows
    """By protocol and reason."""
    worker: Row
    """Open connections, connections ever accepted, bytes being gathered, beats of the loop."""


class Sums(NamedTuple):
    present: Snapshot
    """What belongs to the table. Its counters never fall."""
    leaving: Snapshot
    """Versions and endpoints that left the table while something was in flight there: only their gauges count."""


def connections(buffer: mmap.mmap | bytearray) -> int:
    """One worker's, of clients, as many as are open now."""
    return memoryview(buffer).cast("B").cast("q")[counters.OPEN_CONNECTIONS]


def beats(buffer: mmap.mmap | bytearray) -> int:
    """How often one worker's loop has shown that it runs; 0 where it has not begun."""
    return memoryview(buffer).cast("B").cast("q")[counters.BEATS]


def read(buffer: mmap.mmap | bytearray, now_us: int) -> Snapshot:
    """One worker's counters as they are now."""
    found = Snapshot({}, {}, {}, memoryview(buffer).cast("B").cast("q")[: counters.WORKER_WORDS].tolist())
    for slot in shared_slots.read(buffer, counters.REQUESTS):
        _add(found.requests, slot.key, _request(slot, now_us + counters.EPOCH_US))
    for slot in shared_slots.read(buffer, counters.ENDPOINTS):
        _add(found.endpoints, slot.key, _endpoint(slot))
    for slot in shared_slots.read(buffer, counters.REFUSALS):
        _add(found.refusals, slot.key, slot.words)
    return found


def _request(slot: Reading, now: int) -> Row:
    # `open` is n * now less the microseconds that the n open requests have been open, which is by far the smaller:
    # dividing tells both.
    in_flight = (slot.words[counters.OPEN] + now // 2) // now
    if not slot.live:
        return [in_flight] + [0] * (BUCKETS.stop - 1)
    return [in_flight, max(0, in_flight * now - slot.words[counters.OPEN]), *slot.words[counters.DURATION :]]


def _endpoint(slot: Reading) -> Row:
    gauges = [slot.words[counters.IN_FLIGHT], slot.words[counters.CONNECTIONS]]
    return [slot.words[counters.UP], 1, *gauges, slot.words[counters.EJECTIONS]] if slot.live else [0, 0, *gauges, 0]


def _add(rows: Rows, key: Key, row: Row) -> None:
    before = rows.get(key)
    rows[key] = row if before is None else [a + b for a, b in zip(before, row, strict=True)]


class Totals:
    """The sums over workers, with those that died as a base, so that a worker's death lowers no counter."""

    def __init__(self) -> None:
        self._base = Snapshot({}, {}, {}, [0] * counters.WORKER_WORDS)
        self._table = RouteTable(revision=0)
        self._versions: set[Key] = set()
        self._endpoints: set[Key] = set()
        self._floor: dict[Key, int] = {}

    def follow(self, table: RouteTable) -> None:
        """Forget what is not in `table`. To be called when a table is read and again when every worker has it: between
        the two, a version that had left and came back may still be summed with its former count."""
        gone_versions, gone_endpoints = counters.members(departed(self._table.deployments, table))
        versions, endpoints = counters.members(departed(table.deployments, self._table))
        self._versions -= gone_versions
        self._versions |= versions
        self._endpoints -= gone_endpoints
        self._endpoints |= endpoints
        self._table = table
        self._floor.clear()
        for key in [key for key in self._base.requests if not self._has_version(key)]:
            del self._base.requests[key]
        for key in [key for key in self._base.endpoints if not self._has_endpoint(key)]:
            del self._base.endpoints[key]

    def fold(self, last: Snapshot) -> None:
        """Add a dead worker's last counts to the base. What it had in flight ended with it, and keeps only its time."""
        for key, row in last.requests.items():
            if self._has_version(key):
                _add(self._base.requests, key, [0, *row[OPEN_US:]])
        for key, row in last.endpoints.items():
            if self._has_endpoint(key):
                _add(self._base.endpoints, key, [0, 0, 0, 0, row[ENDPOINT_EJECTIONS]])
        for key, row in last.refusals.items():
            _add(self._base.refusals, key, row)
        self._base.worker[counters.ACCEPTED] += last.worker[counters.ACCEPTED]

    def sum(self, living: Iterable[Snapshot]) -> Sums:
        base = self._base
        present = Snapshot(dict(base.requests), dict(base.endpoints), dict(base.refusals), list(base.worker))
        leaving = Snapshot({}, {}, {}, [])
        for snapshot in living:
            for key, row in snapshot.requests.items():
                _add((present if self._has_version(key) else leaving).requests, key, row)
            for key, row in snapshot.endpoints.items():
                _add((present if self._has_endpoint(key) else leaving).endpoints, key, row)
            for key, row in snapshot.refusals.items():
                _add(present.refusals, key, row)
            for word, value in enumerate(snapshot.worker):
                present.worker[word] += value
        for key, row in present.requests.items():
            self._hold(key, row)
        return Sums(present, leaving)

    def _hold(self, key: Key, row: Row) -> None:
        """Time in flight never falls, though a request may be seen both finished and still open, or finished by a clock
        that its loop read a moment before ours."""
        total = row[OPEN_US] + row[FINISHED_US]
        floor = self._floor.get(key, 0)
        if total < floor:
            row[OPEN_US] += floor - total
        self._floor[key] = max(total, floor)

    def _has_version(self, key: Key) -> bool:
        return key[:3] in self._versions or key[0] == counters.OTHER

    def _has_endpoint(self, key: Key) -> bool:
        return key in self._endpoints or key[0] == counters.OTHER


def states(sums: Sums) -> tuple[VersionState, ...]:
    """What the admin port says of the versions that have had a request."""
    counted: dict[Key, list[int]] = {}
    for key, row in sums.present.requests.items():
        sum = counted.setdefault(key[:3], [0, 0, 0])
        sum[0] += row[OPEN_US] + row[FINISHED_US]
        for count in row[OUTCOMES]:
            sum[1] += count
        for outcome in _FAILURES:
            sum[2] += row[outcome]
    in_flight: dict[Key, dict[str, int]] = {}
    for endpoints in (sums.present.endpoints, sums.leaving.endpoints):
        for key, row in endpoints.items():
            if row[ENDPOINT_IN_FLIGHT]:
                of_version = in_flight.setdefault(key[:3], {})
                of_version[key[3]] = of_version.get(key[3], 0) + row[ENDPOINT_IN_FLIGHT]
    states = []
    for key in counted | in_flight:
        microseconds, requests, failures = counted.get(key, (0, 0, 0))
        states.append(
            VersionState(
                deployment=f"{key[0]}/{key[1]}",
                version=key[2],
                seconds=microseconds / 1e6,
                requests=requests,
                failures=failures,
                in_flight=in_flight.get(key, {}),
            )
        )
    return tuple(states)
