"""GET /evidence: what a gateway has counted for rollouts, from its start on. Pure."""

from __future__ import annotations

import base64
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.contract.skew import CONTRACT, Contract

SIGNALS: Final = ("errors", "slow", "rejections")
"""What makes a request bad evidence against its version."""

BUCKETS: Final = 10_000
"""Into which sticky keys are sorted: their unit of evidence is the bucket, since one user's requests fail together."""


CALLER_GROUPS: Final = 8
"""Into which callers are sorted by their address, anew for each rollout: no verdict is to hang on one of them, so that
whoever sends from one address decides nothing."""


def _fits(bitmap: str) -> str:
    if len(base64.b64decode(bitmap, validate=True)) * 8 > BUCKETS:
        raise ValueError(f"a bitmap of more than {BUCKETS} bits")
    return bitmap


Number = Annotated[int, Field(strict=True, ge=0)]
Bitmap = Annotated[str, Field(max_length=BUCKETS), AfterValidator(_fits)]
"""In base64: bucket b is bit b % 8 of byte b // 8."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Count(_Part):
    """Requests that the random split assigned to a version in an epoch, and the bad ones of each signal."""

    version: str
    epoch: Number
    keyed: bool
    """Whether they had a sticky key."""
    requests: Number
    errors: Number
    slow: Number
    rejections: Number
    callers: Annotated[tuple[tuple[Number, Number, Number, Number], ...], Field(max_length=CALLER_GROUPS)] = ()
    """The same four of each group of callers; empty where a gateway does not tell them apart."""


class DeploymentEvidence(_Part):
    """What was counted of one deployment."""

    epoch: Number
    """The least that any worker may still assign requests to."""
    counts: tuple[Count, ...]
    salt: str = ""
    """Of the buckets."""
    buckets: dict[str, dict[str, Bitmap]] = {}
    """By version, then by signal: the buckets with a bad request; as `requests`, those with any."""
    callers: dict[str, dict[str, Annotated[tuple[Bitmap, ...], Field(max_length=CALLER_GROUPS)]]] = {}
    """The same of each group of callers; "" where it has none."""


class Evidence(_Part):
    """The page."""

    contract: Contract = CONTRACT
    source: Annotated[str, Field(min_length=1, max_length=64)]
    """Of the counts: another after each start of the gateway."""
    ready: bool
    """Whether the gateway takes requests."""
    revision: Number | None
    """Of the route table in force on all workers."""
    deployments: dict[str, DeploymentEvidence]
    """By `namespace/name`."""
