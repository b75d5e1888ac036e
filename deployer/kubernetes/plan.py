"""What is missing of one ModelDeployment: desired objects against live ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError

from deployer.errors import TurnoutError
from deployer.kubernetes import compare, happenings
from deployer.kubernetes.compare import Answer
from deployer.kubernetes.conditions import Facts, status
from deployer.kubernetes.happenings import Happening
from deployer.kubernetes.kinds import Id, Key, Object, identity, is_owned, owners
from deployer.kubernetes.manifests import CannotRender, Options, Owner, autoscaler_missing, manifests
from deployer.kubernetes.names import KIND, VERSION_LABEL, version_name
from deployer.kubernetes.resource import read
from deployer.kubernetes.status import ConditionType, DeploymentStatus
from deployer.kubernetes.versions import WORKLOADS, VersionFacts, is_available, is_of, look
from deployer.rollout.conduct import Roles
from deployer.routes import route
from deployer.spec import ModelDeployment
from gateway import table

_AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


@dataclass(frozen=True)
class Refusal:
    """Why an object could not be written. `foreign`: it is somebody else's."""

    message: str
    foreign: bool


@dataclass(frozen=True)
class Observed:
    """What is known of one ModelDeployment, `resource`; None: it is gone, or nothing is to be done.

    `live` has what bears our labels, `refusals` and `answers` what the API server said last to what we wrote. `elder`:
    the older deployment that has the bare name.
    """

    resource: Object
    live: Sequence[Object]
    slices: Sequence[Object]
    pods: Sequence[Object]
    options: Options
    elder: Key | None
    refusals: Mapping[Id, Refusal]
    answers: Mapping[Id, Answer]
    now: str

    @cached_property
    def said(self) -> DeploymentStatus | None:
        """The status as it is; None if there is none, or one that nobody can read."""
        try:
            return DeploymentStatus.model_validate(self.resource["status"])
        except (KeyError, ValidationError):
            return None


@dataclass(frozen=True)
class Apply:
    """Write the object; `live` is what is there of it, as far as is known. `if_unchanged`: else not at all."""

    desired: Object
    live: Object | None
    if_unchanged: bool = False


@dataclass(frozen=True)
class Tell:
    """Make an Event."""

    happening: Happening


@dataclass(frozen=True)
class Say:
    """Write the status, and the route in it."""

    status: DeploymentStatus


@dataclass(frozen=True)
class Delete:
    """Delete the object, once it is sure that gateways don't send anything to `version`; None: it has no traffic."""

    live: Object
    version: str | None


Action = Apply | Tell | Say | Delete


def plan(observed: Observed) -> list[Action]:
    """What to do, in this order: objects, Events, the status, and last what is no longer declared.

    Events come before the status that tells them done: killed between the two, the next operator tells them by the same
    names, and none is lost.
    """
    metadata = observed.resource["metadata"]
    if "deletionTimestamp" in metadata:  # the garbage collector ends what belongs to it
        return []
    try:
        document = read(observed.resource)
        owner = Owner(name=metadata["name"], uid=metadata["uid"])
        desired = [compare.stamped(made) for made in manifests(document, observed.options, owner)]
    except TurnoutError as error:
        return _say(observed, _Invalid(observed, error).facts())
    return _Valid(observed, document, desired).actions()


def _say(observed: Observed, facts: Facts) -> list[Action]:
    before = observed.said
    after = status(facts, before, observed.now)
    if after == before:
        return []
    return [*(Tell(happening) for happening in happenings.happenings(before, after)), Say(after)]


def _look(observed: Observed, versions: Sequence[str]) -> dict[str, VersionFacts]:
    name = observed.resource["metadata"]["name"]
    return {
        version: look(version, version_name(name, version), observed.live, observed.slices, observed.pods)
        for version in versions
    }


def _named(observed: Observed, versions: Mapping[str, VersionFacts]) -> dict[ConditionType, tuple[str, str]]:
    named: dict[ConditionType, tuple[str, str]] = {}
    if observed.elder is not None:
        namespace, name = observed.elder
        message = f"{namespace}/{name} is older and has the bare name {name}; this one is reached by its namespace"
        named["NameTaken"] = ("OlderHasIt", message)
    stuck = [f"{version.name}: {version.unschedulable}" for version in versions.values() if version.unschedulable]
    if stuck:
        named["Unschedulable"] = ("Unschedulable", "; ".join(stuck))
    return named


class _Invalid:
    """A spec that can't be carried out: what runs goes on as it is."""

    def __init__(self, observed: Observed, error: TurnoutError) -> None:
        self._observed = observed
        reason = "UnsupportedRuntime" if isinstance(error, CannotRender) else "InvalidSpec"
        self._why = (reason, str(error))

    def facts(self) -> Facts:
        before = self._observed.said
        going = before.route if before else None
        running = [version.name for version in going.versions] if going else []
        versions = _look(self._observed, running)
        return Facts(
            generation=self._observed.resource["metadata"]["generation"],
            route=going,
            traffic=None,
            declared=running,
            versions=versions,
            changing=False,
            begun=True,
            refused=(),
            named=_named(self._observed, versions),
            invalid=self._why,
        )


class _Valid:
    """A spec that can be carried out, with the objects that it asks for."""

    def __init__(self, observed: Observed, document: ModelDeployment, desired: Sequence[Object]) -> None:
        self._observed = observed
        self._document = document
        self._desired = {identity(made): made for made in desired}
        self._uid = observed.resource["metadata"]["uid"]
        self._ours = {identity(there): there for there in observed.live if is_owned(there, self._uid)}
        self._others = {identity(there): there for there in observed.live if not is_owned(there, self._uid)}
        # One that is to go scales until it is gone: applied before that, replicas would go to and fro.
        self._scaled = {
            made["metadata"]["labels"].get(VERSION_LABEL)
            for made in (*desired, *self._ours.values())
            if made["kind"] in _AUTOSCALERS
        }

    def actions(self) -> list[Action]:
        applies, deletes = self._applies(), self._deletes()
        foreign = self._foreign()
        before = self._observed.said
        there = {made["metadata"]["labels"].get(VERSION_LABEL) for made in self._ours.values()}
        leaving = sorted(version for version in there - self._document.by_name.keys() if version)
        versions = _look(self._observed, [*self._document.by_name, *leaving])
        ready = {name for name, version in versions.items() if self._carries(version, before, foreign)}
        made = route(before.route if before else None, self._document, ready, Roles.of(self._document))
        after = self._with_services(made, foreign)
        named = _named(self._observed, versions)
        if foreign:
            named["ForeignObject"] = ("NotOurs", "; ".join(foreign.values()))
        if missing := self._autoscalers_missing():
            named["AutoscalerMissing"] = ("AutoscalerMissing", "; ".join(missing))
        facts = Facts(
            generation=self._observed.resource["metadata"]["generation"],
            route=after,
            traffic=self._document.spec.traffic,
            declared=list(self._document.by_name),
            versions=versions,
            changing=bool(applies or deletes),
            begun=bool(self._ours),
            refused=[
                why.message
                for key, why in self._observed.refusals.items()
                if not why.foreign and any(identity(apply.desired) == key for apply in applies)
            ],
            named=named,
            invalid=None,
        )
        return [*applies, *_say(self._observed, facts), *deletes]

    def _carries(self, version: VersionFacts, before: DeploymentStatus | None, foreign: Mapping[Id, str]) -> bool:
        """Whether the version can take traffic: its least replicas answer, or one does and it has traffic already."""
        if Id("Service", version_name(self._document.metadata.name, version.name)) in foreign:
            return False
        route = before.route if before else None
        has_traffic = route is not None and (
            version.name == route.stable or (version.name == route.canary and route.weight > 0)
        )
        declared = self._document.by_name.get(version.name)
        return version.ready >= (1 if has_traffic or declared is None else declared.replicas[0])

    def _applies(self) -> list[Apply]:
        applies: list[Apply] = []
        for key, desired in self._desired.items():
            live = self._ours.get(key)
            if live is None:
                if key not in self._others:
                    applies.append(Apply(desired, None))
                continue
            autoscaled = key.kind == "Deployment" and desired["metadata"]["labels"][VERSION_LABEL] in self._scaled
            if autoscaled and compare.is_scaled(live):
                desired = compare.without_replicas(desired)
            if not compare.is_as_desired(desired, live, self._observed.answers.get(key)):
                # With replicas, it must not come after the autoscaler's first word.
                applies.append(Apply(desired, live, if_unchanged=autoscaled and "replicas" in desired["spec"]))
        return applies

    def _deletes(self) -> list[Action]:
        before = self._observed.said
        routed = {version.name for version in before.route.versions} if before and before.route else set()
        deletes: list[Action] = []
        for key, live in self._ours.items():
            version = live["metadata"]["labels"].get(VERSION_LABEL)
            if key in self._desired or "deletionTimestamp" in live["metadata"]:
                continue
            if version not in self._document.by_name:
                if version not in routed:
                    deletes.append(Delete(live, version))
            elif key.kind not in WORKLOADS or self._is_replaced(version):
                deletes.append(Delete(live, None))
        return deletes

    def _is_replaced(self, version: str) -> bool:
        """Whether the workload of another kind that now runs the version answers."""
        return any(
            is_available(live)
            for key, live in self._ours.items()
            if key in self._desired and key.kind in WORKLOADS and is_of(live, version)
        )

    def _foreign(self) -> dict[Id, str]:
        foreign = {key: why.message for key, why in self._observed.refusals.items() if why.foreign}
        name = self._observed.resource["metadata"]["name"]
        for key, live in self._others.items():
            # What belonged to an earlier deployment of this name is on its way out.
            predecessor = any(owner["kind"] == KIND and owner["name"] == name for owner in owners(live))
            if key in self._desired and not predecessor:
                foreign[key] = foreign_message(key)
        return {key: message for key, message in foreign.items() if key in self._desired}

    def _with_services(self, after: table.Deployment, foreign: Mapping[Id, str]) -> table.Deployment:
        name = self._document.metadata.name
        services = {version.name: version_name(name, version.name) for version in after.versions}
        versions = tuple(
            # Nobody is sent to the addresses behind a Service that is not ours.
            version.model_copy(
                update={"service": None if Id("Service", services[version.name]) in foreign else services[version.name]}
            )
            for version in after.versions
        )
        return after.model_copy(update={"versions": versions})

    def _autoscalers_missing(self) -> list[str]:
        found = (
            autoscaler_missing(self._document, version, self._observed.options)
            for version in self._document.spec.versions
        )
        return [message for message in found if message]


def foreign_message(key: Id) -> str:
    """What to tell of an object that has the name of one of ours."""
    return (
        f"{key.kind} {key.name} is there already and does not belong to this ModelDeployment; "
        "delete or rename it, or rename the version"
    )
