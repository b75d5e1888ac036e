"""A target in little: replicas that come at once, gateways that count, and looks at a rollout, one a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deployer.document.model import ModelDeployment
from deployer.rollout import checkpoint as keeping
from deployer.rollout.analysis.reading import Count, Reading
from deployer.rollout.checkpoint import Checkpoint
from deployer.rollout.controller import Decision, decide
from deployer.rollout.events import Event
from deployer.rollout.observation import Observation
from deployer.rollout.route import route
from deployer.rollout.state import Action, Phase, Rollout
from gateway.contract import route_table
from tests.fakes.deployments import deployment

ROLLOUT: dict[str, Any] = {"steps": [5, 25], "interval": "10s", "deadline": "10m", "bake": "20s"}


def declared(*versions: str, stable: str = "v1", canary: str | None = "v2", **spec: Any) -> ModelDeployment:
    traffic = {"stable": stable, **({"canary": canary} if canary else {}), **spec.pop("traffic", {})}
    replicas = spec.pop("replicas", None)
    scaled = {"autoscaling": replicas} if replicas else {}
    made = [{"name": name, "image": f"team/{name}:1", **scaled} for name in versions or ("v1", "v2")]
    rollout = {"rollout": ROLLOUT, **spec}
    return deployment("oip", *made, traffic=traffic, **{k: v for k, v in rollout.items() if v is not None})


class RolloutHarness:
    """`rates`: for each version the part of its requests that is an error, of `traffic` requests a second."""

    def __init__(self, document: ModelDeployment, traffic: int = 1000) -> None:
        self.document = document
        self.traffic = traffic
        self.rates: dict[str, float] = {}
        self.ready: dict[str, int] | None = None
        self.now = 1_000_000.0
        self.route: route_table.Deployment | None = None
        self.stored: str | None = None
        self.floors: dict[str, int] = {}
        self.events: list[Event] = []
        self.source = "gateway"
        self.counts: dict[tuple[str, int], list[int]] = {}
        self.more: dict[str, Any] = {}
        """What is seen besides, or instead."""
        self.base: dict[str, int] = {}
        """Replicas that an autoscaler asks for."""
        self.action: tuple[str, Action] | None = None
        self.last: Decision | None = None

    @property
    def rollout(self) -> Rollout:
        assert self.stored is not None
        rollout = keeping.read(self.stored).rollout
        assert rollout is not None
        return rollout

    @property
    def known(self) -> Checkpoint:
        assert self.stored is not None
        return keeping.read(self.stored)

    @property
    def split(self) -> tuple[str, str | None, float]:
        assert self.route is not None
        return self.route.stable, self.route.canary, self.route.weight

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]

    def observation(self) -> Observation:
        desired = {
            version.name: max(version.replicas[0], self.base.get(version.name, 0), self.floors.get(version.name, 0))
            for version in self.document.spec.versions
        }
        epoch = self.route.epoch if self.route is not None else 0
        counts = tuple(Count(v, e, False, n, bad, 0, 0) for (v, e), (n, bad) in self.counts.items())
        observation = Observation(
            now=self.now,
            route=self.route,
            settled=True,
            ready=desired if self.ready is None else self.ready,
            desired=desired,
            readings=(Reading(self.source, epoch, counts),),
            asked=frozenset(desired),
            action=self.action,
        )
        return replace(observation, **self.more)

    def look(self, *, dies: bool = False) -> Decision:
        """A second of traffic, and a look at it. What is kept goes through its text, as it does between two looks.

        `dies`: the target does so once it has kept that, before anything else follows.
        """
        self._serve()
        self.now += 1
        observation = self.observation()
        made = decide(self.document, None if self.stored is None else keeping.read(self.stored), observation)
        self.stored = keeping.write(made.checkpoint)
        assert keeping.read(self.stored) == made.checkpoint
        self.events += made.events
        self.last = made
        if dies:
            return made
        ready = {name for name, count in observation.ready.items() if count}
        self.route = route(self.route, self.document, ready, made.roles)
        self.floors = dict(made.floors)
        return made

    def looks(self, number: int) -> None:
        for _ in range(number):
            self.look()

    def until(self, done: Callable[[], bool], looks: int = 3000) -> None:
        for _ in range(looks):
            self.look()
            if done():
                return
        raise AssertionError(f"not within {looks} looks: {self.rollout}")

    def until_phase(self, phase: Phase) -> None:
        self.until(lambda: self.known.rollout is not None and self.rollout.phase is phase)

    def until_weight(self, weight: float) -> None:
        """Until the weight is in force."""
        self.until(lambda: self.split[2] == weight and self.rollout.since is not None)

    def ask(self, action: Action) -> None:
        self.action = (f"{action}:{self.now}", action)

    def _serve(self) -> None:
        if self.route is None:
            return
        weight = self.route.weight / 100
        shares = {self.route.canary: weight, self.route.stable: 1 - weight}
        for version, share in shares.items():
            if version is not None:
                counts = self.counts.setdefault((version, self.route.epoch), [0, 0])
                counts[0] += round(self.traffic * share)
                counts[1] += round(self.traffic * share * self.rates.get(version, 0.0))


def begun(document: ModelDeployment | None = None) -> RolloutHarness:
    """At its first weight."""
    world = RolloutHarness(document or declared())
    world.until_weight(5)
    return world


def promoted() -> RolloutHarness:
    world = RolloutHarness(declared())
    world.until_phase(Phase.PROMOTED)
    return world


def changed(document: ModelDeployment, **traffic: str | None) -> ModelDeployment:
    """With another traffic."""
    after = document.spec.traffic.model_copy(update=traffic)
    return document.model_copy(update={"spec": document.spec.model_copy(update={"traffic": after})})
