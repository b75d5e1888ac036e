"""A deployment whose second version has a fault of tests/e2e/programs/faulty, and how its rollout should end."""

from __future__ import annotations

from typing import Any, NamedTuple

NAME = "faulty"
BODY = {"data": {"ndarray": [[1.0, 2.0, 3.0, 4.0]]}}
PATH = f"/seldon/default/{NAME}/api/v1.0/predictions"


class Fault(NamedTuple):
    name: str
    reason: str
    """What the record of its rollout says, as a regular expression."""
    harmless: bool
    """Whether no user sees a failure."""
    unseen: bool = False
    """Whether it gets no request at all."""


FAULTS = (
    Fault("errors", r"errors: .*worse", False),
    Fault("slow", r"slow: .*worse", True),
    Fault("rejections", r"rejections: .*worse", False),
    Fault("start", r"exit|end|start|fail", True, unseen=True),
    Fault("crash", r"errors: .*worse|end|fail", True),
    Fault("hang", r"(slow|errors): .*worse", False),
    Fault("signature", r"signature .*(input|output)", True, unseen=True),
)

# Nothing could be promoted within a test's time, if a thousandth of the requests were a matter.
_OBJECTIVE = {"negligible": 0.05}


def document(versions: dict[str, dict[str, Any]], **rollout: Any) -> dict[str, Any]:
    """`versions`: what each has besides its name. With a second one, the first's canary, there is a rollout."""
    stable, *others = versions
    # Where it isn't what is looked for, only what hangs is slow: on a busy machine a good version is late now and then.
    is_slow = bool(others) and versions[others[0]].get("env", {}).get("FAULT") == "slow"
    trial = {
        "steps": [20, 50],
        "interval": "3s",
        "deadline": "60s",
        "bake": "3s",
        "objectives": {
            "errors": _OBJECTIVE,
            "rejections": _OBJECTIVE,
            "slow": {"over": "80ms" if is_slow else "2s", "negligible": 0.05},
        },
        **rollout,
    }
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME},
        "spec": {
            "runtime": "seldon",
            "versions": [{"name": name, "warmup": BODY, **version} for name, version in versions.items()],
            "traffic": {"stable": stable, **({"canary": others[0]} if others else {})},
            **({"rollout": trial} if others else {}),
        },
    }
