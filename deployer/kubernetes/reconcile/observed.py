"""What is known of one ModelDeployment before anything is decided, and what can be seen in it at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from deployer.document.model import ModelDeployment
from deployer.kubernetes.manifests import Options, Owner
from deployer.kubernetes.objects.kinds import Id, Key, Object, identity, is_owned, owners
from deployer.kubernetes.objects.names import KIND, VERSION_LABEL, version_name
from deployer.kubernetes.objects.resource import read as read_document
from deployer.kubernetes.reconcile.compare import Answer
from deployer.kubernetes.rollout import action_annotation
from deployer.kubernetes.status.model import ActionStatus, DeploymentStatus
from deployer.kubernetes.status.model import read as read_status
from deployer.kubernetes.status.version_health import VersionFacts, look
from deployer.rollout.analysis.reading import Reading
from deployer.rollout.analysis.signature import Signature
from deployer.rollout.state import Action
from gateway.contract import route_table


@dataclass(frozen=True)
class Refusal:
    """Why an object could not be written. `foreign`: it is somebody else's."""

    message: str
    foreign: bool


@dataclass(frozen=True)
class PollResult:
    """What others than the API server say of a deployment, as `Observation` has it.

    `in_force`: the least epoch on all gateways that serve; None: one of them doesn't say, or there is none. `asked`:
    the versions that were asked for their signature, whether they have told it or not.
    """

    readings: tuple[Reading, ...] = ()
    unread: tuple[str, ...] = ()
    in_force: int | None = None
    metrics: Mapping[str, float | str] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Observed:
    """What is known of one ModelDeployment, `resource`.

    `live` has what bears our labels, `refusals` and `answers` what the API server said last to what we wrote. `elder`:
    the older deployment that has the bare name. `polled`: what gateways and others say. `now`: seconds since 1970.
    """

    resource: Object
    live: Sequence[Object]
    slices: Sequence[Object]
    pods: Sequence[Object]
    options: Options
    elder: Key | None
    refusals: Mapping[Id, Refusal]
    answers: Mapping[Id, Answer]
    polled: PollResult
    now: float

    @property
    def name(self) -> str:
        return str(self.resource["metadata"]["name"])

    @property
    def owner(self) -> Owner:
        """Who the objects of ours belong to."""
        return Owner(self.name, self.resource["metadata"]["uid"])

    @cached_property
    def document(self) -> ModelDeployment:
        """
        Raises:
            InvalidSpec: the spec can't be carried out.
        """
        return read_document(self.resource)

    @cached_property
    def status(self) -> DeploymentStatus | None:
        """As it was written last; None if it never was."""
        return read_status(self.resource["status"]) if "status" in self.resource else None

    @property
    def route(self) -> route_table.Deployment | None:
        """As gateways were given it last."""
        return self.status.route if self.status is not None else None

    @cached_property
    def action(self) -> tuple[ActionStatus | None, tuple[str, Action] | None]:
        """What to say of the last action, and the action itself with a token, where it is a new one that holds."""
        return action_annotation.taken(self.resource, self.status)

    @cached_property
    def ours(self) -> dict[Id, Object]:
        """The live objects that belong to this deployment."""
        return {identity(there): there for there in self.live if is_owned(there, self.owner.uid)}

    @cached_property
    def others(self) -> dict[Id, Object]:
        """Those that bear our labels and don't."""
        return {identity(there): there for there in self.live if not is_owned(there, self.owner.uid)}

    @cached_property
    def foreign(self) -> dict[Id, str]:
        """What is somebody else's, with what to tell of it where we need its name."""
        foreign = {key: why.message for key, why in self.refusals.items() if why.foreign}
        for key, live in self.others.items():
            # What belonged to an earlier deployment of this name is on its way out.
            if not any(owner["kind"] == KIND and owner["name"] == self.name for owner in owners(live)):
                foreign[key] = foreign_message(key)
        return foreign

    @cached_property
    def versions(self) -> dict[str, VersionFacts]:
        """How the declared versions do, and those that are leaving. Raises as `document`."""
        declared = self.document.by_name
        there = {made["metadata"]["labels"].get(VERSION_LABEL) for made in self.ours.values()}
        return self.look([*declared, *sorted(version for version in there - declared.keys() if version)])

    @cached_property
    def astray(self) -> set[str]:
        """Of these the ones whose Service is somebody else's: nobody is sent there."""
        return {version for version in self.versions if Id("Service", version_name(self.name, version)) in self.foreign}

    def look(self, versions: Iterable[str]) -> dict[str, VersionFacts]:
        """How these versions do."""
        return {
            version: look(version, version_name(self.name, version), self.live, self.slices, self.pods)
            for version in versions
        }


def foreign_message(key: Id) -> str:
    """What to tell of an object that has the name of one of ours."""
    return (
        f"{key.kind} {key.name} is there already and does not belong to this ModelDeployment; "
        "delete or rename it, or rename the version"
    )
