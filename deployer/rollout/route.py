"""Which version of a deployment answers what, from the document, the roles and the versions that are ready. Pure.

Weight is given only where it can be answered:

- Moved by hand, a canary without a ready replica has no weight: its share stays with stable until it is ready. In a
  rollout it keeps its weight: the gateway lets stable answer, and counts the failure as the canary's.
- A stable without one keeps its share all the same, unless another was stable before: then that one stays stable until
  the new one is ready, also where it does not answer for a moment. A canary never takes more than its weight, least of
  all because stable is in trouble; requests to a stable that is down are refused while it is started again.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from deployer.document.model import ModelDeployment
from deployer.document.units import seconds
from deployer.rollout.controller import Split
from gateway.contract import route_table


def route(
    before: route_table.Deployment | None, document: ModelDeployment, ready: Container[str], roles: Split
) -> route_table.Deployment:
    """The route that follows `before`; where its versions answer is left to say.

    `ready` has the names of the versions with a replica that answers. A stable version that is no longer declared
    stands last for as long as it is held; a servable number that a declared one has now is the declared one's.
    """
    traffic, rollout = document.spec.traffic, document.spec.rollout
    runtime, spec = document.runtime, document.spec
    versions = [route_table.Version(name=v.name, servable=runtime.servable(spec, v)) for v in spec.versions]
    roles = _answered(before, roles, ready, document.by_name, by_hand=rollout is None)
    if roles.stable not in document.by_name and before is not None:
        held = before.by_name[roles.stable]
        taken = any(version.servable == held.servable for version in versions)
        versions.append(held.model_copy(update={"servable": None}) if taken else held)
    split = (roles.stable, roles.canary, roles.weight)
    known = (before.stable, before.canary, before.weight) if before is not None else None
    epoch = before.epoch if before is not None else -1
    slow = rollout.objectives.slow if rollout is not None else None
    return route_table.Deployment(
        namespace=document.metadata.namespace,
        name=document.metadata.name,
        runtime=runtime.speaks(spec).name,
        stable=roles.stable,
        canary=roles.canary,
        weight=roles.weight,
        epoch=epoch if split == known else epoch + 1,
        # Gateways count evidence where there is a salt, sticky or not.
        salt=roles.salt if traffic.sticky is not None or rollout is not None else "",
        sticky=route_table.Sticky(**traffic.sticky.model_dump()) if traffic.sticky is not None else None,
        match=tuple(route_table.Match(header=match.header, version=match.version) for match in traffic.match),
        slow=seconds(slow.over) if slow is not None else None,
        timeout=seconds(spec.timeout) if spec.timeout is not None else None,
        max_message_bytes=spec.max_message_bytes,
        cors=spec.cors.origins if spec.cors is not None else (),
        versions=tuple(versions),
    )


def _answered(
    before: route_table.Deployment | None,
    roles: Split,
    ready: Container[str],
    declared: Container[str],
    *,
    by_hand: bool,
) -> Split:
    """The roles, as far as versions are ready for them."""
    if before is not None and before.stable != roles.stable and roles.stable not in ready:
        if not by_hand and before.canary == roles.stable and before.canary in declared:
            return replace(roles, stable=before.stable, canary=before.canary, weight=before.weight, salt=before.salt)
        roles = replace(roles, stable=before.stable)
    if roles.canary == roles.stable:
        roles = replace(roles, canary=None)
    if roles.canary is None or (by_hand and roles.canary not in ready):
        roles = replace(roles, weight=0.0)
    return roles
