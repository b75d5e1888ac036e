"""`make bench`: Turnout beside Envoy, with the same split, upstream and load, each proxy on one core.

The figure that counts is requests per second of CPU of all the proxy's processes: it doesn't reward the one that
is given more of the machine. Peers are measured in turn, so what disturbs the machine disturbs all of them. And each
is started anew for each turn: two Envoys that run side by side differ by up to a tenth for as long as they live, and
that chance belongs into the interval.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from loadtests import generators, machine, payloads, peers, report, tools
from loadtests.peers import Peer


class Plan(NamedTuple):
    """How long is measured: in each of `rounds` each peer under each protocol, `seconds` after `warm_up` seconds."""

    rounds: int
    seconds: int
    warm_up: int


FULL = Plan(rounds=10, seconds=5, warm_up=1)
QUICK = Plan(rounds=2, seconds=1, warm_up=1)
"""To see that everything works: its figures mean nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds: everything runs, no figure counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all the figures there")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else the peers would be left running
    try:
        tools.provide("go", "wrk")
        return bench(QUICK if chosen.quick else FULL, chosen.json)
    except (tools.ToolMissing, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def bench(plan: Plan, figures: Path | None) -> int:
    """Measures, prints, and returns the exit code: 1 where an answer was wrong, whatever the speed."""
    proxy, load = cores()
    facts = machine.facts()
    settings: dict[str, Any] = {**plan._asdict(), "proxy cores": proxy, "load and upstream cores": load}
    for name, value in {**facts, **settings}.items():
        print(f"{name}: {value}")
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as temporary:
        measured = measure_all(plan, proxy, load, Path(temporary))
    for protocol, runs in measured.items():
        print(f"\n{report.table(protocol, runs)}")
    if figures is not None:
        figures.write_text(json.dumps(report.document(facts, settings, measured), indent=1) + "\n")
    share = peers.WEIGHTS["v2"] / 100
    found = [fault for protocol, runs in measured.items() for fault in report.faults(protocol, runs, share)]
    for fault in found:
        print(f"bench: {fault}", file=sys.stderr)
    return 1 if found else 0


def cores() -> tuple[list[int], list[int]]:
    """The proxy's core, and those of the load and the upstream.

    Raises:
        RuntimeError: there is one core only.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise RuntimeError("two cores are needed: one for the proxy, one for the load and the upstream")
    return allowed[:1], allowed[1:]


def measure_all(plan: Plan, proxy: Sequence[int], load: Sequence[int], folder: Path) -> dict[str, report.Runs]:
    """By protocol."""
    payloads.write(folder)
    with peers.upstream(load, folder) as ports:
        starts: dict[str, Callable[[], AbstractContextManager[Peer]]] = {
            "direct": lambda: peers.direct(ports),
            "turnout": lambda: peers.turnout(ports, proxy, folder),
            "envoy": lambda: peers.envoy_proxy(ports, proxy, folder),
        }
        measured: dict[str, report.Runs] = {protocol: {name: [] for name in starts} for protocol in report.TITLES}
        for number in range(1, plan.rounds + 1):
            for name, start in starts.items():
                with start() as peer:
                    for protocol, runs in measured.items():
                        run = measure(protocol, peer, plan, load, folder)
                        runs[name].append(run)
                        print(f"round {number} of {plan.rounds}: {protocol} {name} {report.brief(run)}", flush=True)
    return measured


def measure(protocol: str, peer: Peer, plan: Plan, load: Sequence[int], folder: Path) -> report.Run:
    port = peer.ports[protocol]
    generators.run(protocol, port, folder, plan.warm_up, load)
    before = peer.cpu_seconds()
    saw = generators.run(protocol, port, folder, plan.seconds, load)
    return report.Run(saw, peer.cpu_seconds() - before)


if __name__ == "__main__":
    sys.exit(main())
