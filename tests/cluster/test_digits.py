"""What a newcomer does: install the chart, apply the first example, predict."""

from __future__ import annotations

import time

import httpx
import pytest
from scipy import stats

from tests.cluster.installed import EXAMPLES, Installed, images
from tests.cluster.load import Load
from tests.fakes.turnout import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def digits(installed: Installed) -> Installed:
    installed.apply(EXAMPLES / "digits.yaml")
    return installed


def test_both_versions_answer_over_rest_and_grpc_at_their_weights(digits: Installed) -> None:
    began = time.monotonic()
    pictures, shown = images()

    def answers() -> bool:
        with httpx.Client(trust_env=False) as client:
            answer = client.post(
                f"http://{digits.address}/v1/models/digits:predict", json={"instances": pictures[:1]}, timeout=5
            )
            return answer.is_success

    until(answers, "the first prediction is answered", 120)
    print(f"from apply to the first answer: {time.monotonic() - began:.1f} s")
    digits.settled("digits")
    print(f"until both versions were ready: {time.monotonic() - began:.1f} s")

    with httpx.Client(base_url=f"http://{digits.address}", trust_env=False) as client:
        for version, least in (("v1", 0.5), ("v2", 0.85)):  # of ten digits; v1 is the weaker model
            answer = client.post(
                "/v1/models/digits:predict", json={"instances": pictures}, headers={"x-turnout-version": version}
            )
            assert answer.headers["x-turnout-version"] == version
            seen = [prediction["classes"] for prediction in answer.json()["predictions"]]
            right = sum(a == b for a, b in zip(seen, shown, strict=True))
            assert right >= least * len(shown), f"{version} knows {right} of {len(shown)} digits"

    with Load(digits.address, pictures, rate=200) as load:
        until(lambda: load.sent >= 4000, "4,000 predictions are sent", 240)
    assert load.failures == []
    assert set(load.answered) == {"v1", "v2"}
    fair = stats.binomtest(load.answered["v2"], load.sent, 0.10)
    assert fair.pvalue > 1e-4, load.answered


def test_kubectl_shows_how_things_stand(digits: Installed) -> None:
    digits.settled("digits")
    heading, row = digits.cluster.kubectl("get", "modeldeployments", "digits").splitlines()
    print(heading, row, sep="\n")
    assert heading.split() == ["NAME", "STABLE", "CANARY", "WEIGHT", "ROLLOUT", "PHASE", "READY", "AGE"]
    assert row.split()[:-1] == ["digits", "v1", "v2", "10", "Ready", "2/2"]
    events = digits.list("events")
    assert [event for event in events if event["involvedObject"]["kind"] == "ModelDeployment"]


def test_what_is_deleted_leaves_nothing(digits: Installed) -> None:
    digits.remove("digits")
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"http://{digits.address}/v1/models/digits:predict", json={"instances": [[0]]})
    assert answer.status_code == 404
