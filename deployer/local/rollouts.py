"""The rollouts of this machine: what is seen of each, what is decided, and what is kept of it.

Killed at any moment, the next supervisor goes on from the files: what is kept is written before anything follows from
it, and the rest is seen anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from deployer.document.model import ModelDeployment
from deployer.local.admin_client import Version
from deployer.local.desired import Desired
from deployer.local.gateway_process import Gateway
from deployer.local.policy.plan import Phase
from deployer.local.poller import Poller
from deployer.local.replicas import Replica
from deployer.local.state_folder import StateFolder
from deployer.rollout import checkpoint as keeping
from deployer.rollout.checkpoint import Checkpoint
from deployer.rollout.controller import Decision, Split, decide
from deployer.rollout.notify.cloudevent import cloud_event
from deployer.rollout.notify.webhook import Webhooks
from deployer.rollout.observation import Observation
from deployer.rollout.state import AWAITING, COMPARED, Rollout, is_under_way
from deployer.rollout.state import Phase as RolloutPhase
from gateway.contract import route_table
from gateway.contract.route_table import RouteTable

EVERY = 1.0
"""Seconds between looks at a rollout where nothing but the time has changed."""


@dataclass(frozen=True)
class Keep:
    """Write what is kept of a deployment's rollouts; then tell what has happened."""

    deployment: str
    decision: Decision


class Rollouts:
    """`say` gets a line for each thing that happens."""

    def __init__(self, state: StateFolder, gateway: Gateway, say: Callable[[str], None]) -> None:
        self._state = state
        self._gateway = gateway
        self._say = say
        self._sources = Poller(gateway)
        self._notices = Webhooks()
        self._checkpoints: dict[str, Checkpoint] = {}
        self._seen: dict[str, tuple[ModelDeployment, Checkpoint, Observation]] = {}
        self.decisions: dict[str, Decision] = {}
        """Last, for each deployment that has a document, by its key."""

    def look(self, desired: Desired, replicas: Collection[Replica], table: RouteTable) -> None:
        """Look at every deployment, and decide anew where there is something new to see. `table`: what gateways were
        last given."""
        routes = {deployment.key: deployment for deployment in table.deployments}
        if self._checkpoints.keys() != desired.documents.keys():
            self._follow(desired.documents, {replica.key for replica in replicas}, routes)
        ready: dict[Version, list[Replica]] = {}
        for replica in replicas:
            if replica.phase is Phase.READY:
                ready.setdefault(replica.key, []).append(replica)
        settled = self._gateway.ready and self._gateway.revision >= table.revision
        for key, document in desired.documents.items():
            checkpoint = self._checkpoints[key]
            in_force = settled and key not in self._gateway.refused
            observation = self._observation(document, desired, ready, routes.get(key), in_force)
            if self._is_new(document, checkpoint, observation):
                self._seen[key] = document, checkpoint, observation
                self.decisions[key] = decide(document, checkpoint, observation)

    def plan(self) -> list[Keep]:
        """What is to be kept before anything follows from it."""
        return [
            Keep(key, decision)
            for key, decision in self.decisions.items()
            if decision.checkpoint != self._checkpoints[key]
        ]

    def keep(self, action: Keep) -> None:
        """Raises OSError; then nothing was kept, and nothing may follow."""
        checkpoint = action.decision.checkpoint
        self._state.write_rollout(action.deployment, keeping.write(checkpoint))
        self._checkpoints[action.deployment] = checkpoint
        document, now = self._seen[action.deployment][0], time.time()
        for event in action.decision.events:
            self._say(f"{action.deployment}: {event.message}")
            if document.spec.rollout is not None and document.spec.rollout.notify is not None:
                notice = cloud_event(action.deployment, checkpoint.rollout, event, now)
                self._notices.send(document.spec.rollout.notify, notice)

    @property
    def roles(self) -> Mapping[str, Split]:
        """Who gets the traffic, by deployment."""
        return {key: decision.roles for key, decision in self.decisions.items()}

    @property
    def floors(self) -> Mapping[Version, int]:
        """The least replicas that versions need for their rollouts."""
        return {
            (key, version): replicas
            for key, decision in self.decisions.items()
            for version, replicas in decision.floors.items()
        }

    def finish(self) -> None:
        """Send what is still to be sent, and close all connections."""
        self._notices.close()
        self._sources.close()

    def _follow(
        self,
        documents: Mapping[str, ModelDeployment],
        running: Collection[Version],
        routes: Mapping[str, route_table.Deployment],
    ) -> None:
        """Forget deployments that are gone; of new ones take over what an earlier supervisor kept."""
        self._state.keep_rollouts(set(documents))
        for key in self._checkpoints.keys() - documents.keys():
            self._sources.forget(key)
            self._seen.pop(key, None)
            self.decisions.pop(key, None)
        self._checkpoints = {
            key: self._checkpoints[key] if key in self._checkpoints else self._read(key, running, routes.get(key))
            for key in documents
        }

    def _read(self, key: str, running: Collection[Version], route: route_table.Deployment | None) -> Checkpoint:
        text = self._state.rollout(key)
        checkpoint = Checkpoint() if text is None else keeping.read(text)
        rollout = checkpoint.rollout
        if rollout is None or rollout.phase not in _AGAIN or (key, rollout.trial.canary) in running:
            return checkpoint
        # All was ended meanwhile. That the canary is down until it is started again is not its fault.
        self._say(f"{key}: the rollout of {rollout.trial.canary} goes on where it was, once that is ready again")
        now = time.time()
        clock = checkpoint.clock.advanced(now)
        return replace(checkpoint, clock=clock, entered=now, rollout=_warming_again(rollout, route, clock.now))

    def _observation(
        self,
        document: ModelDeployment,
        desired: Desired,
        ready: Mapping[Version, Sequence[Replica]],
        route: route_table.Deployment | None,
        settled: bool,
    ) -> Observation:
        key, checkpoint = document.key, self._checkpoints[document.key]
        replicas = {name: ready.get((key, name), ()) for name in document.by_name}
        has_rollout = document.spec.rollout is not None or checkpoint.rollout is not None
        requested = self._state.action(key) if has_rollout else None
        observation = Observation(
            now=time.time(),
            route=route,
            settled=settled,
            ready={name: len(of_version) for name, of_version in replicas.items()},
            desired={name: desired.replicas((key, name)) for name in replicas},
            failures={name: desired.failures((key, name)) for name in replicas},
            action=None if requested is None else (requested.token, requested.action),
        )
        rollout = checkpoint.rollout
        if not is_under_way(rollout):
            self._sources.forget(key)
            return observation
        if rollout.phase in COMPARED and route is not None:
            first = {name: of_version[0] for name, of_version in replicas.items() if of_version}
            signatures, asked = self._sources.signatures(document, route.runtime, first)
            observation = replace(observation, signatures=signatures, asked=frozenset(asked))
        readings, unread = self._sources.counts(document, rollout)
        metrics = self._sources.metrics(document, rollout)
        return replace(observation, readings=readings, unread=unread, metrics=metrics)

    def _is_new(self, document: ModelDeployment, checkpoint: Checkpoint, observation: Observation) -> bool:
        """Whether it is something else than at the last look, or a rollout whose time goes on."""
        last = self._seen.get(document.key)
        if (
            last is None
            or last[0] is not document
            or last[1] != checkpoint
            or replace(observation, now=last[2].now) != last[2]
        ):
            return True
        return is_under_way(checkpoint.rollout) and abs(observation.now - last[2].now) >= EVERY


_AGAIN = {
    RolloutPhase.WARMING: RolloutPhase.WARMING,
    RolloutPhase.STEP: RolloutPhase.WARMING,
    RolloutPhase.PROMOTING: RolloutPhase.PROMOTING,
    RolloutPhase.BAKING: RolloutPhase.PROMOTING,
}
"""For each phase with a canary the one that it begins again with, after all was ended."""


def _warming_again(rollout: Rollout, route: route_table.Deployment | None, now: float) -> Rollout:
    """At its step, and with its evidence; but without traffic until the canary is ready."""
    held = rollout.until is None and rollout.paused != AWAITING
    # Not what was wanted last: killed before that was written, it is a weight that nobody has moved.
    before = route.weight if route is not None and route.canary == rollout.trial.canary else 0.0
    return replace(
        rollout,
        phase=_AGAIN[rollout.phase],
        entered=now,
        since=None,
        weight=0.0,
        before=before,
        requests=0,
        paused=rollout.paused if held else None,
        until=None,
    )
