"""What is known of one ModelDeployment before it is planned for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from deployer.kubernetes import status
from deployer.kubernetes.compare import Answer
from deployer.kubernetes.kinds import Id, Key, Object
from deployer.kubernetes.manifests import Options
from deployer.kubernetes.sight import Heard
from deployer.kubernetes.status import DeploymentStatus


@dataclass(frozen=True)
class Refusal:
    """Why an object could not be written. `foreign`: it is somebody else's."""

    message: str
    foreign: bool


@dataclass(frozen=True)
class Observed:
    """What is known of one ModelDeployment, `resource`; None: it is gone, or nothing is to be done.

    `live` has what bears our labels, `refusals` and `answers` what the API server said last to what we wrote. `elder`:
    the older deployment that has the bare name. `heard`: what gateways and others say. `now`: seconds since 1970.
    """

    resource: Object
    live: Sequence[Object]
    slices: Sequence[Object]
    pods: Sequence[Object]
    options: Options
    elder: Key | None
    refusals: Mapping[Id, Refusal]
    answers: Mapping[Id, Answer]
    heard: Heard
    now: float

    @cached_property
    def said(self) -> DeploymentStatus | None:
        """The status as it is; None if there is none."""
        return status.read(self.resource["status"]) if "status" in self.resource else None
