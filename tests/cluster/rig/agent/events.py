"""What happened to a pod, for those who describe it."""

from __future__ import annotations

import logging

from gateway.tasks import spawn
from tests.cluster.rig.agent.api import Api, Object, Refused, Unreachable, timestamp

log = logging.getLogger(__name__)


class Events:
    """Each event is an object of its own; one that repeats becomes its count."""

    def __init__(self, api: Api, pod: Object) -> None:
        self._api = api
        metadata = pod["metadata"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        self._name: str = metadata["name"]
        self._about = {"apiVersion": "v1", "kind": "Pod", "uid": metadata["uid"]}
        self._about |= {key: metadata[key] for key in ("namespace", "name")}
        self._source = {"component": "kubelet", "host": pod["spec"]["nodeName"]}
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, kind: str, reason: str, message: str) -> None:
        count = self._counts[reason, message] = self._counts.get((reason, message), 0) + 1
        if count & (count - 1):
            return  # ever more seldom
        spawn(self._send(kind, reason, message, count), f"event of {self._name}")

    async def _send(self, kind: str, reason: str, message: str, count: int) -> None:
        name = f"{self._name}.{self._about['uid'][:8]}.{list(self._counts).index((reason, message))}"
        now = timestamp()
        event = {"type": kind, "reason": reason, "message": message, "count": count, "lastTimestamp": now}
        event |= {"involvedObject": self._about, "source": self._source}
        try:
            if count == 1:
                await self._api.post(self._path, {"metadata": {"name": name}, "firstTimestamp": now, **event})
            else:
                await self._api.patch(f"{self._path}/{name}", event)
        except (Refused, Unreachable) as error:
            log.info("%s", error)
