"""What is asked of a rollout by an annotation comes back as it was written. What becomes of it: test_look.py."""

from __future__ import annotations

import pytest

from deployer.kubernetes.rollout.action_annotation import ANNOTATION, taken, written
from deployer.kubernetes.status.model import DeploymentStatus
from deployer.rollout.state import Action, Phase
from deployer.rollout.status import RolloutStatus

UNDER_WAY = RolloutStatus(
    number=1, phase=Phase.STEP, stable="v1", canary="v2", step=0, weight=5, began="2026-01-01T00:00:00Z"
)


@pytest.mark.parametrize("order", [Action.PAUSE, Action.PROMOTE, Action.ROLLBACK])
def test_an_order_is_read_as_it_was_written(order: Action) -> None:
    text = written(order, 7, "a1")
    assert text == f"{order}:7:a1"
    resource = {"metadata": {"generation": 7, "annotations": {ANNOTATION: text}}}
    status, found = taken(resource, DeploymentStatus(rollout=UNDER_WAY))
    assert found == (text, order)
    assert status is not None
    assert (status.text, status.refused) == (text, "")
