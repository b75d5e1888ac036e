"""A cluster as the plan sees it, for tests: what is applied is there at once, and pods are ready as the test says."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from deployer.kubernetes.manifests import Options
from deployer.kubernetes.objects.kinds import Id, Key, Object, identity
from deployer.kubernetes.reconcile.actions import Action, Apply, Delete, Say
from deployer.kubernetes.reconcile.compare import Answer
from deployer.kubernetes.reconcile.observed import Observed, PollResult, Refusal
from deployer.kubernetes.reconcile.plan import plan
from deployer.kubernetes.status.model import DeploymentStatus

UID = "uid-1"
NOW = 1767323045.0
"""2026-01-02T03:04:05Z"""


def resource(
    versions: Sequence[str] = ("v1", "v2"),
    stable: str = "v1",
    canary: str | None = "v2",
    weight: float = 10,
    rollout: Object | None = None,
    **more: Any,
) -> Object:
    """digits; `v1={…}` gives a version more fields."""
    traffic = {"stable": stable, "canary": canary, "weight": weight}
    if rollout is not None:
        del traffic["weight"]
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits", "namespace": "default", "uid": UID, "generation": 1, "resourceVersion": "1"},
        "spec": {
            "runtime": "tfserving",
            "versions": [{"name": v, "model": f"/models/digits/{v[1:]}", **more.get(v, {})} for v in versions],
            "traffic": traffic if canary else {"stable": stable},
            **({"rollout": rollout} if rollout is not None else {}),
        },
    }


class FakeCluster:
    """`ready` has the versions whose pods answer, `replicas` of each, `live` all objects by kind and name."""

    def __init__(self, found: Object) -> None:
        self.resource = found
        self.live: dict[Id, Object] = {}
        self.ready: set[str] = set()
        self.replicas = 2
        self.pods: list[Object] = []
        self.elder: Key | None = None
        self.options = Options()
        self.refusals: dict[Id, Refusal] = {}
        self.answers: Mapping[Id, Answer] = {}
        self.observation = PollResult()
        self.now = NOW
        self._generations = itertools.count(2)

    def declare(self, found: Object) -> None:
        """Another spec, as `kubectl apply` brings it."""
        metadata = {**self.resource["metadata"], "generation": next(self._generations)}
        self.resource = {**self.resource, "spec": found["spec"], "metadata": metadata}

    @property
    def status(self) -> DeploymentStatus:
        return DeploymentStatus.model_validate(self.resource["status"])

    def observe(self) -> Observed:
        return Observed(
            resource=self.resource,
            live=list(self.live.values()),
            slices=[self._slice(version) for version in sorted(self.ready)],
            pods=self.pods,
            options=self.options,
            elder=self.elder,
            refusals=self.refusals,
            answers=self.answers,
            polled=self.observation,
            now=self.now,
        )

    def plan(self) -> list[Action]:
        return plan(self.observe())

    def settle(self) -> None:
        """Do what is planned until nothing is."""
        for _ in range(20):
            if not (actions := self.plan()):
                return
            for action in actions:
                self.do(action)
        raise AssertionError(f"no end: {actions}")

    def do(self, action: Action) -> None:
        match action:
            case Apply(desired):
                key = identity(desired)
                live = copy.deepcopy(desired)
                live["metadata"] |= {"uid": str(key), "generation": 1, "resourceVersion": "1"}
                if key.kind == "Deployment":
                    replicas = live["spec"].setdefault("replicas", self.live.get(key, live)["spec"].get("replicas", 1))
                    live["status"] = {
                        "observedGeneration": 1,
                        "replicas": replicas,
                        "updatedReplicas": replicas,
                        "availableReplicas": replicas,
                    }
                self.live[key] = live
            case Say(status):
                self.resource = {**self.resource, "status": status.model_dump(mode="json", exclude_none=True)}
            case Delete(live):
                del self.live[identity(live)]

    def names(self, kind: str) -> set[str]:
        return {key.name for key in self.live if key.kind == kind}

    def _slice(self, version: str) -> Object:
        labels = {"kubernetes.io/service-name": f"digits-{version}", "turnout.dev/version": version}
        endpoints = [
            {"addresses": [f"10.0.{number}.{version[1:]}"], "conditions": {"ready": True}}
            for number in range(self.replicas)
        ]
        return {"kind": "EndpointSlice", "metadata": {"labels": labels}, "endpoints": endpoints}
