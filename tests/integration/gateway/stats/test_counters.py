"""Counting in one process and reading in another."""

import os
import subprocess
import sys
import time
from collections import Counter

from gateway.stats import counters, totals
from gateway.stats.totals import IN_FLIGHT, OPEN_US

WRITER = """
import itertools, sys, time
from gateway.contract import route_table as table; from gateway.stats import counters
made = counters.Counters(counters.attach(int(sys.argv[1])))
empty = table.RouteTable(revision=0)
versions = (table.Version(name="v"),)
clock = lambda: time.monotonic_ns() // 1000
for turn in itertools.count():
    # Names of different lengths in slots used again and again: a torn label would be no JSON, or another's name.
    name = str(turn % 7) * (1 + turn % 7 * 10)
    slot = made.request(name, name, name, name, name)
    for _ in range(20):
        began = clock()
        slot.started(began)
        slot.finished(began, clock(), counters.SUCCESS)
    began = clock()
    slot.started(began)
    if turn % 2:
        made.retain(empty, [table.Deployment(namespace=name, name=name, runtime="oip", stable="v", versions=versions)])
    slot.finished(began, clock(), counters.SUCCESS)
"""


def test_another_process_reads_whole_labels_and_sane_values_while_one_writes() -> None:
    descriptor = counters.allocate()
    environment = {"PYTHONPATH": os.getcwd()}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(descriptor)], pass_fds=[descriptor], env=environment)
    buffer = counters.attach(descriptor)
    os.close(descriptor)
    names: Counter[str] = Counter()
    try:
        while names.total() < 3000 or len(names) < 7:
            assert writer.poll() is None
            snapshot = totals.read(buffer, time.monotonic_ns() // 1000)
            for key, row in snapshot.requests.items():
                digit = key[0][0]
                assert key == (digit * (1 + int(digit) * 10),) * 5
                assert row[IN_FLIGHT] in range(9)
                assert 0 <= row[OPEN_US] < 60_000_000
                names[digit] += 1
    finally:
        writer.kill()
        writer.wait()
