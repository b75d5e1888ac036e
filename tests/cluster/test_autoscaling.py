"""A real HorizontalPodAutoscaler on real CPU time, under load."""

from __future__ import annotations

import pytest

from tests.cluster.installed import Installed, images
from tests.cluster.load import Load
from tests.support.turnout import until

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
                "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}},
                "autoscaling": {"minReplicas": 1, "maxReplicas": 3, "target": {"cpu": 60}},
            }
        ],
        "traffic": {"stable": "v1"},
    },
}


def test_replicas_follow_the_load_and_no_request_fails(installed: Installed) -> None:
    installed.apply(DOCUMENT)
    installed.settled("busy")

    def ready() -> int:
        return int(installed.get("deployment", "busy-v1").get("status", {}).get("readyReplicas", 0))

    with Load(installed.address, images()[0], name="busy", rate=10) as light:
        with Load(installed.address, images()[0], name="busy", rate=150) as heavy:
            until(lambda: ready() == 3, "there are three replicas", 180)
        until(lambda: ready() == 1, "there is one replica again", 300)
    assert heavy.failures == light.failures == []
    # Ours is not the only writer of `replicas`: the operator has to leave it to the autoscaler.
    managers = installed.get("deployment", "busy-v1")["metadata"].get("managedFields")
    assert managers is None or all(
        "f:replicas" not in manager.get("fieldsV1", {}).get("f:spec", {})
        for manager in managers
        if manager["manager"] == "turnout"
    )
    installed.remove("busy")
