"""Happenings as CloudEvents: the attributes that the specification asks for, and what a receiver can go by."""

from __future__ import annotations

import json
import re

from deployer.rollout.events import Event
from deployer.rollout.notify.cloudevent import CONTENT_TYPE, cloud_event
from deployer.rollout.state import Phase, Rollout, VersionPair
from deployer.rollout.strategy import Plan

NOW = 1_800_000_000.25
PLAN = Plan((5.0,), 60.0, 3600.0, 600.0, ())
ROLLOUT = Rollout(VersionPair("v1", "v2"), PLAN, NOW, number=3, phase=Phase.ROLLING_BACK, weight=5.0)
BACK = Event("RollingBack", "v2 loses its traffic to v1: errors", True)


def test_what_is_told() -> None:
    assert CONTENT_TYPE == "application/cloudevents+json; charset=utf-8"
    made = cloud_event("vision/digits", ROLLOUT, BACK, NOW)
    assert made == {
        "specversion": "1.0",
        "id": "3-RollingBack-1800000000.250",
        "source": "/modeldeployments/vision/digits",
        "type": "dev.turnout.rollout.rollingback",
        "time": "2027-01-15T08:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "deployment": "vision/digits",
            "rollout": 3,
            "stable": "v1",
            "canary": "v2",
            "phase": "rolling back",
            "weight": 5.0,
            "reason": "RollingBack",
            "message": "v2 loses its traffic to v1: errors",
            "warning": True,
        },
    }
    assert json.loads(json.dumps(made)) == made


def test_names_of_attributes_and_what_must_be_there() -> None:
    made = cloud_event("vision/digits", None, BACK, NOW)
    assert made.keys() >= {"specversion", "id", "source", "type"}
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in made), "by the specification's naming conventions"
    assert made["data"]["rollout"] == 0


def test_each_has_an_id_of_its_own() -> None:
    others = [
        cloud_event("vision/digits", ROLLOUT, BACK, NOW + 0.001),
        cloud_event("vision/digits", ROLLOUT, Event("RolledBack", "x"), NOW),
        cloud_event("vision/digits", None, BACK, NOW),
    ]
    ids = {made["id"] for made in [cloud_event("vision/digits", ROLLOUT, BACK, NOW), *others]}
    assert len(ids) == 4
