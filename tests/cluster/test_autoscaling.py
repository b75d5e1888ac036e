"""A real HorizontalPodAutoscaler on real CPU time, under load."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.installed import Installed, images
from tests.cluster.load import Load
from tests.fakes.turnout import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

DOCUMENT = {
    "apiVersion": "turnout.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "busy"},
    "spec": {
        "runtime": "tfserving",
        "versions": [
            {
                "name": "v1",
                "model": "models/digits/1",
                # 60m: far above what three replicas with no work take, far below what the heavy load takes of two.
                "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
                "autoscaling": {"minReplicas": 1, "maxReplicas": 3, "target": {"cpu": 60}},
            }
        ],
        "traffic": {"stable": "v1"},
    },
}


@pytest.fixture
def busy(installed: Installed) -> Iterator[Installed]:
    installed.apply(DOCUMENT)
    yield installed
    installed.remove("busy")


def test_replicas_follow_the_load_and_no_request_fails(busy: Installed) -> None:
    busy.settled("busy")

    def ready() -> int:
        return int(busy.get("deployment", "busy-v1").get("status", {}).get("readyReplicas", 0))

    with Load(busy.address, images()[0], name="busy", rate=2) as light:
        with Load(busy.address, images()[0], name="busy", rate=250) as heavy:
            until(lambda: ready() == 3, "there are three replicas", 180)
        until(lambda: ready() == 1, "there is one replica again", 300)
    assert heavy.failures == light.failures == []
    # Ours is not the only writer of `replicas`: the operator has to leave it to the autoscaler.
    managers = busy.get("deployment", "busy-v1")["metadata"].get("managedFields")
    assert managers is None or all(
        "f:replicas" not in manager.get("fieldsV1", {}).get("f:spec", {})
        for manager in managers
        if manager["manager"] == "turnout"
    )
