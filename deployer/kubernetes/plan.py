"""What is missing of one ModelDeployment: desired objects against live ones. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from deployer.errors import TurnoutError
from deployer.kubernetes import compare, happenings
from deployer.kubernetes.actions import Action, Apply, Delete, Notify, Say, Tell
from deployer.kubernetes.conditions import Facts, RolloutFacts, status
from deployer.kubernetes.floors import floored
from deployer.kubernetes.kinds import Id, identity, is_owned, owners
from deployer.kubernetes.manifests import CannotRender, Owner, autoscaler_missing, manifests
from deployer.kubernetes.names import KIND, VERSION_LABEL, version_name
from deployer.kubernetes.observed import Observed
from deployer.kubernetes.resource import read
from deployer.kubernetes.rollout import decide, paced
from deployer.kubernetes.status import ConditionType, DeploymentStatus
from deployer.kubernetes.versions import WORKLOADS, VersionFacts, is_available, is_of, look
from deployer.rollout.status import time
from deployer.routes import route
from deployer.spec import ModelDeployment
from gateway import table

_AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def plan(observed: Observed) -> list[Action]:
    """What to do, in this order: objects, Events, the status, and last what is no longer declared.

    Events come before the status that tells them done: killed between the two, the next operator tells them by the same
    names, and none is lost. What is kept of a rollout is in the status with the route that follows from it.
    """
    if "deletionTimestamp" in observed.resource["metadata"]:  # the garbage collector ends what belongs to it
        return []
    try:
        return _Valid(observed, read(observed.resource)).actions()
    except TurnoutError as error:
        return _say(observed, _Invalid(observed, error).facts(), ())


def _say(observed: Observed, facts: Facts, told: Sequence[Tell | Notify]) -> list[Action]:
    before = observed.said
    after = paced(before, status(facts, before, time(observed.now)), observed.now)
    if after is None:
        return []
    return [*told, *map(Tell, happenings.happenings(before, after)), Say(after)]


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


def _as_it_was(before: DeploymentStatus | None) -> RolloutFacts:
    if before is None:
        return RolloutFacts(None, None, (), None)
    return RolloutFacts(before.rollout, before.rollout_state, before.rollouts, before.order)


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
            roles=None,
            rollout=_as_it_was(before),
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

    def __init__(self, observed: Observed, document: ModelDeployment) -> None:
        """
        Raises:
            CannotRender: it can't be had on this cluster.
        """
        self._observed = observed
        self._document = document
        name, uid = document.metadata.name, observed.resource["metadata"]["uid"]
        self._ours = {identity(there): there for there in observed.live if is_owned(there, uid)}
        self._others = {identity(there): there for there in observed.live if not is_owned(there, uid)}
        there = {made["metadata"]["labels"].get(VERSION_LABEL) for made in self._ours.values()}
        leaving = sorted(version for version in there - document.by_name.keys() if version)
        self._versions = _look(observed, [*document.by_name, *leaving])
        self._services = {version: Id("Service", version_name(name, version)) for version in self._versions}
        foreign = self._foreign(self._services.values())
        self._astray = {version for version, service in self._services.items() if service in foreign}
        self._decision = decide(
            observed.resource, document, observed.said, observed.heard, self._versions, self._astray, observed.now
        )
        floors = self._decision.conduct.floors
        desired = [
            compare.stamped(floored(made, floors.get(made["metadata"]["labels"][VERSION_LABEL], 0)))
            for made in manifests(document, observed.options, Owner(name=name, uid=uid))
        ]
        self._desired = {identity(made): made for made in desired}
        # One that is to go scales until it is gone: applied before that, replicas would go to and fro.
        self._scaled = {
            made["metadata"]["labels"].get(VERSION_LABEL)
            for made in (*desired, *self._ours.values())
            if made["kind"] in _AUTOSCALERS
        }

    def actions(self) -> list[Action]:
        applies, deletes = self._applies(), self._deletes()
        foreign = self._foreign(self._desired)
        going = self._observed.said.route if self._observed.said else None
        roles = self._decision.conduct.roles
        ready = {version.name for version in self._versions.values() if self._carries(version, going)}
        after = self._with_services(route(going, self._document, ready, roles))
        named = _named(self._observed, self._versions) | self._decision.named
        if foreign:
            named["ForeignObject"] = ("NotOurs", "; ".join(foreign.values()))
        if missing := self._autoscalers_missing():
            named["AutoscalerMissing"] = ("AutoscalerMissing", "; ".join(missing))
        facts = Facts(
            generation=self._observed.resource["metadata"]["generation"],
            route=after,
            roles=roles,
            rollout=self._decision.facts,
            declared=list(self._document.by_name),
            versions=self._versions,
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
        return [*applies, *_say(self._observed, facts, self._decision.told), *deletes]

    def _carries(self, version: VersionFacts, going: table.Deployment | None) -> bool:
        """Whether the version can take traffic: its least replicas answer, or one does and it has traffic already."""
        if version.name in self._astray:
            return False
        has_traffic = going is not None and (
            version.name == going.stable or (version.name == going.canary and going.weight > 0)
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
            elif autoscaled:  # to take some away is the autoscaler's, also of those that a rollout has asked for
                desired = compare.with_replicas(desired, live["spec"].get("replicas", 0))
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

    def _foreign(self, asked: Collection[Id]) -> dict[Id, str]:
        """Those of the objects asked for that are somebody else's, with what to tell of each."""
        foreign = {key: why.message for key, why in self._observed.refusals.items() if why.foreign}
        name = self._observed.resource["metadata"]["name"]
        for key, live in self._others.items():
            # What belonged to an earlier deployment of this name is on its way out.
            predecessor = any(owner["kind"] == KIND and owner["name"] == name for owner in owners(live))
            if key in asked and not predecessor:
                foreign[key] = foreign_message(key)
        return {key: message for key, message in foreign.items() if key in asked}

    def _with_services(self, after: table.Deployment) -> table.Deployment:
        name = self._document.metadata.name
        versions = tuple(
            # Nobody is sent to the addresses behind a Service that is not ours.
            version.model_copy(
                update={"service": None if version.name in self._astray else version_name(name, version.name)}
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
