"""The one loop of the deployer: see what is, decide what is missing, do it, and again.

It keeps nothing between rounds that could not be seen anew, so it may be killed at any point. Where things run is a
Target's affair: this machine's processes, or a cluster's objects.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, TypeVar

Observed = TypeVar("Observed")
Action = TypeVar("Action")


class Target(Protocol[Observed, Action]):
    """A place to run deployments."""

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do, ever."""
        ...

    def observe(self) -> Observed:
        """What should be and what is, read anew."""
        ...

    def plan(self, observed: Observed) -> Sequence[Action]:
        """What is missing, by what was observed alone; nothing once all is as it should be."""
        ...

    def apply(self, action: Action) -> None:
        """Do one thing. What fails is noted by the target and shows in what it observes next."""
        ...

    def troubled(self, error: OSError) -> None:
        """A round ended early, by what may pass: a full disk, too many open files."""
        ...


def run(target: Target[Observed, Action], interval: float) -> None:
    """Round after round, `interval` seconds apart, until the target is done."""
    while not target.done:
        try:
            for action in target.plan(target.observe()):
                target.apply(action)
        except OSError as error:
            target.troubled(error)
        time.sleep(interval)
