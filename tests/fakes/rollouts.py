"""Many simulated rollouts, over all cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from random import Random

from deployer.rollout.analysis.products import Objective
from deployer.rollout.simulation.arrivals import Traffic, requests
from deployer.rollout.simulation.simulator import Run, Source, play
from deployer.rollout.strategy import Plan

ERRORS = Objective("errors", margin=2.0)
_CHUNK = 250
"""Rollouts that a process plays at a time."""


@contextmanager
def players() -> Iterator[Executor]:
    """A process for each core."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield pool


def played(pool: Executor, plan: Plan, traffic: Traffic, runs: int, source: Source = requests) -> list[Run]:
    """One rollout for each seed below `runs`."""
    begins = range(0, runs, _CHUNK)
    futures = [pool.submit(_chunk, plan, traffic, source, range(at, min(runs, at + _CHUNK))) for at in begins]
    return [run for future in futures for run in future.result()]


def _chunk(plan: Plan, traffic: Traffic, source: Source, seeds: range) -> list[Run]:
    return [play(plan, traffic, Random(seed).random, source) for seed in seeds]
