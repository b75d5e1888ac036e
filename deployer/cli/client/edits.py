"""Changes of a deployment's document, and how two documents differ in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from deployer.document.model import ModelDeployment, Traffic
from deployer.errors import TurnoutError
from deployer.local.policy.status import DeploymentStatus


def shared(document: ModelDeployment, shares: Mapping[str, float]) -> ModelDeployment:
    """With the traffic split into `shares`, percent by version: of stable and the canary, or, where there is no
    canary, of stable and any other version, which becomes it.

    Raises:
        TurnoutError: a version is unknown or has no part in the traffic, or the shares are no split.
    """
    traffic = document.spec.traffic
    for name in shares:
        document.version(name)
    others = [name for name in shares if name != traffic.stable]
    canary = traffic.canary or next(iter(others), None)
    for name in others:
        if name != canary:
            raise TurnoutError(
                f"{name} of {document.key} takes no traffic now: stable is {traffic.stable}, canary is {canary}; "
                "change the roles in the document and apply it"
            )
    example = f"{traffic.stable}=90 {canary}=10" if canary else f"{traffic.stable}=100"
    for name, share in shares.items():
        if not 0 <= share <= 100:
            raise TurnoutError(f"{name} can't have {share:g} % of the traffic; write 0 to 100, for example {example}")
    if round(total := sum(shares.values()), 6) != 100:
        raise TurnoutError(f"the shares have to sum to 100, not {total:g}; for example {example}")
    weight = 100 - shares[traffic.stable] if traffic.stable in shares else 100.0
    return _with(document, traffic.stable, canary, round(weight, 6))


def promoted(document: ModelDeployment) -> ModelDeployment:
    """With the canary as stable and no canary. The version that was stable goes on without traffic.

    One change of the route table brings it into force: no request meets a state in between.

    Raises:
        TurnoutError: there is no canary.
    """
    return _with(document, _canary(document, "promote"), None, 0)


def rolled_back(document: ModelDeployment) -> ModelDeployment:
    """With all traffic on stable. The canary goes on without.

    Raises:
        TurnoutError: there is no canary.
    """
    return _with(document, document.spec.traffic.stable, _canary(document, "roll back"), 0)


def differences(
    before: ModelDeployment | None, after: ModelDeployment, status: DeploymentStatus | None = None
) -> Iterator[str]:
    """What `after` changes, a line each; nothing where they are equal.

    With the `status`, the split that there is comes from there: a rollout or an undo may have made it another than the
    document's before.
    """
    if before is None:
        yield "new, with " + ", ".join(after.by_name)
        yield f"traffic {traffic(after)}"
        return
    if before.spec.runtime != after.spec.runtime:
        yield f"runtime {before.spec.runtime} → {after.spec.runtime}"
    for name, version in after.by_name.items():
        old = before.by_name.get(name)
        if old is None:
            yield f"version {name} is new"
        elif old != version:
            fields = [f for f in type(version).model_fields if getattr(old, f) != getattr(version, f)]
            yield f"version {name} has another {', '.join(fields)}"
    for name in before.by_name:
        if name not in after.by_name:
            yield f"version {name} goes"
    if before.spec.rollout != after.spec.rollout:
        yield (
            "the plan of its rollout is new" if after.spec.rollout else "its rollout goes: the weight is yours to move"
        )
    there = _current(status) if status is not None and status.versions else traffic(before)
    changes = before.spec.traffic != after.spec.traffic
    # With a rollout the weight is not the document's: only who is stable can change by it.
    follows = after.spec.rollout is None or before.spec.traffic.stable != after.spec.traffic.stable
    if changes or (follows and there != traffic(after)):
        yield f"traffic {there} → {traffic(after)}"


def _current(status: DeploymentStatus) -> str:
    """The split that there is, in words."""
    shares = [(one.name, one.share, one.role) for one in status.versions if one.role is not None]
    ordered = sorted(shares, key=lambda share: share[2] != "stable")
    return ", ".join(f"{name} {share:g} %{' (canary)' * (role == 'canary')}" for name, share, role in ordered)


def traffic(document: ModelDeployment) -> str:
    """The declared split in words."""
    split = document.spec.traffic
    stable = f"{split.stable} {100 - split.weight:g} %"
    return stable if split.canary is None else f"{stable}, {split.canary} {split.weight:g} % (canary)"


def _canary(document: ModelDeployment, what: str) -> str:
    split = document.spec.traffic
    if split.canary is None:
        others = [name for name in document.by_name if name != split.stable]
        hint = f"; `turnout traffic {document.metadata.name} {others[0]}=100` sends all to it" if others else ""
        raise TurnoutError(
            f"{document.key} has no canary to {what}: {split.stable} is stable and has all traffic{hint}"
        )
    return split.canary


def _with(document: ModelDeployment, stable: str, canary: str | None, weight: float) -> ModelDeployment:
    try:
        split = Traffic(stable=stable, canary=canary, weight=float(weight))
    except ValidationError as error:
        raise TurnoutError(str(error.errors()[0]["ctx"]["error"])) from None  # two decimals: nothing else can be wrong
    return document.model_copy(update={"spec": document.spec.model_copy(update={"traffic": split})})
