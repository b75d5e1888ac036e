"""What the operator's caches have, as a test says it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deployer.kubernetes.api.cache import Cache
from deployer.kubernetes.api.store import Store
from deployer.kubernetes.objects.kinds import Key, Object


class KnownStore(Store):
    """A store that has read these."""

    def __init__(self, resources: Sequence[Object], made: Sequence[Object] = (), slices: Sequence[Object] = ()) -> None:
        self.found = list(resources)
        self._of = (list(made), list(slices))

    @property
    def synced(self) -> bool:
        return True

    def resources(self) -> Iterator[Object]:
        return iter(self.found)

    def made(self, key: Key) -> list[Object]:
        return self._of[0]

    def slices(self, key: Key) -> list[Object]:
        return self._of[1]

    def pods(self, key: Key) -> list[Object]:
        return []


class KnownSlices(Cache):
    """The EndpointSlices of the gateways' admin Service, of which `places` are `host:port` with their conditions."""

    def __init__(self, places: dict[str, dict[str, Any]]) -> None:
        self.places = places

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def deployments(self) -> list[Key]:
        return [Key("turnout-system", "turnout-gateway-metrics")]

    def of(self, key: Key) -> list[Object]:
        return [piece(place, **conditions) for place, conditions in self.places.items()]


def piece(place: str, *, name: str = "admin", service: str = "", **conditions: Any) -> Object:
    """An EndpointSlice with one address, `host:port`."""
    host, _, port = place.rpartition(":")
    return {
        "metadata": {"labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "other", "port": 1}, {"name": name, "port": int(port)}],
        "endpoints": [{"addresses": [host], "conditions": conditions}],
    }
