"""The route table: the one document that the deployer writes and the gateway reads.

Pure. Nothing here knows how a table arrives or what is done with a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.contract.headers import COOKIE_NAME_PATTERN, FIELD_NAME_PATTERN, FIELD_VALUE_PATTERN, ORIGIN_PATTERN
from gateway.contract.mistakes import first_mistake
from gateway.contract.skew import CONTRACT, check

ProtocolFamily = Literal["tfserving", "seldon", "oip"]
"""What a deployment's servers speak, over REST and gRPC."""

Port = Annotated[int, Field(ge=1, le=65535)]
Host = Annotated[str, Field(min_length=1, max_length=253)]

# What a header can carry: x-turnout-version has the one, x-turnout-deployment two of the other with a slash between.
# The custom resource's status holds a Deployment, so each part of one has a bound.
VersionName = Annotated[str, Field(max_length=253, pattern=r"^[!-~]{1,253}$")]
Name = Annotated[str, Field(max_length=253, pattern=r"^[!-.0-~]{1,253}$")]
Feature = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9-]+$")]
FieldName = Annotated[str, Field(min_length=1, max_length=128, pattern=FIELD_NAME_PATTERN)]
CookieName = Annotated[str, Field(min_length=1, max_length=128, pattern=COOKIE_NAME_PATTERN)]
Origin = Annotated[str, Field(max_length=256, pattern=ORIGIN_PATTERN)]
FieldValue = Annotated[str, Field(max_length=256, pattern=FIELD_VALUE_PATTERN)]


class TableError(ValueError):
    """A document that is no route table; the message names the place in it."""


class _Frozen(BaseModel):
    """What it does not know is ignored: a later release wrote it (gateway/contract/skew.py)."""

    model_config = ConfigDict(frozen=True)


class Endpoint(_Frozen):
    """One address of a version: the same server's REST and gRPC ports."""

    host: Host
    rest: Port
    grpc: Port


class Version(_Frozen):
    """A version as the gateway sees it: an upstream with endpoints, any of which may answer."""

    name: VersionName
    servable: int | None = None
    """TensorFlow Serving's own integer for this version, which its pins carry."""
    service: Host | None = None
    """On Kubernetes: the Service, in the deployment's namespace, whose EndpointSlices hold the endpoints."""
    endpoints: tuple[Endpoint, ...] = ()


class Sticky(_Frozen):
    """Where a request's key stands: in a header (for gRPC: metadata) or in a cookie, and in one of them only."""

    header: FieldName | None = None
    cookie: CookieName | None = None

    @model_validator(mode="after")
    def _one(self) -> Sticky:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("a key stands in a header or in a cookie: name one of them")
        return self


class Match(_Frozen):
    """Requests with all of these headers (for gRPC: metadata), each with exactly this value, get `version`."""

    header: Annotated[dict[FieldName, FieldValue], Field(min_length=1, max_length=8)]
    version: VersionName

    @cached_property
    def wanted(self) -> Set[tuple[bytes, bytes]]:
        return {(name.encode(), value.encode()) for name, value in self.header.items()}


class Deployment(_Frozen):
    """One model under one name, its versions, and how its traffic is split.

    `weight` is the canary's share of unpinned requests in percent; stable gets the rest.
    `epoch` is raised by the deployer with each change of `weight`, `stable` or `canary`.
    """

    namespace: Name
    name: Name
    runtime: ProtocolFamily
    stable: VersionName
    canary: VersionName | None = None
    weight: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0
    epoch: Annotated[int, Field(ge=0)] = 0
    salt: Annotated[str, Field(max_length=512)] = ""
    """Of the positions of sticky keys: one for each rollout, the same for all its weights."""
    sticky: Sticky | None = None
    match: Annotated[tuple[Match, ...], Field(max_length=32)] = ()
    """The first that fits decides."""
    slow: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds after which a request counts as slow in the evidence; None: none does."""
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds: the deadline of a request that names none. The gateway's own bounds hold for this and the next one."""
    max_message_bytes: Annotated[int, Field(ge=1)] | None = None
    """Of a request's body or gRPC message."""
    cors: Annotated[tuple[Origin, ...], Field(max_length=32)] = ()
    """Origins whose pages may see answers. The servers' own word counts where there are none."""
    versions: Annotated[tuple[Version, ...], Field(max_length=256)]
    contract: Annotated[int, Field(ge=0)] = CONTRACT
    """That of the release which wrote it."""
    requires: Annotated[tuple[Feature, ...], Field(max_length=16)] = ()
    """Features without which a gateway would serve it wrongly: one that does not know them refuses it."""

    @model_validator(mode="after")
    def _roles_name_versions(self) -> Deployment:
        names = [version.name for version in self.versions]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.key}: version names repeat: {', '.join(names)}")
        servables = [version.servable for version in self.versions if version.servable is not None]
        if len(set(servables)) != len(servables):
            raise ValueError(f"{self.key}: servables repeat: {', '.join(map(str, servables))}")
        for role, name in (("stable", self.stable), ("canary", self.canary)):
            if name is not None and name not in names:
                raise ValueError(f"{self.key}: {role} is {name!r}, but the versions are {', '.join(names)}")
        for match in self.match:
            if match.version not in names:
                raise ValueError(
                    f"{self.key}: a match names {match.version!r}, but the versions are {', '.join(names)}"
                )
        if self.canary == self.stable:
            raise ValueError(f"{self.key}: stable and canary are both {self.stable!r}")
        if self.weight and self.canary is None:
            raise ValueError(f"{self.key}: weight is {self.weight}, but there is no canary")
        return self

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @cached_property
    def by_name(self) -> dict[str, Version]:
        return {version.name: version for version in self.versions}

    @cached_property
    def by_servable(self) -> dict[int, Version]:
        return {version.servable: version for version in self.versions if version.servable is not None}


class RouteTable(_Frozen):
    """All deployments, oldest first: a bare name that stands twice means the first (0022-a-bare-name-is-the-oldest)."""

    revision: Annotated[int, Field(ge=0)]
    deployments: tuple[Deployment, ...] = ()

    @model_validator(mode="after")
    def _keys_differ(self) -> RouteTable:
        seen: set[str] = set()
        for deployment in self.deployments:
            if deployment.key in seen:
                raise ValueError(f"{deployment.key} stands twice")
            seen.add(deployment.key)
        return self

    @cached_property
    def by_key(self) -> dict[tuple[str, str], Deployment]:
        return {(deployment.namespace, deployment.name): deployment for deployment in self.deployments}

    @cached_property
    def by_bare_name(self) -> dict[str, Deployment]:
        return {deployment.name: deployment for deployment in reversed(self.deployments)}

    def find(self, name: str, namespace: str | None = None) -> Deployment | None:
        """The deployment of that name; without a namespace, the oldest that bears it."""
        if namespace is None:
            return self.by_bare_name.get(name)
        return self.by_key.get((namespace, name))

    @property
    def keys(self) -> Iterable[str]:
        return (deployment.key for deployment in self.deployments)


class Read(NamedTuple):
    """A document as far as it can be served."""

    table: RouteTable
    refused: Mapping[str, str]
    """Why a deployment (`namespace/name`) is not served as the document has it."""


class _Document(BaseModel):
    revision: Annotated[int, Field(ge=0)]
    deployments: tuple[Any, ...]


def read(document: bytes, before: Mapping[tuple[str, str], Deployment] = MappingProxyType({})) -> Read:
    """What `document` (JSON) holds. For a deployment that can't be served as it stands there, the one `before` (by
    namespace and name) stands in; without one it is left out.

    Raises:
        TableError: the document is empty, not JSON, or not a table; or a deployment that can't be served has no name.
    """
    if not document.strip():
        raise TableError("the document is empty")
    try:
        found = _Document.model_validate_json(document)
    except ValidationError as error:
        raise TableError(first_mistake(error, "the document")) from None
    served: list[Deployment] = []
    refused: dict[str, str] = {}
    for index, one in enumerate(found.deployments):
        try:
            served.append(deployment(one))
        except TableError as error:
            if (key := _key(one)) is None:
                raise TableError(f"deployments.{index}: {error}") from None
            refused["/".join(key)] = str(error)
            if (stand_in := before.get(key)) is not None:
                served.append(stand_in)
    try:
        return Read(RouteTable(revision=found.revision, deployments=tuple(served)), refused)
    except ValidationError as error:
        raise TableError(first_mistake(error, "the document")) from None


def deployment(found: object) -> Deployment:
    """The deployment that `found` (of JSON) is, where a gateway of this release can serve it.

    Raises:
        TableError: it can't: `found` is malformed, contradicts itself, or is of a release too far from this one.
    """
    try:
        made = Deployment.model_validate(found)
        check(made.contract, made.requires)
    except ValidationError as error:
        raise TableError(first_mistake(error)) from None
    except ValueError as error:
        raise TableError(str(error)) from None
    return made


def _key(found: object) -> tuple[str, str] | None:
    match found:
        case {"namespace": str(namespace), "name": str(name)}:
            return namespace, name
    return None


def of(revision: int, deployments: tuple[Deployment, ...]) -> RouteTable:
    """A table of deployments that have been checked, with keys that differ: to check 10,000 versions again for each
    change of one would take a data loop tens of milliseconds."""
    return RouteTable.model_construct(revision=revision, deployments=deployments)


def write(table: RouteTable) -> bytes:
    return table.model_dump_json(indent=1).encode()
