"""GET /state: what the supervisor of a gateway goes by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from gateway.contract.skew import CONTRACT, Contract


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class VersionState(_Part):
    """One version that has had a request. The counters never fall while it stands in the route table."""

    deployment: str
    """`namespace/name`."""
    version: str
    seconds: float = 0.0
    """The time that its requests have spent in flight, those still open included, summed."""
    requests: int = 0
    """Those that have ended."""
    failures: int = 0
    """Of these the ones that ended badly, by the version's fault or the gateway's."""
    in_flight: dict[str, int] = {}
    """Attempts that an endpoint has not answered, by its `host:port` (REST), where there are any. They are told until
    they end, also of endpoints that left the route table."""


class State(_Part):
    """The page."""

    contract: Contract = CONTRACT
    ready: bool
    """Whether to send requests to the gateway."""
    why: str
    """In words."""
    revision: int | None = None
    """Of the route table that every worker routes by; None while one of them has none."""
    refused: dict[str, str] = {}
    """Why a deployment (`namespace/name`) is not served as the newest table has it. What was served of it before is."""
    versions: tuple[VersionState, ...] = ()

    @cached_property
    def by_version(self) -> Mapping[tuple[str, str], VersionState]:
        """By deployment and version."""
        return {(one.deployment, one.version): one for one in self.versions}
