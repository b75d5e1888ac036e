"""What is seen of one deployment's rollout on a cluster. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from deployer.kubernetes.kinds import Object
from deployer.kubernetes.status import DeploymentStatus
from deployer.kubernetes.versions import VersionFacts
from deployer.rollout.evidence import Reading
from deployer.rollout.sight import Sight
from deployer.rollout.signature import Signature
from deployer.rollout.state import OVER, Order, Phase


@dataclass(frozen=True)
class Heard:
    """What others than the API server say of a deployment, as `Sight` has it.

    `in_force`: the least epoch on all gateways that serve; None: one of them doesn't say, or there is none. `asked`:
    the versions that were asked for their signature, whether they have told it or not.
    """

    readings: tuple[Reading, ...] = ()
    unread: tuple[str, ...] = ()
    in_force: int | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()


def is_under_way(resource: Object) -> bool:
    """Whether the deployment has a rollout that is not over: then others are to be heard."""
    phase = ((resource.get("status") or {}).get("rollout") or {}).get("phase")
    return phase is not None and phase not in OVER


def sight(
    now: float,
    said: DeploymentStatus | None,
    heard: Heard,
    versions: Mapping[str, VersionFacts],
    foreign: Collection[str],
    order: tuple[str, Order] | None,
) -> Sight:
    """`said`: the status as it is. `foreign`: versions whose Service is somebody else's: nobody is sent there."""
    route = said.route if said is not None else None
    rollout = said.rollout if said is not None else None
    unready = set(foreign)
    if rollout is not None and rollout.phase is Phase.WARMING and rollout.canary not in heard.asked:
        unready.add(rollout.canary)
    return Sight(
        now=now,
        route=route,
        settled=route is not None and heard.in_force is not None and heard.in_force >= route.epoch,
        ready={name: 0 if name in unready else version.ready for name, version in versions.items()},
        desired={name: version.desired for name, version in versions.items()},
        readings=heard.readings,
        unread=heard.unread,
        metrics=heard.metrics,
        signatures=heard.signatures,
        failures={name: version.failures for name, version in versions.items()},
        order=order,
    )
