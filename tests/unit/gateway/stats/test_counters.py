"""Counting and reading, and the sums over workers that live and die."""

import mmap
import os
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.route_table import Deployment, Endpoint, RouteTable, Version
from gateway.contract.state import VersionState
from gateway.stats import counters, totals
from gateway.stats.counters import Counters
from gateway.stats.totals import BUCKETS, CAUSES, FINISHED_US, IN_FLIGHT, OPEN_US, OUTCOMES, Sums, Totals

KEY = ("vision", "digits", "v1", "tfserving-rest", "split")
ADDRESS = Endpoint(host="127.0.0.1", rest=8501, grpc=8500)


def route_table(*versions: str, endpoints: tuple[Endpoint, ...] = (ADDRESS,)) -> RouteTable:
    made = tuple(Version(name=name, endpoints=endpoints) for name in versions)
    digits = Deployment(namespace="vision", name="digits", runtime="tfserving", stable=versions[0], versions=made)
    return RouteTable(revision=1, deployments=(digits,))


def memory() -> mmap.mmap:
    return mmap.mmap(-1, counters.SIZE)


def test_the_words_of_a_slot_are_what_happened() -> None:
    buffer = memory()
    slot = Counters(buffer).request(*KEY)
    for began in (1_000, 2_000, 3_000):
        slot.started(began)
    slot.finished(1_000, 5_000, counters.SUCCESS)
    slot.retried(counters.RESET)
    row = totals.read(buffer, 10_000).requests[KEY]
    assert row[IN_FLIGHT] == 2
    assert row[OPEN_US] == 8_000 + 7_000
    assert row[FINISHED_US] == 4_000
    assert row[OUTCOMES] == [1, 0, 0, 0, 0, 0, 0]
    assert row[CAUSES] == [0, 0, 1, 0]
    assert sum(row[BUCKETS]) == 1


@pytest.mark.parametrize(
    ("microseconds", "bound"),
    [(0, 0.0005), (500, 0.0005), (501, 0.001), (1_000_000, 1.0), (60_000_000, 60.0), (60_000_001, None)],
)
def test_a_bucket_holds_what_is_at_most_its_bound(microseconds: int, bound: float | None) -> None:
    buffer = memory()
    slot = Counters(buffer).request(*KEY)
    slot.started(7)
    slot.finished(7, 7 + microseconds, counters.SUCCESS)
    filled = totals.read(buffer, 100).requests[KEY][BUCKETS].index(1)
    assert (*counters.BUCKETS, None)[filled] == bound


def test_what_started_after_the_reader_looked_at_the_clock_is_in_flight_for_no_time() -> None:
    buffer = memory()
    Counters(buffer).request(*KEY).started(5_000)
    row = totals.read(buffer, 4_000).requests[KEY]
    assert (row[IN_FLIGHT], row[OPEN_US]) == (1, 0)


@pytest.mark.parametrize("uptime", [0, 60_000_000, 400 * 86_400 * 1_000_000])
def test_many_in_flight_for_long_are_told_apart_from_their_age(uptime: int) -> None:
    buffer = memory()
    slot = Counters(buffer).request(*KEY)
    for _ in range(20_000):
        slot.started(uptime)
    row = totals.read(buffer, uptime + 60_000_000).requests[KEY]
    assert (row[IN_FLIGHT], row[OPEN_US]) == (20_000, 20_000 * 60_000_000)


def test_an_endpoint_and_the_worker_and_refusals() -> None:
    buffer = memory()
    made = Counters(buffer)
    endpoint = made.endpoint("vision", "digits", "v1", ADDRESS)
    key = ("vision", "digits", "v1", "127.0.0.1:8501")
    assert totals.read(buffer, 0).endpoints[key] == [1, 1, 0, 0, 0]
    endpoint.connected()
    endpoint.sent()
    endpoint.ejected()
    assert totals.read(buffer, 0).endpoints[key] == [0, 1, 1, 1, 1]
    endpoint.restored()
    endpoint.done()
    endpoint.disconnected()
    assert totals.read(buffer, 0).endpoints[key] == [1, 1, 0, 0, 1]
    made.worker.accepted()
    made.worker.accepted()
    made.worker.closed()
    made.worker.gathered(100)
    made.worker.beat()
    made.refusal("tfserving-rest", "unknown_deployment").refused()
    snapshot = totals.read(buffer, 0)
    assert snapshot.worker == [1, 2, 100, 1]
    assert snapshot.refusals == {("tfserving-rest", "unknown_deployment"): [1]}


def test_an_ipv6_endpoint_is_written_with_brackets() -> None:
    assert counters.endpoint_label(Endpoint(host="::1", rest=1, grpc=2)) == "[::1]:1"


def test_all_areas_are_apart() -> None:
    buffer = memory()
    made = Counters(buffer)
    for number in range(counters.REQUESTS.capacity - 1):
        made.request("n", "d", str(number), "x", "split").started(0)
    for number in range(1, counters.ENDPOINTS.capacity):
        made.endpoint("n", "d", "v", Endpoint(host="h", rest=number, grpc=1)).sent()
    for number in range(counters.REFUSALS.capacity - 1):
        made.refusal("d", str(number)).refused()
    made.request("n", "one", "too", "many", "split").started(0)
    snapshot = totals.read(buffer, 0)
    assert len(snapshot.requests) == counters.REQUESTS.capacity
    assert len(snapshot.endpoints) == counters.ENDPOINTS.capacity - 1
    assert len(snapshot.refusals) == counters.REFUSALS.capacity - 1
    assert {row[IN_FLIGHT] for row in snapshot.requests.values()} == {1}
    assert snapshot.requests[(counters.OTHER,) * 5][IN_FLIGHT] == 1


EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5_000_000), st.integers(0, 6)), max_size=40)


@given(EVENTS, st.integers(0, 10**13))
def test_equals_a_plain_model(events: list[tuple[int, int, int]], start: int) -> None:
    buffer = memory()
    slot = Counters(buffer).request(*KEY)
    now = start
    running: list[int] = []
    outcomes: Counter[int] = Counter()
    finished = 0
    for kind, pause, outcome in events:
        now += pause
        if kind == 0 or not running:
            slot.started(now)
            running.append(now)
        else:
            began = running.pop(0 if kind == 1 else -1)
            slot.finished(began, now, outcome)
            finished += now - began
            outcomes[outcome] += 1
        row = totals.read(buffer, now).requests[KEY]
        assert row[IN_FLIGHT] == len(running)
        assert row[OPEN_US] == sum(now - began for began in running)
        assert row[FINISHED_US] == finished
        assert row[OUTCOMES] == [outcomes[number] for number in range(len(counters.OUTCOMES))]
        assert sum(row[BUCKETS]) == outcomes.total()


def summed(total: Totals, *living: mmap.mmap, now: int = 0) -> Sums:
    return total.sum([totals.read(buffer, now) for buffer in living])


def test_a_death_keeps_counts_and_drops_what_was_in_flight() -> None:
    total, first, second = Totals(), memory(), memory()
    total.follow(route_table("v1"))
    for buffer in (first, second):
        made = Counters(buffer)
        made.worker.accepted()
        slot = made.request(*KEY)
        slot.started(0)
        slot.started(0)
        slot.finished(0, 3_000, counters.DEADLINE)
        endpoint = made.endpoint(*KEY[:3], ADDRESS)
        endpoint.ejected()
        endpoint.connected()
    fresh = Totals()  # one that has summed before would hold the time up, whatever was folded
    fresh.follow(route_table("v1"))
    before = summed(fresh, first, second, now=10_000).present
    total.fold(totals.read(first, 10_000))
    after = summed(total, second, now=10_000).present
    assert (before.requests[KEY][IN_FLIGHT], after.requests[KEY][IN_FLIGHT]) == (2, 1)
    assert before.requests[KEY][OPEN_US:] == after.requests[KEY][OPEN_US:]
    endpoint_key = (*KEY[:3], "127.0.0.1:8501")
    assert before.endpoints[endpoint_key] == [0, 2, 0, 2, 2]
    assert after.endpoints[endpoint_key] == [0, 1, 0, 1, 2]
    assert after.worker == [1, 2, 0, 0]


def test_what_left_the_table_is_forgotten_but_for_what_is_in_flight() -> None:
    total, buffer = Totals(), memory()
    total.follow(route_table("v1", "v2"))
    made = Counters(buffer)
    leaving = ("vision", "digits", "v2", "tfserving-rest", "split")
    slot = made.request(*leaving)
    slot.started(0)
    slot.started(0)
    slot.finished(0, 1, counters.SUCCESS)
    total.fold(totals.read(buffer, 0))
    assert summed(total, buffer).present.requests[leaving][OUTCOMES][0] == 2
    total.follow(route_table("v1"))
    for _ in ("before the worker has the table", "after"):
        sums = summed(total, buffer)
        assert leaving not in sums.present.requests
        assert sums.leaving.requests[leaving][IN_FLIGHT] == 1
        made.retain(route_table("v1"), route_table("v1", "v2").deployments)
    total.follow(route_table("v1", "v2"))
    assert summed(total, buffer).present.requests[leaving][OUTCOMES][0] == 0


def test_an_endpoint_that_left_is_seen_until_its_last_connection_closes() -> None:
    total, buffer = Totals(), memory()
    made = Counters(buffer)
    slot = made.endpoint(*KEY[:3], ADDRESS)
    slot.connected()
    slot.sent()
    other = route_table("v1", endpoints=(Endpoint(host="127.0.0.1", rest=1, grpc=2),))
    total.follow(other)
    made.retain(other, route_table("v1").deployments)
    assert summed(total, buffer).leaving.endpoints == {(*KEY[:3], "127.0.0.1:8501"): [0, 0, 1, 1, 0]}
    slot.done()
    slot.disconnected()
    made.retain(other, route_table("v1").deployments)
    assert summed(total, buffer).leaving.endpoints == {}


def test_time_in_flight_does_not_fall_where_a_request_is_seen_twice() -> None:
    total, buffer = Totals(), memory()
    total.follow(route_table("v1"))
    slot = Counters(buffer).request(*KEY)
    slot.started(0)

    def time_in_flight(now: int) -> int:
        row = summed(total, buffer, now=now).present.requests[KEY]
        return row[OPEN_US] + row[FINISHED_US]

    assert time_in_flight(10_000) == 10_000
    slot.finished(0, 9_000, counters.SUCCESS)  # by a clock read before the sum was made
    assert time_in_flight(11_000) == 10_000
    slot.started(12_000)
    assert time_in_flight(14_000) == 11_000


def test_a_version_that_left_and_came_back_starts_its_time_anew() -> None:
    total, former, current = Totals(), memory(), memory()
    total.follow(route_table("v1"))
    Counters(former).request(*KEY).started(0)
    assert summed(total, former, now=10_000).present.requests[KEY][OPEN_US] == 10_000
    Counters(current).request(*KEY).started(9_000)
    total.follow(route_table("v1"))
    assert summed(total, current, now=10_000).present.requests[KEY][OPEN_US] == 1_000


def test_the_hot_path_allocates_nothing_that_stays() -> None:
    slot = Counters(memory()).request(*KEY)
    tracemalloc.start()
    for turn in range(2000):
        if turn == 1000:
            before = tracemalloc.get_traced_memory()[0]
        slot.started(turn)
        slot.finished(turn, turn + 5, counters.SUCCESS)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 1000


def test_the_states_of_versions_are_summed_over_protocols_and_workers() -> None:
    other = ("vision", "digits", "v1", "tfserving-grpc", "pin")
    buffers = [memory(), memory()]
    for buffer in buffers:
        worker = Counters(buffer)
        worker.request(*KEY).started(0)
        worker.request(*other).started(0)
        for outcome in range(len(counters.OUTCOMES)):
            worker.request(*other).started(0)
            worker.request(*other).finished(0, 1_000_000, outcome)
        worker.endpoint("vision", "digits", "v1", ADDRESS).sent()
        worker.endpoint("vision", "digits", "v2", ADDRESS)
        worker.endpoint("vision", "digits", "left", ADDRESS).sent()
    total = Totals()
    total.follow(route_table("v1", "v2"))
    assert totals.states(total.sum(totals.read(buffer, 500_000) for buffer in buffers)) == (
        VersionState(
            deployment="vision/digits",
            version="v1",
            seconds=2 * (0.5 + 0.5 + len(counters.OUTCOMES)),
            requests=2 * len(counters.OUTCOMES),
            failures=2 * 4,  # what is the client's own fault is no failure
            in_flight={"127.0.0.1:8501": 2},
        ),
        VersionState(deployment="vision/digits", version="left", in_flight={"127.0.0.1:8501": 2}),
    )


def test_memory_is_of_all_who_attach_to_it() -> None:
    descriptor = counters.allocate()
    try:
        writer, reader = counters.attach(descriptor), counters.attach(descriptor)
    finally:
        os.close(descriptor)
    assert len(reader) == counters.SIZE
    Counters(writer).refusal("tfserving-rest", "unknown_deployment").refused()
    assert totals.read(reader, 0).refusals == {("tfserving-rest", "unknown_deployment"): [1]}


def test_a_death_keeps_refusals_and_forgets_what_had_left_the_table() -> None:
    total, buffer = Totals(), memory()
    total.follow(route_table("v1"))
    made = Counters(buffer)
    made.refusal("tfserving-rest", "unknown_deployment").refused()
    left = ("vision", "digits", "v0", "tfserving-rest", "split")
    made.request(*left).started(0)
    made.endpoint("vision", "digits", "v0", ADDRESS).ejected()
    total.fold(totals.read(buffer, 0))
    present = summed(total, memory()).present
    assert present.refusals == {("tfserving-rest", "unknown_deployment"): [1]}
    assert summed(total, buffer).present.refusals == {("tfserving-rest", "unknown_deployment"): [2]}
    total.follow(route_table("v0", "v1"))
    assert (present.requests, present.endpoints) == ({}, {})
    assert summed(total).present.requests == summed(total).present.endpoints == {}


def test_a_dead_workers_ejections_go_with_the_endpoint() -> None:
    total, buffer = Totals(), memory()
    total.follow(route_table("v1"))
    Counters(buffer).endpoint(*KEY[:3], ADDRESS).ejected()
    total.fold(totals.read(buffer, 0))
    assert summed(total).present.endpoints == {(*KEY[:3], "127.0.0.1:8501"): [0, 0, 0, 0, 1]}
    total.follow(route_table("v1", endpoints=()))
    total.follow(route_table("v1"))
    assert summed(total).present.endpoints == {}
