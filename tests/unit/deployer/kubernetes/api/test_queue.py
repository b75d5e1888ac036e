from __future__ import annotations

import threading

from deployer.kubernetes.api.queue import Queue
from deployer.kubernetes.objects.kinds import Key

A, B, C = Key("default", "a"), Key("default", "b"), Key("default", "c")


def test_each_stands_once_and_the_urgent_come_first() -> None:
    queue = Queue()
    for key, urgent in ((A, False), (B, False), (A, False), (C, True), (B, True), (C, False)):
        queue.add(key, urgent=urgent)
    assert len(queue) == 3
    assert [queue.take(0) for _ in range(4)] == [C, B, A, None]


def test_later_is_later() -> None:
    queue = Queue()
    queue.add_later(A, 0.05)
    assert queue.take(0) is None
    assert queue.take(10) == A


def test_later_is_once_and_as_early_as_was_asked() -> None:
    queue = Queue()
    for delay in (30, 0.05, 20):
        queue.add_later(A, delay)
    assert queue.take(10) == A
    queue.add_later(A, 0)
    assert [queue.take(0), queue.take(0)] == [A, None]


def test_who_waits_is_woken() -> None:
    queue = Queue()
    taken: list[Key | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take(30)))
    waiting.start()
    queue.add(A, urgent=True)
    waiting.join(10)
    assert taken == [A]
