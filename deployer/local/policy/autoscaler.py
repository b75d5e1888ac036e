"""How many replicas a version should have, from the requests in flight to it. Pure: the clock is passed in.

The parameters are those of Cortex, which scales model servers by the same measure: desired replicas are the average
number of requests in flight over a window, divided by how many one replica should have. No data changes nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

_SILENCE = 10.0
"""Seconds. Decisions come closer together, unless nobody asks for them: at rest."""


@dataclass(frozen=True)
class Policy:
    """Times in seconds."""

    window: float = 60.0
    """Over which requests in flight are averaged: shorter ones scale on bursts."""
    up_after: float = 60.0
    """The fewest replicas wanted in this time are started, so that a burst starts none."""
    down_after: float = 300.0
    """The most replicas wanted in this time are kept: starting a replica again costs more than keeping one."""
    up_factor: float = 1.5
    down_factor: float = 0.75
    """At most so many times the replicas at once."""
    tolerance: float = 0.05
    """A load so close to what the replicas should have changes nothing."""


class Autoscaler:
    """Decides for one version, from samples of a counter: the sum over its requests of the seconds in flight."""

    def __init__(self, replicas: int, policy: Policy | None = None) -> None:
        self.replicas = replicas
        self._policy = policy or Policy()
        self._samples: deque[tuple[float, float]] = deque()
        self._wanted: deque[tuple[float, int]] = deque()

    def sample(self, now: float, in_flight_seconds: float | None) -> None:
        """Take the counter's value at `now`, or None where it could not be read."""
        if in_flight_seconds is None:
            return
        if self._samples and in_flight_seconds < self._samples[-1][1]:  # the gateway started anew
            self._samples.clear()
        self._samples.append((now, in_flight_seconds))
        while len(self._samples) > 2 and self._samples[1][0] <= now - self._policy.window:
            self._samples.popleft()

    def decide(self, now: float, target: float, least: int, most: int) -> int:
        """The replicas to have now, between `least` and `most`; `target` is a replica's requests in flight."""
        self.replicas = max(least, min(most, self.replicas))
        if (average := self._average(now)) is None:
            return self.replicas
        if not self._wanted or self._wanted[-1][0] < now - max(self._policy.up_after, _SILENCE):
            # From here on, or after a silence: what runs was wanted until now, so neither stabilisation is over yet.
            self._wanted.append((now, self.replicas))
        wanted = max(least, min(most, self._step(average / target)))
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - max(self._policy.up_after, self._policy.down_after):
            self._wanted.popleft()
        if wanted > self.replicas:
            self.replicas = max(self.replicas, min(self._since(now - self._policy.up_after)))
        elif wanted < self.replicas:
            self.replicas = min(self.replicas, max(self._since(now - self._policy.down_after)))
        return self.replicas

    def _average(self, now: float) -> float | None:
        """Requests in flight over the window; None until the samples span most of it, and once they are old."""
        if not self._samples:
            return None
        (first, low), (last, high) = self._samples[0], self._samples[-1]
        if last - first < 0.9 * self._policy.window or now - last > self._policy.window:
            return None
        return (high - low) / (last - first)

    def _step(self, load: float) -> int:
        """The replicas that `load` (in replicas' worth) asks for, at most a step away."""
        if abs(load - self.replicas) <= self._policy.tolerance * self.replicas:
            return self.replicas
        if load > self.replicas:
            return min(math.ceil(load), math.ceil(self.replicas * self._policy.up_factor))
        return max(math.ceil(load), math.floor(self.replicas * self._policy.down_factor))

    def _since(self, start: float) -> list[int]:
        return [wanted for at, wanted in self._wanted if at >= start]
