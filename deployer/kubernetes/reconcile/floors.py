"""The least replicas that a version needs for the time of a rollout (0018-floors-during-a-rollout). Pure."""

from __future__ import annotations

import copy

from deployer.kubernetes.objects.kinds import Object


def floored(made: Object, floor: int) -> Object:
    """The object of a version with `floor` replicas at least, where it says how many there are. Its autoscaler may
    have more, and goes no lower."""
    if not floor:  # as of nearly all that are ever looked at
        return made
    made = copy.deepcopy(made)
    spec = made.get("spec", {})
    match made["kind"]:
        case "Deployment" | "HorizontalPodAutoscaler":
            _raise(spec, floor)
        case "ScaledObject":
            _raise(spec, floor)
            _raise(spec["fallback"], floor)
        case "SeldonDeployment":
            for predictor in spec["predictors"]:
                _raise(predictor, floor)
                for component in predictor["componentSpecs"]:
                    for scaling in ("hpaSpec", "kedaSpec"):
                        _raise(component.get(scaling, {}), floor)
    return made


def _raise(part: Object, floor: int) -> None:
    for name in ("replicas", "minReplicas", "minReplicaCount"):
        if name in part:
            part[name] = max(part[name], floor)
