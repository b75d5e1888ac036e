"""`make attack`: attacks on a gateway, one after the other, with an honest client beside each.

What is to hold of each: none of the honest client's requests fails, its p99 stays below 3 times what it was, and the
gateway's memory comes back to what it was.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.contract.route_table import Endpoint
from loadtests.attack import measurement
from loadtests.attack.attacks.registry import ATTACKS, Attack
from loadtests.attack.measurement import Measurement, Record, Span
from loadtests.attack.stage import Monitor, model_servers, stage
from loadtests.processes import YIELDING, running

BEFORE_SECONDS = 10.0
AFTER_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.attack", description=__doc__)
    parser.add_argument("names", nargs="*", help="of attacks; all where nothing is said")
    parser.add_argument("--list", action="store_true", help="say which there are")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - ATTACKS.keys():
        parser.error(f"no attack {', '.join(sorted(unknown))}; there are {', '.join(ATTACKS)}")
    if chosen.list:
        print("\n".join(f"{name}: {attack.title}" for name, attack in ATTACKS.items()))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else processes would be left running
    found = []
    with tempfile.TemporaryDirectory(prefix="turnout-attack-") as temporary:
        folder = Path(temporary)
        with model_servers(folder) as servers:
            for name in chosen.names or ATTACKS:
                found.append(measure(ATTACKS[name], folder / name, servers))
                print(f"{name}: {' | '.join(measurement.row(found[-1])[2:])}", file=sys.stderr, flush=True)
    print(measurement.table(found))
    return 0


def measure(attack: Attack, folder: Path, servers: Mapping[str, Endpoint]) -> Measurement:
    records = folder / "honest.json"
    with stage(folder, servers, attack.descriptors, attack.options) as gateway:
        monitor = Monitor(gateway)
        monitor.start()
        command = [sys.executable, "-m", "loadtests.attack.honest_client", str(gateway.port), "honest", str(records)]
        with running("honest-client", command, sorted(os.sched_getaffinity(0)), folder):
            time.sleep(1)  # its start, and first connections
            times = [time.monotonic()]
            time.sleep(BEFORE_SECONDS)
            times.append(time.monotonic())
            with ThreadPoolExecutor(1, initializer=os.nice, initargs=(YIELDING,)) as attacker:  # of that thread alone
                ending = attacker.submit(attack.run, gateway).result()
            times.append(time.monotonic())
            time.sleep(AFTER_SECONDS)
            times.append(time.monotonic())
        monitor.stop()
    spans = Span(*times[0:2]), Span(*times[1:3]), Span(*times[2:4])
    return measurement.measure(
        attack.title,
        attack.earlier,
        spans,
        [Record(*each) for each in json.loads(records.read_text())],
        monitor.samples,
        ending,
    )


if __name__ == "__main__":
    sys.exit(main())
