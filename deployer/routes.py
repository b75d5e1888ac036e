"""Which version of a deployment answers what, from the document and the versions that are ready. Pure.

Weight is given only where it can be answered:

- A canary without a ready replica has no weight: its share stays with stable until it is ready.
- A stable without one keeps its share all the same, unless another was stable before: then that one stays stable until
  the new one is ready, also where it does not answer for a moment. A canary never takes more than its weight, least of
  all because stable is in trouble; requests to a stable that is down are refused while it is started again.
"""

from __future__ import annotations

from collections.abc import Container

from deployer.spec import ModelDeployment, Spec
from gateway import table
from gateway.table import Runtime


def route(before: table.Deployment | None, document: ModelDeployment, ready: Container[str]) -> table.Deployment:
    """The route that follows `before`; where its versions answer is left to say.

    `ready` has the names of the versions with a replica that answers. A stable version that is no longer declared
    stands last for as long as it is held; a servable number that a declared one has now is the declared one's.
    """
    traffic = document.spec.traffic
    stable, canary = traffic.stable, traffic.canary
    versions = [table.Version(name=v.name, servable=_servable(document, v.name)) for v in document.spec.versions]
    if before is not None and before.stable != stable and stable not in ready:
        stable = before.stable
        if stable not in document.by_name:
            held = before.by_name[stable]
            taken = any(version.servable == held.servable for version in versions)
            versions.append(held.model_copy(update={"servable": None}) if taken else held)
    if canary == stable:
        canary = None
    weight = traffic.weight if canary is not None and canary in ready else 0.0
    known = (before.stable, before.canary, before.weight, before.epoch) if before is not None else (None, None, 0.0, -1)
    return table.Deployment(
        namespace=document.metadata.namespace,
        name=document.metadata.name,
        runtime=_spoken(document.spec),
        stable=stable,
        canary=canary,
        weight=weight,
        epoch=known[3] if (stable, canary, weight) == known[:3] else known[3] + 1,
        versions=tuple(versions),
    )


_OF_SELDON: dict[str, Runtime] = {"seldon": "seldon", "tensorflow": "tfserving", "v2": "oip"}
"""What servers of the runtime seldon speak, by their protocol."""


def _spoken(spec: Spec) -> Runtime:
    return _OF_SELDON[spec.seldon.protocol] if spec.runtime == "seldon" else spec.runtime


def _servable(document: ModelDeployment, version: str) -> int | None:
    """The number that a pin may carry: MLServer's versions have names alone, TensorFlow's and Triton's are numbers."""
    spec = document.spec
    numbered = _spoken(spec) == "tfserving" or (spec.runtime == "oip" and spec.oip.server == "triton")
    return document.by_name[version].number if numbered else None
