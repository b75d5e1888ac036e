from __future__ import annotations

from pathlib import Path

import pytest

from deployer.document.model import ModelDeployment
from deployer.errors import TurnoutError
from deployer.local.desired import Desired
from deployer.local.gateway_process import GATEWAY
from deployer.local.state_folder import StateFolder

ANT, BEE = "default/ant", "default/bee"


def document(name: str, weight: float = 10.0) -> ModelDeployment:
    versions = [{"name": version, "model": f"/models/{name}/{version[1:]}"} for version in ("v1", "v2")]
    return ModelDeployment.model_validate(
        {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name},
            "spec": {
                "runtime": "tfserving",
                "versions": versions,
                "traffic": {"stable": "v1", "canary": "v2", "weight": weight},
            },
        }
    )


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """With two documents."""
    state = StateFolder(tmp_path)
    for name in ("ant", "bee"):
        state.write_document(document(name))
    return state


def test_what_has_not_changed_is_not_read_again(state: StateFolder) -> None:
    desired = Desired(state)
    assert desired.refresh([]) == {ANT, BEE}
    assert desired.refresh([]) == set()
    bee = desired.documents[BEE]
    state.write_document(document("ant", 20.0))
    assert desired.refresh([]) == {ANT}
    assert desired.documents[ANT].spec.traffic.weight == 20.0
    assert desired.documents[BEE] is bee
    state.delete_document(ANT)
    assert desired.refresh([]) == {ANT}
    assert desired.documents == {BEE: bee}


def test_who_applies_a_document_has_it_tried_at_once(state: StateFolder) -> None:
    desired = Desired(state)
    desired.refresh([])
    for key in (ANT, BEE):
        desired.troubles[key, "v1"].failed("no memory", 0.0, 0.5)
    desired.troubles[GATEWAY].failed("the port is taken", 0.0, 0.5)
    state.write_document(document("ant"))
    desired.refresh([])
    failures = {version[0]: desired.troubles[version].backoff.failures for version in ((ANT, "v1"), (BEE, "v1"))}
    assert failures == {ANT: 0, BEE: 1}
    assert desired.troubles[GATEWAY].backoff.failures == 0


def test_one_that_can_not_be_read_keeps_all_as_they_were_until_it_can(state: StateFolder, tmp_path: Path) -> None:
    desired = Desired(state)
    desired.refresh([])
    state.write_document(document("ant", 20.0))
    broken = tmp_path / "documents" / "default.bee.json"
    broken.write_text("{")
    with pytest.raises(TurnoutError, match=str(broken)):
        desired.refresh([])
    assert desired.documents[ANT].spec.traffic.weight == 10.0
    assert desired.refresh([]) == set()  # told once
    state.write_document(document("bee", 30.0))
    assert desired.refresh([]) == {ANT, BEE}
    assert [desired.documents[key].spec.traffic.weight for key in (ANT, BEE)] == [20.0, 30.0]


def test_what_cannot_be_read_just_now_is_read_by_the_next_round(state: StateFolder, tmp_path: Path) -> None:
    desired = Desired(state)
    desired.refresh([])
    path = tmp_path / "documents" / "default.bee.json"
    path.unlink()
    path.symlink_to("/proc/self/mem")  # a file, of which no read from its start succeeds
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            desired.refresh([])
    assert desired.documents.keys() == {ANT, BEE}
