from __future__ import annotations

from dataclasses import replace

import pytest

from deployer.kubernetes.status.events import as_object
from deployer.rollout.events import Event
from tests.fakes.cluster import resource

READY = Event("VersionReady", "version v1 is ready")
NOW = "2026-01-02T03:04:05Z"


def name(announced: Event, **metadata: str) -> str:
    found = resource()
    found["metadata"] |= metadata
    made: str = as_object(announced, found, NOW)["metadata"]["name"]
    return made


def test_the_same_of_the_same_status_is_one_event() -> None:
    assert name(READY) == as_object(READY, resource(), "2027-01-01T00:00:00Z")["metadata"]["name"]
    assert name(READY).startswith("digits.")


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_what_happens_again_is_another(field: str) -> None:
    assert name(READY) != name(READY, **{field: "other"})


def test_what_else_happens_is_another() -> None:
    assert name(READY) != name(replace(READY, message="version v2 is ready"))


def test_an_event_says_no_more_than_the_api_server_takes() -> None:
    assert len(as_object(replace(READY, message="x" * 5000), resource(), NOW)["message"]) == 1024
