"""What Turnout says of a ModelDeployment on Kubernetes: the `status` of the resource. Pure.

The operator writes it, whole; gateways read `route` of it; people read the rest. Each part has a bound, since the
custom resource's schema is made from these models too (docs/decisions/0020-a-structural-schema-with-bounds.md).
"""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from deployer.document.fields import Label
from deployer.kubernetes.objects.kinds import Object
from deployer.rollout.status import Message, Part, RolloutRecord, RolloutStatus, Time, Weight
from gateway.contract import route_table

MAX_KEPT = 768 * 1024
"""Of an object's 1.5 MB, etcd's limit. Some KiB are usual; see `deployer/kubernetes/rollout/checkpoint_codec.py`."""

Phase = Literal["Pending", "Progressing", "RollingOut", "Ready", "Degraded", "Invalid"]
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
    "RolloutPaused",
    "RolloutOverdue",
    "RolledBack",
]


Replicas = Annotated[int, Field(ge=0, le=2**31 - 1)]
Generation = Annotated[int, Field(ge=0, le=2**63 - 1)]


class VersionStatus(Part):
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


class Condition(Part):
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


class ActionStatus(Part):
    """What became of the last action that was asked for, by its annotation."""

    text: Message
    """The annotation."""
    refused: Message = ""
    """Why it was not taken, if it wasn't."""


class DeploymentStatus(Part):
    """What Turnout says of the deployment. Written by the operator only."""

    observed_generation: Generation | None = None
    """The generation of the spec that all of this was said of."""
    phase: Phase = "Pending"
    """How things stand, in one word. Pending: nothing was done yet. Progressing: replicas or routes are being changed.
    RollingOut: all runs, and a rollout moves the traffic. Ready: all is as the spec says. Degraded: it serves, or
    should, and something keeps it from being as the spec says, such as a canary that was rolled back. Invalid: the spec
    can't be carried out, and what ran before goes on."""
    stable: Label | None = None
    """The version that is stable in truth."""
    canary: Label | None = None
    """The version on trial in truth."""
    weight: Weight = 0
    """The canary's share of requests in percent, as the gateways have it."""
    ready: Annotated[str, Field(max_length=16)] = "0/0"
    """How many versions are ready, of those that the spec has."""
    route: route_table.Deployment | None = None
    """What gateways go by. The addresses behind each version they take from its Service's EndpointSlices."""
    versions: Annotated[tuple[VersionStatus, ...], Field(max_length=64)] = ()
    """How each version does, those that are leaving included."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """Statements about the deployment, one of each type."""
    rollout: RolloutStatus | None = None
    """The rollout that is under way, or the last one."""
    rollout_checkpoint: Annotated[str, Field(max_length=MAX_KEPT)] | None = None
    """What the operator knows of the rollout. Only for itself, in a form that may change."""
    rollouts: Annotated[tuple[RolloutRecord, ...], Field(max_length=16)] = ()
    """The last rollouts that are over."""
    action: ActionStatus | None = None
    """The last action that was asked for, and what became of it."""


def read(found: Object) -> DeploymentStatus:
    """The status as far as it can be read: what another release wrote otherwise is left out, and the rest holds.

    A route that is lost would begin again with epoch 0, so nothing beside it may cost it.
    """
    rest = copy.deepcopy(found)
    while True:
        try:
            return DeploymentStatus.model_validate(rest)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            _drop(rest, first["loc"])


def _drop(found: Any, place: tuple[str | int, ...]) -> None:
    """Take what can't be read out: an item of a list of ours, else the whole field."""
    if len(place) > 1 and isinstance(place[1], int):
        del found[place[0]][place[1]]
    else:
        del found[place[0]]
