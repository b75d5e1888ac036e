from __future__ import annotations

from gateway.downstream.connections import SEARCHED, Clients
from gateway.refusal import Refusal
from gateway.stats import counters
from gateway.stats.counters import Counters


class Connection:
    """Its end is told in the loop's next turn, as that of a real one."""

    def __init__(self, idle_since: float | None) -> None:
        self.idle_since = idle_since
        self.closed = 0

    def sweep(self, now: float) -> None: ...

    def drain(self) -> None: ...

    def expel(self, refusal: Refusal) -> None: ...

    def close(self) -> None:
        self.closed += 1


def clients(*connections: Connection, most: int) -> Clients:
    found = Clients(Counters(bytearray(counters.SIZE)).worker, lambda: None, most)
    for connection in connections:
        found.add(connection)
    return found


def test_those_that_are_idle_for_longest_make_room_each_once() -> None:
    connections = [Connection(since) for since in (3.0, 1.0, None, 2.0)]
    open_connections = clients(*connections, most=2)
    while open_connections.too_many:
        assert open_connections.make_room()
    assert [connection.closed for connection in connections] == [0, 1, 0, 1]
    for connection in connections:
        open_connections.remove(connection)
    assert list(open_connections) == []


def test_what_is_busy_makes_no_room() -> None:
    busy = Connection(None)
    open_connections = clients(busy, Connection(None), most=1)
    assert open_connections.too_many
    assert not open_connections.make_room()
    assert busy.closed == 0


def test_one_that_is_idle_is_found_behind_any_number_that_are_busy() -> None:
    idle = Connection(1.0)
    open_connections = clients(*[Connection(None) for _ in range(2 * SEARCHED)], idle, most=1)
    assert [open_connections.make_room() for _ in range(4)] == [False, False, True, False]
    assert idle.closed == 1
