"""The rollouts of this machine: what is seen of each, what is decided, and what is kept of it.

Killed at any moment, the next supervisor goes on from the files: what is kept is written before anything follows from
it, and the rest is seen anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from deployer.local.desired import Desired
from deployer.local.gateway import Gateway
from deployer.local.gateway_client import Version
from deployer.local.plan import Phase
from deployer.local.replica import Replica
from deployer.local.sources import Sources
from deployer.local.state import State
from deployer.rollout import kept as keeping
from deployer.rollout.conduct import Conduct, Roles, conduct
from deployer.rollout.happenings import Happening
from deployer.rollout.kept import Kept
from deployer.rollout.sight import Sight
from deployer.rollout.state import OVER
from deployer.spec import ModelDeployment
from gateway import table
from gateway.table import RouteTable

EVERY = 1.0
"""Seconds between looks at a rollout where nothing but the time has changed."""


@dataclass(frozen=True)
class Keep:
    """Write what is kept of a deployment's rollouts; then tell what has happened."""

    deployment: str
    kept: Kept
    happenings: Sequence[Happening]


class Rollouts:
    """`say` gets a line for each thing that happens."""

    def __init__(self, state: State, gateway: Gateway, say: Callable[[str], None]) -> None:
        self._state = state
        self._gateway = gateway
        self._say = say
        self._sources = Sources(gateway)
        self._kept: dict[str, Kept] = {}
        self._seen: dict[str, tuple[ModelDeployment, Sight]] = {}
        self.conducts: dict[str, Conduct] = {}
        """What was decided last, for each deployment that has a document, by its key."""

    def look(self, desired: Desired, replicas: Iterable[Replica], given: RouteTable) -> None:
        """Look at every deployment, and decide anew where there is something new to see. `given`: what gateways were
        last given."""
        if self._kept.keys() != desired.documents.keys():
            self._follow(desired.documents)
        ready: dict[Version, list[Replica]] = {}
        for replica in replicas:
            if replica.phase is Phase.READY:
                ready.setdefault(replica.key, []).append(replica)
        routes = {deployment.key: deployment for deployment in given.deployments}
        settled = self._gateway.ready and self._gateway.revision >= given.revision
        for key, document in desired.documents.items():
            sight = self._sight(document, desired, ready, routes.get(key), settled)
            if self._is_new(key, document, sight):
                self._seen[key] = document, sight
                self.conducts[key] = conduct(document, self._kept[key], sight)

    def plan(self) -> list[Keep]:
        """What is to be kept before anything follows from it."""
        return [
            Keep(key, conduct.kept, conduct.happenings)
            for key, conduct in self.conducts.items()
            if conduct.kept != self._kept[key]
        ]

    def keep(self, action: Keep) -> None:
        """Raises OSError; then nothing was kept, and nothing may follow."""
        self._state.write_rollout(action.deployment, keeping.write(action.kept))
        self._kept[action.deployment] = action.kept
        for happening in action.happenings:
            self._say(f"{action.deployment}: {happening.message}")

    @property
    def roles(self) -> Mapping[str, Roles]:
        """Who gets the traffic, by deployment."""
        return {key: conduct.roles for key, conduct in self.conducts.items()}

    @property
    def floors(self) -> Mapping[Version, int]:
        """The least replicas that versions need for their rollouts."""
        return {
            (key, version): replicas
            for key, conduct in self.conducts.items()
            for version, replicas in conduct.floors.items()
        }

    def _follow(self, documents: Mapping[str, ModelDeployment]) -> None:
        """Forget deployments that are gone; of new ones take over what an earlier supervisor kept."""
        self._state.keep_rollouts(set(documents))
        for key in self._kept.keys() - documents.keys():
            self._sources.forget(key)
            self._seen.pop(key, None)
            self.conducts.pop(key, None)
        self._kept = {key: self._kept[key] if key in self._kept else self._read(key) for key in documents}

    def _read(self, key: str) -> Kept:
        text = self._state.rollout(key)
        return Kept() if text is None else keeping.read(text)

    def _sight(
        self,
        document: ModelDeployment,
        desired: Desired,
        ready: Mapping[Version, Sequence[Replica]],
        route: table.Deployment | None,
        settled: bool,
    ) -> Sight:
        key, kept = document.key, self._kept[document.key]
        replicas = {name: ready.get((key, name), ()) for name in document.by_name}
        order = self._state.order(key) if document.spec.rollout is not None or kept.rollout is not None else None
        sight = Sight(
            now=time.time(),
            route=route,
            settled=settled,
            ready={name: len(of_version) for name, of_version in replicas.items()},
            desired={name: desired.replicas((key, name)) for name in replicas},
            failures={name: desired.failures((key, name)) for name in replicas},
            order=None if order is None else (order.token, order.order),
        )
        if document.spec.rollout is not None and route is not None:
            first = {name: of_version[0] for name, of_version in replicas.items() if of_version}
            signatures, asked = self._sources.signatures(document, route.runtime, first)
            # Whose signature was not asked for is not ready for traffic.
            tested = {name: number if name in asked else 0 for name, number in sight.ready.items()}
            sight = replace(sight, ready=tested, signatures=signatures)
        if kept.rollout is not None and kept.rollout.phase not in OVER:
            readings, unread = self._sources.counts(key)
            return replace(sight, readings=readings, unread=unread)
        self._sources.forget(key)
        return sight

    def _is_new(self, key: str, document: ModelDeployment, sight: Sight) -> bool:
        before = self._seen.get(key)
        if before is None or before[0] is not document or replace(sight, now=before[1].now) != before[1]:
            return True
        rollout = self._kept[key].rollout
        return rollout is not None and rollout.phase not in OVER and abs(sight.now - before[1].now) >= EVERY
