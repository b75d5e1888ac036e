"""All that the operator knows of the cluster, by ModelDeployment: one cache for each kind."""

from __future__ import annotations

import time
from collections.abc import Iterator

from deployer.kubernetes.api.cache import Cache
from deployer.kubernetes.api.client import Client
from deployer.kubernetes.api.queue import Queue
from deployer.kubernetes.objects.kinds import (
    ENDPOINT_SLICE,
    MADE,
    MODEL_DEPLOYMENT,
    POD,
    SCALED_OBJECT,
    SELDON_DEPLOYMENT,
    Key,
    Kind,
    Object,
)
from deployer.kubernetes.objects.names import DEPLOYMENT_LABEL


class Store:
    """Puts into `queue` each ModelDeployment that something has changed about."""

    def __init__(self, client: Client, namespace: str | None, queue: Queue) -> None:
        self._queue = queue
        self._namesakes: dict[str, frozenset[Key]] = {}

        def cache(kind: Kind) -> Cache:
            urgent = kind is ENDPOINT_SLICE  # a version's share follows it
            return Cache(
                client,
                kind,
                namespace,
                DEPLOYMENT_LABEL,
                _owner,
                lambda key: queue.add(key, urgent=urgent and self.synced),
                self.look_again,
            )

        self._resources = Cache(client, MODEL_DEPLOYMENT, namespace, "", _own, self._resource_changed)
        self._made = {kind.kind: cache(kind) for kind in MADE}
        self._slices = cache(ENDPOINT_SLICE)
        self._pods = cache(POD)

    def start(self) -> None:
        for cache in self._caches():
            cache.start()

    def stop(self) -> None:
        """As Cache.stop."""
        for cache in self._caches():
            cache.stop()

    @property
    def synced(self) -> bool:
        """Whether all that was there at the start has been read."""
        return all(cache.synced.is_set() for cache in self._caches())

    def look_again(self) -> None:
        """Put all ModelDeployments into the queue."""
        for key in self._resources.deployments():
            self._queue.add(key, urgent=False)

    def resource(self, key: Key) -> Object | None:
        """The ModelDeployment; None once it is gone."""
        return next(iter(self._resources.of(key)), None)

    def resources(self) -> Iterator[Object]:
        """All ModelDeployments."""
        for key in self._resources.deployments():
            yield from self._resources.of(key)

    def made(self, key: Key) -> list[Object]:
        """The objects that bear our labels."""
        return [resource for cache in self._made.values() for resource in cache.of(key)]

    def slices(self, key: Key) -> list[Object]:
        """The EndpointSlices of its Services."""
        return self._slices.of(key)

    def pods(self, key: Key) -> list[Object]:
        """Its versions' pods."""
        return self._pods.of(key)

    def elder(self, key: Key) -> Key | None:
        """The ModelDeployment that has the same bare name, and is older than all others with it; None if it's this."""
        found = [(there["metadata"]["creationTimestamp"], other) for other, there in self._with_name(key.name)]
        eldest = min(found, default=(None, key))[1]
        return None if eldest == key else eldest

    def has_keda(self) -> bool:
        return self._made[SCALED_OBJECT.kind].present

    def has_seldon(self) -> bool:
        return self._made[SELDON_DEPLOYMENT.kind].present

    def put(self, answer: Object) -> None:
        """What the API server answered to a write of ours."""
        cache = self._resources if answer["kind"] == MODEL_DEPLOYMENT.kind else self._made[answer["kind"]]
        cache.put(answer)

    def silences(self) -> dict[str, float]:
        """Seconds since each kind's watch last told anything."""
        now = time.monotonic()
        return {cache.kind.kind: now - cache.heard_at for cache in self._caches()}

    def _caches(self) -> list[Cache]:
        return [self._resources, *self._made.values(), self._slices, self._pods]

    def _with_name(self, name: str) -> Iterator[tuple[Key, Object]]:
        for key in self._namesakes.get(name, ()):
            if (resource := self.resource(key)) is not None:
                yield key, resource

    def _resource_changed(self, key: Key) -> None:
        known = self._namesakes.get(key.name, frozenset())
        now = known | {key} if self.resource(key) is not None else known - {key}
        if now != known:
            self._namesakes[key.name] = now
            for other in known - {key}:
                self._queue.add(other, urgent=False)
        self._queue.add(key, urgent=self.synced)


def _own(resource: Object) -> Key:
    metadata = resource["metadata"]
    return Key(metadata["namespace"], metadata["name"])


def _owner(resource: Object) -> Key | None:
    metadata = resource["metadata"]
    name = metadata.get("labels", {}).get(DEPLOYMENT_LABEL)
    return Key(metadata["namespace"], name) if name else None
