"""Whether a live object is as it should be. Pure.

The API server fills in fields that nobody wrote, and other parts of the cluster have fields of their own in our
objects: so what is compared is what the live object has in the places that ours names. What ours named earlier and
names no more can't be seen that way; a digest of ours as an annotation shows it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from deployer.kubernetes.objects.kinds import Object
from deployer.kubernetes.objects.names import GROUP

DIGEST_ANNOTATION = f"{GROUP}/digest"
_IDENTITIES = ("mountPath", "name", "containerPort", "port", "uid")
"""What tells the items of a list apart: others may have added some, which are none of our business."""


class Answer(NamedTuple):
    """What the API server made of an object that it was given: `digest` is ours, `seen` what it holds in our places.

    Where it rewrites a value (an amount in another unit), the live object never equals ours. Remembered, the answer
    counts as right, and the object is not applied again and again; after a restart it is applied once more.
    """

    digest: str
    seen: Any


def stamped(desired: Object) -> Object:
    """The object with the digest of itself."""
    digest = hashlib.sha256(json.dumps(desired, sort_keys=True).encode()).hexdigest()[:16]
    metadata = desired["metadata"]
    annotations = {**metadata.get("annotations", {}), DIGEST_ANNOTATION: digest}
    return {**desired, "metadata": {**metadata, "annotations": annotations}}


def answer(desired: Object, live: Object) -> Answer:
    """To remember once `live` has come back for `desired`."""
    return Answer(desired["metadata"]["annotations"][DIGEST_ANNOTATION], projected(live, desired))


def is_as_desired(desired: Object, live: Object, known: Answer | None) -> bool:
    """Whether nothing is to be done; `known` is the answer that the last apply had."""
    seen = projected(live, desired)
    return bool(seen == desired) or (known is not None and known == answer(desired, live))


def projected(live: Any, desired: Any) -> Any:
    """What `live` holds in the places that `desired` names."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return {name: projected(live[name], value) for name, value in desired.items() if name in live}
    if isinstance(desired, list) and isinstance(live, list):
        identity = _identity(desired)
        if identity is not None:
            pairs = [(_with(live, identity, item[identity]), item) for item in desired]
        elif len(live) == len(desired):
            pairs = list(zip(live, desired, strict=True))
        else:
            return live
        return [projected(there, wanted) for there, wanted in pairs]
    return live


def _identity(items: Sequence[Any]) -> str | None:
    """The field that tells these items apart."""
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    for field in _IDENTITIES:
        values = [item.get(field) for item in items]
        if all(isinstance(value, str | int) for value in values) and len(set(values)) == len(values):
            return field
    return None


def _with(items: Sequence[Any], field: str, value: object) -> Any:
    return next((item for item in items if isinstance(item, dict) and item.get(field) == value), None)


def is_scaled(live: Object) -> bool:
    """Whether an autoscaler, or a person by `kubectl scale`, has set the number of replicas since we did."""
    return any(
        entry.get("subresource") == "scale" and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields", ())
    )


def with_replicas(desired: Object, least: int) -> Object:
    """The object with so many replicas at least."""
    return {**desired, "spec": {**desired["spec"], "replicas": max(least, desired["spec"]["replicas"])}}


def without_replicas(desired: Object) -> Object:
    """The object without `spec.replicas`, which then stays as it is."""
    return {**desired, "spec": {name: value for name, value in desired["spec"].items() if name != "replicas"}}
