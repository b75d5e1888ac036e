"""Endpoints: the addresses of versions, with what this worker knows of each, kept over changes of the route table."""

from __future__ import annotations

from gateway import table
from gateway.counters import Counters, EndpointSlot
from gateway.settings import Settings
from gateway.upstream.ejection import Ejection
from gateway.upstream.http1 import RestPool
from gateway.upstream.http2 import GrpcPool


class Endpoint:
    """One model server: its load, its health, and the connections to its two ports."""

    def __init__(self, address: table.Endpoint, slot: EndpointSlot, settings: Settings) -> None:
        self.address = address
        self.in_flight = 0
        self.ejection = Ejection()
        self.rest = RestPool(address.host, address.rest, slot, settings)
        self.grpc = GrpcPool(address.host, address.grpc, slot, settings)
        self._slot = slot

    def __str__(self) -> str:
        return f"{self.address.host}:{self.address.rest}/{self.address.grpc}"

    def sent(self) -> None:
        self.in_flight += 1
        self._slot.sent()

    def done(self) -> None:
        self.in_flight -= 1
        self._slot.done()

    def succeeded(self) -> None:
        if self.ejection.troubled:
            self.ejection.succeeded()
            self._slot.restored()

    def failed(self, now: float, *, refused: bool) -> None:
        if self.ejection.failed(now, refused=refused):
            self._slot.ejected()

    def sweep(self, now: float) -> None:
        """Close connections that were not used of late."""
        self.rest.sweep(now)
        self.grpc.sweep(now)

    def close(self) -> None:
        """Close each connection once nothing is under way on it."""
        self.rest.close()
        self.grpc.close()


class Upstreams:
    """The endpoints of the table in force. An endpoint that stays in the table keeps its connections and its health."""

    def __init__(self, counters: Counters, settings: Settings) -> None:
        self._counters = counters
        self._settings = settings
        self._endpoints: dict[tuple[str, str, str, table.Endpoint], Endpoint] = {}
        self._versions: dict[int, tuple[Endpoint, ...]] = {}

    def swap(self, new: table.RouteTable) -> None:
        """Let go of the endpoints that are not in `new`; those it adds are made when first asked for."""
        members = {
            (deployment.namespace, deployment.name, version.name, endpoint)
            for deployment in new.deployments
            for version in deployment.versions
            for endpoint in version.endpoints
        }
        for key in [key for key in self._endpoints if key not in members]:
            self._endpoints.pop(key).close()
        self._versions = {}

    def of(self, deployment: table.Deployment, version: table.Version) -> tuple[Endpoint, ...]:
        # By identity: hashing a version hashes all its endpoints. The table that holds it outlives this dictionary.
        endpoints = self._versions.get(id(version))
        if endpoints is None:
            endpoints = tuple(self._endpoint(deployment, version, address) for address in version.endpoints)
            self._versions[id(version)] = endpoints
        return endpoints

    def _endpoint(self, deployment: table.Deployment, version: table.Version, address: table.Endpoint) -> Endpoint:
        key = (deployment.namespace, deployment.name, version.name, address)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            slot = self._counters.endpoint(deployment.namespace, deployment.name, version.name, address)
            endpoint = self._endpoints[key] = Endpoint(address, slot, self._settings)
        return endpoint

    def sweep(self, now: float) -> None:
        for endpoint in self._endpoints.values():
            endpoint.sweep(now)

    def close(self) -> None:
        for endpoint in self._endpoints.values():
            endpoint.close()
