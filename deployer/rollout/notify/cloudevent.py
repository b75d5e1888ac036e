"""What happens to a rollout, as a CloudEvent 1.0 in JSON: https://github.com/cloudevents/spec/tree/v1.0.2. Pure."""

from __future__ import annotations

from typing import Any

from deployer.rollout.events import Event
from deployer.rollout.state import Rollout
from deployer.rollout.status import time

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


def cloud_event(deployment: str, rollout: Rollout | None, event: Event, now: float) -> dict[str, Any]:
    """What is sent of `event`, which was seen at `now` (seconds since 1970) in the `deployment` (namespace/name).

    Its id is another for each event, so that who gets it twice can tell.
    """
    number = rollout.number if rollout is not None else 0
    data: dict[str, Any] = {"deployment": deployment, "rollout": number}
    if rollout is not None:
        data |= {
            "stable": rollout.trial.stable,
            "canary": rollout.trial.canary,
            "phase": rollout.phase.value,
            "weight": rollout.weight,
        }
    return {
        "specversion": "1.0",
        "id": f"{number}-{event.reason}-{now:.3f}",
        "source": f"/modeldeployments/{deployment}",
        "type": f"dev.turnout.rollout.{event.reason.lower()}",
        "time": time(now),
        "datacontenttype": "application/json",
        "data": data | {"reason": event.reason, "message": event.message, "warning": event.warning},
    }
