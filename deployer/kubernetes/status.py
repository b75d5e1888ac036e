"""What Turnout says of a ModelDeployment on Kubernetes: the `status` of the resource. Pure.

The operator writes it, whole; gateways read `route` of it; people read the rest. Each part has a bound, since the
custom resource's schema is made from these models too (decision 20).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from deployer.spec import Label
from gateway import table

MAX_MESSAGE = 1024

Phase = Literal["Pending", "Progressing", "Ready", "Degraded", "Invalid"]
ConditionType = Literal[
    "Accepted",
    "Ready",
    "Progressing",
    "Degraded",
    "NameTaken",
    "StableOutdated",
    "Unschedulable",
    "ForeignObject",
    "AutoscalerMissing",
]


def _cut(text: object) -> object:
    return f"{text[: MAX_MESSAGE - 1]}…" if isinstance(text, str) and len(text) > MAX_MESSAGE else text


Message = Annotated[str, BeforeValidator(_cut), Field(max_length=MAX_MESSAGE)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Replicas = Annotated[int, Field(ge=0, le=2**31 - 1)]
Weight = Annotated[float, Field(ge=0, le=100)]
Generation = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


class VersionStatus(_Part):
    """How one version does."""

    name: Label
    """The version's name."""
    role: Literal["stable", "canary"] | None = None
    """What traffic it has; nothing for a version that only callers who pin it reach."""
    share: Weight = 0
    """Percent of the requests that ask for no version."""
    ready: Replicas = 0
    """Replicas that answer."""
    desired: Replicas = 0
    """Replicas that there should be now."""
    message: Message = ""
    """Why it is not ready, if it isn't."""


class Condition(_Part):
    """One statement about the deployment, by Kubernetes' conventions."""

    type: ConditionType
    """What the statement is about. Accepted, Ready, Progressing and Degraded always stand here; the others while they
    are true."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    reason: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """Why, in one word for programs."""
    message: Message = ""
    """Why, and what to do, for people."""
    last_transition_time: Time
    """When `status` last changed (RFC 3339)."""
    observed_generation: Generation | None = None
    """The generation of the spec that this was said of."""


class DeploymentStatus(_Part):
    """What Turnout says of the deployment. Written by the operator only."""

    observed_generation: Generation | None = None
    """The generation of the spec that all of this was said of."""
    phase: Phase = "Pending"
    """How things stand, in one word. Pending: nothing was done yet. Progressing: replicas or routes are being changed.
    Ready: all is as the spec says. Degraded: it serves, or should, and something keeps it from being as the spec says.
    Invalid: the spec can't be carried out, and what ran before goes on."""
    stable: Label | None = None
    """The version that is stable in truth."""
    canary: Label | None = None
    """The version on trial in truth."""
    weight: Weight = 0
    """The canary's share of requests in percent, as the gateways have it."""
    ready: Annotated[str, Field(max_length=16)] = "0/0"
    """How many versions are ready, of those that the spec has."""
    route: table.Deployment | None = None
    """What gateways go by. The addresses behind each version they take from its Service's EndpointSlices."""
    versions: Annotated[tuple[VersionStatus, ...], Field(max_length=64)] = ()
    """How each version does, those that are leaving included."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """Statements about the deployment, one of each type."""
