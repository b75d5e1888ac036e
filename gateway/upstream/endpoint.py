"""Endpoints: the addresses of versions, with what this worker knows of each, kept over changes of the route table."""

from __future__ import annotations

from time import monotonic

from gateway import table_delta
from gateway.contract import route_table
from gateway.routing.assignment_header import Assignments
from gateway.settings import Settings
from gateway.stats.counters import Counters, EndpointSlot, RequestSlot, endpoint_label
from gateway.upstream.assignment_fields import AssignmentFields
from gateway.upstream.grpc_pool import GrpcPool
from gateway.upstream.policy.outlier_detection import OutlierDetection
from gateway.upstream.policy.retry_budget import RetryBudget
from gateway.upstream.rest_pool import RestPool


class Endpoint:
    """One model server: its load, its health, and the connections to its two ports."""

    def __init__(self, address: route_table.Endpoint, slot: EndpointSlot, settings: Settings) -> None:
        self.address = address
        self.in_flight = 0
        self.ejection = OutlierDetection()
        self.rest = RestPool(address.host, address.rest, slot, settings)
        self.grpc = GrpcPool(address.host, address.grpc, slot, settings)
        self._slot = slot
        slot.restored()  # it may have been that of an endpoint with the same label and another gRPC port

    def __str__(self) -> str:
        return f"{endpoint_label(self.address)}/{self.address.grpc}"

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


class Upstream:
    """A version of the table in force: its endpoints, and where what it does is counted."""

    def __init__(
        self,
        deployment: route_table.Deployment,
        version: route_table.Version,
        endpoints: tuple[Endpoint, ...],
        counters: Counters,
        budget: RetryBudget,
    ) -> None:
        self.version = version
        self.endpoints = endpoints
        self.budget = budget
        """Its deployment's: the retries of one are at nobody else's expense."""
        self._deployment = deployment
        # Where there is no choice, there is nothing that others could do otherwise.
        assigned = {} if deployment.canary is None else {deployment.key: version.name}
        self.assignment_fields = AssignmentFields(version.name, assigned)
        """Of calls that carry no earlier assignments."""
        self._counters = counters
        self._slots: dict[tuple[str, str], RequestSlot] = {}

    def fields_after(self, before: Assignments) -> AssignmentFields:
        """Those of a call that carries the assignments `before`."""
        deployment = self._deployment
        assigned = dict(before)
        if assigned.pop(deployment.key, None) is not None or deployment.canary is not None:
            assigned = {deployment.key: self.version.name, **assigned}
        return AssignmentFields(self.version.name, assigned)

    def slot(self, protocol: str, how: str) -> RequestSlot:
        slot = self._slots.get((protocol, how))
        if slot is None:
            deployment = self._deployment
            slot = self._counters.request(deployment.namespace, deployment.name, self.version.name, protocol, how)
            self._slots[protocol, how] = slot
        return slot


class Upstreams:
    """The endpoints of the table in force. An endpoint that stays in the table keeps its connections and its health."""

    def __init__(self, counters: Counters, settings: Settings) -> None:
        self._counters = counters
        self._settings = settings
        self._endpoints: dict[tuple[str, str, str, route_table.Endpoint], Endpoint] = {}
        self._upstreams: dict[int, Upstream] = {}
        self._table = route_table.RouteTable(revision=0)
        self._budgets: dict[tuple[str, str], RetryBudget] = {}
        self._strays: list[route_table.Deployment] = []
        """Deployments that had departed when a call that began before was sent on."""

    def swap(self, new: route_table.RouteTable) -> list[route_table.Deployment]:
        """Let go of the endpoints that are not in `new`; those it adds are made when first asked for.

        Returns what has departed. All else costs nothing, however much it is.
        """
        departed = table_delta.departed((*self._table.deployments, *self._strays), new)
        for deployment in departed:
            after = new.by_key.get((deployment.namespace, deployment.name))
            if after is None:
                self._budgets.pop((deployment.namespace, deployment.name), None)
            for version in deployment.versions:
                self._upstreams.pop(id(version), None)
                stays = None if after is None else after.by_name.get(version.name)
                for address in set(version.endpoints).difference(() if stays is None else stays.endpoints):
                    key = (deployment.namespace, deployment.name, version.name, address)
                    if (endpoint := self._endpoints.pop(key, None)) is not None:
                        endpoint.close()
        self._table = new
        self._strays = []
        return departed

    def of(self, deployment: route_table.Deployment, version: route_table.Version) -> Upstream:
        # By identity: hashing a version hashes all its endpoints. The upstream keeps it from being another's.
        upstream = self._upstreams.get(id(version))
        if upstream is None:
            endpoints = tuple(self._endpoint(deployment, version, address) for address in version.endpoints)
            name = (deployment.namespace, deployment.name)
            budget = self._budgets.get(name) or self._budgets.setdefault(name, RetryBudget(monotonic()))
            upstream = Upstream(deployment, version, endpoints, self._counters, budget)
            self._upstreams[id(version)] = upstream
            if self._table.by_key.get((deployment.namespace, deployment.name)) is not deployment:
                self._strays.append(deployment)
        return upstream

    def _endpoint(
        self, deployment: route_table.Deployment, version: route_table.Version, address: route_table.Endpoint
    ) -> Endpoint:
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
