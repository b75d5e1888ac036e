"""What to do for one ModelDeployment, in four steps: observe (the target does), decide, render, diff. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployer.document.model import ModelDeployment
from deployer.errors import TurnoutError
from deployer.kubernetes.manifests import Options, Owner, manifests
from deployer.kubernetes.objects.kinds import Id, Object, identity
from deployer.kubernetes.objects.names import VERSION_LABEL, version_name
from deployer.kubernetes.reconcile import compare
from deployer.kubernetes.reconcile.actions import Action, Apply, Changes, Delete, Notify, Say, Tell
from deployer.kubernetes.reconcile.compare import Answer
from deployer.kubernetes.reconcile.floors import floored
from deployer.kubernetes.reconcile.observed import Observed
from deployer.kubernetes.rollout.checkpoint_codec import decoded
from deployer.kubernetes.status.conditions import as_decided, as_refused, paced
from deployer.kubernetes.status.events import status_events
from deployer.kubernetes.status.model import DeploymentStatus
from deployer.kubernetes.status.version_health import WORKLOADS, VersionFacts, is_available
from deployer.rollout import checkpoint as keeping
from deployer.rollout import controller
from deployer.rollout.controller import Decision
from deployer.rollout.notify.cloudevent import cloud_event
from deployer.rollout.observation import Observation
from deployer.rollout.route import route
from gateway.contract import route_table

_AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def plan(observed: Observed) -> list[Action]:
    """What to do, in this order: objects, Events, the status, and last what is no longer declared.

    Events come before the status that tells them done: killed between the two, the next operator tells them by the same
    names, and none is lost. What is kept of a rollout is in the status with the route that follows from it.
    """
    if "deletionTimestamp" in observed.resource["metadata"]:  # the garbage collector ends what belongs to it
        return []
    try:
        decision = decide(observed)
        desired = render(observed.document, decision, observed.options, observed.owner)
    except TurnoutError as error:  # what runs goes on as it is
        return _report(observed, as_refused(observed, error), [])
    changes = diff(desired, observed)
    status = as_decided(observed, decision, _route(observed, decision), desired, changes)
    return [*changes.applies, *_report(observed, status, _events(observed, decision)), *changes.deletes]


def decide(observed: Observed) -> Decision:
    """What is to be of the traffic.

    Raises:
        InvalidSpec: the spec can't be carried out.
    """
    text = observed.status.rollout_checkpoint if observed.status is not None else None
    checkpoint = keeping.read(decoded(text)) if text is not None else None
    return controller.decide(observed.document, checkpoint, _observation(observed))


def render(document: ModelDeployment, decision: Decision, options: Options, owner: Owner) -> dict[Id, Object]:
    """The objects that there should be.

    Raises:
        CannotRender: the document can't be had on this cluster.
    """
    desired = {}
    for made in manifests(document, options, owner):
        floor = decision.floors.get(made["metadata"]["labels"][VERSION_LABEL], 0)
        desired[identity(made)] = compare.stamped(floored(made, floor))
    return desired


def diff(desired: Mapping[Id, Object], observed: Observed) -> Changes:
    """What to write, and what to delete: of versions no longer declared, those that the route doesn't have any more."""
    ours, known = observed.ours, observed.answers
    # One that is to go scales until it is gone: applied before that, replicas would go to and fro.
    scaled = {_version(one) for one in (*desired.values(), *ours.values()) if one["kind"] in _AUTOSCALERS}
    applies = [
        _apply(one, ours.get(key), _version(one) in scaled, known.get(key))
        for key, one in desired.items()
        if key not in observed.others
    ]
    declared = {_version(one) for one in desired.values()}
    routed = observed.route.by_name if observed.route is not None else {}
    running = {
        _version(one) for key, one in ours.items() if key in desired and key.kind in WORKLOADS and is_available(one)
    }
    deletes = []
    for key, live in ours.items():
        version = _version(live)
        if key in desired or "deletionTimestamp" in live["metadata"]:
            continue
        if version not in declared:
            if version not in routed:
                deletes.append(Delete(live, version))
        elif key.kind not in WORKLOADS or version in running:  # another kind of workload runs the version now
            deletes.append(Delete(live, None))
    return Changes([apply for apply in applies if apply is not None], deletes)


def _apply(desired: Object, live: Object | None, scaled: bool, known: Answer | None) -> Apply | None:
    """Unless it is as desired. `scaled`: an autoscaler looks after its version."""
    if live is None:
        return Apply(desired, None)
    autoscaled = scaled and desired["kind"] == "Deployment"
    if autoscaled and compare.is_scaled(live):
        desired = compare.without_replicas(desired)
    elif autoscaled:  # to take some away is the autoscaler's, also of those that a rollout has asked for
        desired = compare.with_replicas(desired, live["spec"].get("replicas", 0))
    if compare.is_as_desired(desired, live, known):
        return None
    # With replicas, it must not come after the autoscaler's first word.
    return Apply(desired, live, if_unchanged=autoscaled and "replicas" in desired["spec"])


def _version(made: Object) -> str | None:
    return made["metadata"]["labels"].get(VERSION_LABEL)  # type: ignore[no-any-return]


def _observation(observed: Observed) -> Observation:
    route, polled, versions = observed.route, observed.polled, observed.versions
    return Observation(
        now=observed.now,
        route=route,
        settled=route is not None and polled.in_force is not None and polled.in_force >= route.epoch,
        ready={name: 0 if name in observed.astray else version.ready for name, version in versions.items()},
        desired={name: version.desired for name, version in versions.items()},
        readings=polled.readings,
        unread=polled.unread,
        metrics=polled.metrics,
        signatures=polled.signatures,
        asked=polled.asked,
        failures={name: version.failures for name, version in versions.items()},
        action=observed.action[1],
    )


def _route(observed: Observed, decision: Decision) -> route_table.Deployment:
    """The route that follows. Nobody is sent to the addresses behind a Service that is not ours."""
    ready = {version.name for version in observed.versions.values() if _carries(observed, version)}
    after = route(observed.route, observed.document, ready, decision.roles)
    versions = tuple(
        one.model_copy(
            update={"service": None if one.name in observed.astray else version_name(observed.name, one.name)}
        )
        for one in after.versions
    )
    return after.model_copy(update={"versions": versions})


def _carries(observed: Observed, version: VersionFacts) -> bool:
    """Whether the version can take traffic: its least replicas answer, or one does and it has traffic already."""
    going, declared = observed.route, observed.document.by_name.get(version.name)
    if version.name in observed.astray:
        return False
    has_traffic = going is not None and (
        version.name == going.stable or (version.name == going.canary and going.weight > 0)
    )
    return version.ready >= (1 if has_traffic or declared is None else declared.replicas[0])


def _events(observed: Observed, decision: Decision) -> list[Tell | Notify]:
    """What has happened to the rollout, as Events, and for whom the document names."""
    declared, rollout = observed.document.spec.rollout, decision.checkpoint.rollout
    events: list[Tell | Notify] = [*map(Tell, decision.events)]
    if declared is not None and declared.notify is not None:
        key, now = observed.document.key, observed.now
        events += [Notify(declared.notify, cloud_event(key, rollout, one, now)) for one in decision.events]
    return events


def _report(observed: Observed, status: DeploymentStatus, events: Sequence[Tell | Notify]) -> list[Action]:
    """The status, if it is to be written now, after the Events that it tells done."""
    written = paced(observed.status, status, observed.now)
    if written is None:
        return []
    return [*events, *map(Tell, status_events(observed.status, written)), Say(written)]
