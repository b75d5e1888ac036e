"""A world whose gateways count what the route in the status gives to each version: for tests of rollouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deployer.kubernetes.objects.kinds import Id, Object
from deployer.kubernetes.reconcile.actions import Action, Notify, Tell
from deployer.kubernetes.reconcile.observed import PollResult
from deployer.kubernetes.status.model import read
from deployer.rollout.analysis.reading import Count, Reading
from deployer.rollout.events import Event
from deployer.rollout.state import Phase
from deployer.rollout.status import RolloutStatus
from tests.fakes.cluster import FakeCluster

ROLLOUT: Object = {"steps": [5, 25], "interval": "10s", "deadline": "10m", "bake": "20s"}


class RollingCluster(FakeCluster):
    """`rates`: for each version the part of its requests that is an error, of 1,000 requests a second."""

    def __init__(self, found: Object) -> None:
        super().__init__(found)
        self.rates: dict[str, float] = {}
        self.source = "gateway"
        self.silent = False
        self.lag = 0
        """Epochs that the gateways are behind the route."""
        self.asked = frozenset({"v1", "v2", "v3"})
        self.more: dict[str, Any] = {}
        """What is heard besides."""
        self.events: list[Event] = []
        self.notices: list[Notify] = []
        self.status_writes = 0
        self._counts: dict[tuple[str, int], list[int]] = {}

    @property
    def rollout(self) -> RolloutStatus:
        assert self.status.rollout is not None
        return self.status.rollout

    @property
    def split(self) -> tuple[str, str | None, float]:
        assert self.status.route is not None
        return self.status.route.stable, self.status.route.canary, self.status.route.weight

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]

    def look(self, cut: int | None = None, seconds: float = 2.0) -> None:
        """Some seconds of traffic, and a look, whose actions are cut off after `cut` of them."""
        self.now += seconds
        self.serve(seconds)
        for action in self.plan()[:cut]:
            self.do(action)

    def serve(self, seconds: float) -> None:
        """What gateways count meanwhile, and what is heard of it."""
        route = read(self.resource.get("status", {})).route
        if route is None or self.silent:
            self.observation = PollResult(unread=("the gateways",), asked=self.asked)
            return
        shares = {route.canary: route.weight / 100, route.stable: 1 - route.weight / 100}
        for version, share in shares.items():
            if version is not None:
                row = self._counts.setdefault((version, route.epoch), [0, 0])
                requests = round(1000 * seconds * share)
                row[0] += requests
                row[1] += round(requests * self.rates.get(version, 0.0))
        counts = tuple(Count(v, e, False, n, bad, 0, 0) for (v, e), (n, bad) in self._counts.items())
        readings = (Reading(self.source, route.epoch, counts),)
        self.observation = PollResult(readings, in_force=route.epoch - self.lag, asked=self.asked, **self.more)

    def restart(self) -> None:
        """The gateway starts again, with nothing counted."""
        self.source += "'"
        self._counts.clear()

    def do(self, action: Action) -> None:
        if isinstance(action, Tell):
            self.events.append(action.event)
        elif isinstance(action, Notify):
            self.notices.append(action)
        else:
            self.status_writes += type(action).__name__ == "Say"
            super().do(action)

    def until(self, done: Callable[[], bool], looks: int = 3000) -> None:
        for _ in range(looks):
            if done():
                return
            self.look()
        raise AssertionError(f"not within {looks} looks: {self.status.rollout}")

    def until_phase(self, phase: Phase) -> None:
        self.until(lambda: self.status.rollout is not None and self.rollout.phase is phase)

    def until_weight(self, weight: float) -> None:
        """Until the weight is in force."""
        self.until(lambda: self.split[2] == weight and self.rollout.since is not None)

    def annotate(self, action: str) -> None:
        metadata = self.resource["metadata"]
        self.resource = {**self.resource, "metadata": {**metadata, "annotations": {"turnout.dev/action": action}}}

    def replicas_of(self, version: str, kind: str = "Deployment") -> int:
        """The least replicas that it has, or is given by its autoscaler."""
        spec = self.live[Id(kind, f"digits-{version}")]["spec"]
        replicas: int = spec["replicas" if kind == "Deployment" else "minReplicas"]
        return replicas
