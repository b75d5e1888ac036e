"""What the operator writes, and when it writes it again."""

from __future__ import annotations

from typing import Any, cast

import pytest

from deployer.kubernetes import target
from deployer.kubernetes.api.queue import Queue
from deployer.kubernetes.metrics import Metrics
from deployer.kubernetes.objects.kinds import Key, Kind, Object
from deployer.kubernetes.reconcile.observed import PollResult
from tests.fakes.cluster import resource

KEY = Key("default", "digits")


class Cluster:
    """One ModelDeployment, whose definition lacks `status.conditions`: store, client, Lease and poller in one."""

    synced = True

    def __init__(self, queue: Queue) -> None:
        # A spec that can't be carried out: the status is all that is written.
        self.found = resource(stable="v9")
        self.writes = 0
        self._queue = queue

    def held(self) -> bool:
        return True

    def latest(self, key: Key) -> PollResult:
        return PollResult()

    def look_again(self) -> None:
        self._queue.add(KEY, urgent=False)

    def resource(self, key: Key) -> Object:
        return self.found

    def nothing(self, *asked: Any) -> tuple[()]:
        return ()

    made = slices = pods = nothing

    def none(self, *asked: Any) -> None:
        return None

    has_seldon = has_keda = elder = create = none

    def replace(self, kind: Kind, written: Object, subresource: str) -> Object:
        self.writes += 1
        status = {name: value for name, value in written["status"].items() if name != "conditions"}
        return {**self.found, "status": status}

    def put(self, answer: Object) -> None:
        self.found = answer


def test_a_field_that_the_definition_lacks_is_written_once_and_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "IDLE", 0.0)
    queue = Queue()
    cluster = Cluster(queue)
    api = cast(Any, cluster)

    def rounds(of: target.KubernetesTarget) -> int:
        """How often the status is written in some rounds."""
        before = cluster.writes
        for _ in range(10):
            for action in of.plan(of.observe()):
                of.apply(action)
        return cluster.writes - before

    def made() -> target.KubernetesTarget:
        return target.KubernetesTarget(api, api, queue, api, api, api, None, Metrics())

    queue.add(KEY, urgent=True)
    operator = made()
    assert rounds(operator) == 1
    assert "conditions" not in cluster.found["status"]
    queue.add(KEY, urgent=True)
    assert rounds(operator) == 0
    cluster.found["metadata"]["generation"] += 1
    queue.add(KEY, urgent=True)
    assert rounds(operator) == 1, "what is new is written"
    monkeypatch.setattr(target, "RESYNC", -1.0)
    assert rounds(made()) == 10, "each time that all is looked at again"
