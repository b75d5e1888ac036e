"""What the supervisor says about a deployment: what `-o json` shows, a form that stays."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from deployer.rollout.status import RolloutRecord, RolloutStatus


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class Condition(StrEnum):
    """How a version does."""

    READY = "Ready"
    """All its replicas answer."""
    PROGRESSING = "Progressing"
    """Replicas are being started."""
    FAILED = "Failed"
    """It can't be started; the reason says why. It is tried again, ever more slowly."""
    LEAVING = "Leaving"
    """It is no longer declared, and its last requests are under way."""


class ReplicaStatus(_Part):
    """One process."""

    index: int
    phase: str
    pid: int
    rest: int
    grpc: int


class VersionStatus(_Part):
    """One version, and its processes."""

    name: str
    role: str | None = None
    """`stable` or `canary`."""
    share: float = 0
    """Percent of the requests that ask for no version, in the route table now."""
    condition: Condition
    reason: str = ""
    runtime: str
    """`tfserving` or another, and in brackets the server where it isn't plain from that."""
    ready: int
    desired: int
    restarts: int = 0
    """Since the supervisor was started."""
    requests_per_second: float | None = None
    """By the gateway's count over the last seconds; absent where there is none."""
    failures_per_second: float | None = None
    replicas: tuple[ReplicaStatus, ...] = ()


class DeploymentStatus(_Part):
    """One deployment, as compared with its document."""

    namespace: str
    name: str
    document: str
    """The digest of the document that this status is of."""
    revision: int
    """Of the route table that last changed its route, as written."""
    in_force: bool
    """That revision, or a later one, is in force on every worker of the gateway."""
    routed: bool
    """Roles and shares are as the document says, or its rollout for now, and in force."""
    settled: bool
    """The same, and all versions are ready."""
    message: str = ""
    """Why it isn't settled, or what differs from the document."""
    address: str = ""
    """The gateway's, for REST and gRPC: `host:port`. Empty while it isn't ready."""
    versions: tuple[VersionStatus, ...]
    rollout: RolloutStatus | None = None
    """The rollout that is under way, or the last one."""
    rollouts: tuple[RolloutRecord, ...] = ()
    """The last ones that are over."""
    action: str | None = None
    """The token of the last action that was taken, if there was one."""

    @property
    def key(self) -> str:
        """As `ModelDeployment.key`."""
        return f"{self.namespace}/{self.name}"

    def shown(self) -> dict[str, Any]:
        """As `-o json` shows it."""
        return self.model_dump(mode="json", exclude_none=True)
