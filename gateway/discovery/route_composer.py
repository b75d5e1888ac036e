"""The route table of a cluster: what each ModelDeployment's `status.route` says, joined with the addresses in the
EndpointSlices of its versions' Services. Pure.

One change costs one deployment's work, however many there are: the others stay the objects that they were.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateway.contract import route_table
from gateway.contract.route_table import Deployment, Endpoint, RouteTable, TableError, Version
from gateway.discovery.source import REFUSED

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
"""A resource as the API server writes it in JSON."""

Key = tuple[str, str]
"""Namespace and name."""

_METADATA = frozenset(("fd00:ec2::254", "168.63.129.16", "100.100.100.200"))
"""Where clouds tell machines their secrets, besides link-local addresses: of AWS over IPv6, Azure and Alibaba."""


class _Route(NamedTuple):
    created: str
    """RFC 3339 in UTC, so that text sorts as time does."""
    deployment: Deployment


class _Address(NamedTuple):
    endpoint: Endpoint
    ready: bool


class Composer:
    """All that was heard of one cluster, and the table that follows from it."""

    def __init__(self, saved: RouteTable | None) -> None:
        """`saved`: the table from before a restart. Its revisions go on, and a deployment in it stands in for a route
        of the same name that is bad from the beginning."""
        self.problems: dict[Key, str] = {}
        """Why a deployment's `status.route` is not served, by deployment."""
        self.rejected = 0
        """How often a `status.route` changed into one that is not served."""
        self._revision = 0 if saved is None else saved.revision
        self._saved = {} if saved is None else saved.by_key
        self._routes: dict[Key, _Route] = {}
        self._users: dict[Key, set[Key]] = defaultdict(set)
        """The deployments with a version of this Service."""
        self._slices: dict[Key, tuple[Key, tuple[_Address, ...]]] = {}
        """By slice: its Service, and what it holds."""
        self._by_service: dict[Key, dict[Key, tuple[_Address, ...]]] = defaultdict(dict)
        self._joined: dict[Key, Deployment] = {}
        self._stale: set[Key] = set()
        self._table: RouteTable | None = None

    def deployments(self, objects: Iterable[Object]) -> None:
        """These are all ModelDeployments that there are."""
        left = set(self._routes) | set(self.problems)
        for object in objects:
            left.discard(_key(object))
            self.deployment(object)
        for key in left:
            self._forget(key)

    def deployment(self, object: Object, *, deleted: bool = False) -> None:
        """A ModelDeployment is new, has changed, or is gone. One without a `status.route` is not routed to."""
        key = _key(object)
        found = (object.get("status") or {}).get("route")
        if deleted or found is None:
            self._forget(key)
            return
        try:
            route = route_table.deployment(found)
            if (route.namespace, route.name) != key:
                raise TableError(f"it is the route of {route.key}")
        except TableError as error:
            reason = f"status.route: {error}"
            if self.problems.get(key) != reason:
                self.problems[key] = reason
                self.rejected += 1
                log.error(REFUSED, extra={"deployment": "/".join(key), "reason": reason})
            before = self._routes.get(key)
            stand_in = self._saved.get(key) if before is None else before.deployment
            if stand_in is None:
                return
            route = stand_in
        else:
            self.problems.pop(key, None)
        self._put(key, _Route(object["metadata"]["creationTimestamp"], route))

    def slices(self, objects: Iterable[Object]) -> None:
        """These are all EndpointSlices that there are."""
        left = set(self._slices)
        for object in objects:
            left.discard(_key(object))
            self.slice(object)
        for key in left:
            self._drop(key)

    def slice(self, object: Object, *, deleted: bool = False) -> None:
        """An EndpointSlice is new, has changed, or is gone."""
        key = _key(object)
        if key in self._slices:
            self._drop(key)
        name = (object["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
        if deleted or name is None:
            return
        service = (key[0], name)
        addresses = tuple(_addresses(object))
        self._slices[key] = (service, addresses)
        self._by_service[service][key] = addresses
        self._stale |= self._users.get(service, set())

    def compose(self) -> RouteTable | None:
        """The table if it differs from the one before; the first one does, though it may be empty."""
        for key in self._stale:
            route = self._routes.get(key)
            if route is None:
                self._joined.pop(key, None)
                continue
            joined = self._join(key, route.deployment)
            if joined != self._joined.get(key):
                self._joined[key] = joined
        self._stale.clear()
        order = sorted(self._routes, key=lambda key: (self._routes[key].created, key))
        deployments = tuple(self._joined[key] for key in order)
        if self._table is not None and deployments == self._table.deployments:
            return None
        self._revision += 1
        self._table = route_table.of(self._revision, deployments)
        return self._table

    def _put(self, key: Key, route: _Route) -> None:
        if route == self._routes.get(key):
            return
        self._forget_users(key)
        self._routes[key] = route
        for service in _services(key, route.deployment):
            self._users[service].add(key)
        self._stale.add(key)

    def _forget(self, key: Key) -> None:
        self.problems.pop(key, None)
        self._saved.pop(key, None)
        self._forget_users(key)
        self._routes.pop(key, None)
        self._stale.add(key)

    def _forget_users(self, key: Key) -> None:
        if (route := self._routes.get(key)) is None:
            return
        for service in _services(key, route.deployment):
            self._users[service].discard(key)
            if not self._users[service]:
                del self._users[service]

    def _drop(self, key: Key) -> None:
        service, _ = self._slices.pop(key)
        del self._by_service[service][key]
        if not self._by_service[service]:
            del self._by_service[service]
        self._stale |= self._users.get(service, set())

    def _join(self, key: Key, route: Deployment) -> Deployment:
        versions = tuple(
            version.model_copy(update={"endpoints": self._endpoints(key[0], version)}) for version in route.versions
        )
        return Deployment.model_validate({**dict(route), "versions": versions})

    def _endpoints(self, namespace: str, version: Version) -> tuple[Endpoint, ...]:
        """The ready ones; where none is, those that still serve while they terminate. While a server moves from one
        slice to another it stands in both: ready in one is ready."""
        if version.service is None:
            return ()
        held = self._by_service.get((namespace, version.service), {})
        addresses = [address for addresses in held.values() for address in addresses]
        chosen = {address.endpoint for address in addresses if address.ready}
        chosen = chosen or {address.endpoint for address in addresses}
        return tuple(sorted(chosen, key=lambda endpoint: (endpoint.host, endpoint.rest, endpoint.grpc)))


def _of_a_pod(host: str) -> bool:
    """Whether a pod may have this address. Who may write EndpointSlices is not to have the gateway ask its own machine,
    or the cloud for its secrets."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    own = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return not own and str(address) not in _METADATA


def _key(object: Object) -> Key:
    metadata = object["metadata"]
    return metadata["namespace"], metadata["name"]


def _services(key: Key, deployment: Deployment) -> set[Key]:
    return {(key[0], version.service) for version in deployment.versions if version.service is not None}


def _addresses(object: Object) -> Iterable[_Address]:
    """What a slice holds that may get requests. A condition that isn't told means what the API says of it."""
    ports = {port.get("name"): port.get("port") for port in object.get("ports") or ()}
    if object.get("addressType") == "FQDN" or not ports.get("rest") or not ports.get("grpc"):
        return
    for endpoint in object.get("endpoints") or ():
        host = endpoint["addresses"][0]  # all addresses of an endpoint are the same server's
        if not _of_a_pod(host):
            continue
        conditions = endpoint.get("conditions") or {}
        ready = conditions.get("ready") is not False
        serving = conditions.get("serving", ready)
        if serving is None:
            serving = ready
        if ready or (serving and conditions.get("terminating")):
            yield _Address(Endpoint(host=host, rest=ports["rest"], grpc=ports["grpc"]), ready)
