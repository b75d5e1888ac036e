"""Operator and gateways go to the release after and back, one before the other, under load: both orders, all mixtures.

The release after has a contract of one field more (tests/cluster/rig/next_release). While the two programs differ,
traffic moves by hand, and a rollout gathers evidence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from scipy import stats

from gateway.contract.skew import CONTRACT
from tests.cluster.installed import RELEASE, SYSTEM, Installed, images
from tests.cluster.load import Load
from tests.cluster.operators import define
from tests.cluster.rig.images import CHECKOUT, NEXT_RELEASE
from tests.cluster.space import is_ready
from tests.fakes.turnout import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SPLIT, ROLLED, ALONE = "upgraded", "upgraded-rolls-out", "upgraded-alone"
"""Deployments: moved by hand; in a rollout; with one version, to ask for what only the release after has."""
NEXT = CONTRACT + 1
REFUSAL = "status.route: it requires what this release does not know: mirror"
MATCH = [{"header": {"x-team": "vision"}, "version": "v1"}]


def document(name: str, *versions: int, rollout: dict[str, Any] | None = None) -> dict[str, Any]:
    resources = {"requests": {"cpu": "100m", "memory": "256Mi"}}
    roles = dict(zip(("stable", "canary"), (f"v{number}" for number in versions), strict=False))
    return {
        "apiVersion": "turnout.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "runtime": "tfserving",
            "versions": [
                {"name": f"v{number}", "model": f"models/digits/{number}", "resources": resources}
                for number in versions
            ],
            "traffic": roles,
            **({"rollout": rollout} if rollout else {}),
        },
    }


def rollout() -> dict[str, Any]:
    """It stays at its first step for as long as the test goes on."""
    objective = {"negligible": 0.02}
    objectives = {"errors": objective, "rejections": objective, "slow": {"over": "5s", "negligible": 0.05}}
    return {"steps": [20, 50], "interval": "1h", "deadline": "2h", "objectives": objectives}


def definition(folders: str) -> dict[str, Any]:
    """The resource's, as the release says that these folders on PYTHONPATH are."""
    program = "import json; from deployer.kubernetes.crd.definition import crd; print(json.dumps(crd()))"
    command, env = (sys.executable, "-c", program), {**os.environ, "PYTHONPATH": folders}
    found: dict[str, Any] = json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
    return found


class Fleet:
    """The two programs on the cluster, and what they make of the deployments."""

    def __init__(self, installed: Installed) -> None:
        self._installed = installed
        (container,) = self._deployment("operator")["spec"]["template"]["spec"]["containers"]
        self._image: str = container["image"]

    def define(self, folders: str) -> None:
        define(self._installed.cluster, definition(folders))

    def replace(self, program: str, contract: int) -> None:
        """Replace the program by the one of that contract's release."""
        image = self._image if contract == CONTRACT else f"{self._image.rpartition(':')[0]}:next"
        where, name = ("--namespace", SYSTEM), f"deployment/{RELEASE}-{program}"
        self._installed.cluster.kubectl("set", "image", name, f"{program}={image}", *where)
        self._installed.cluster.kubectl("rollout", "status", name, "--timeout", "180s", *where)
        if program == "gateway":
            until(lambda: {page["contract"] for page in self.pages("state")} == {contract}, "the gateways are replaced")
        else:
            until(lambda: self.route(SPLIT)["contract"] == contract, "the operator is replaced")

    def pages(self, page: str) -> list[Any]:
        """Of each gateway that is there to stay."""
        pods = self._installed.list("pods", "app.kubernetes.io/component=gateway", SYSTEM)
        with httpx.Client(trust_env=False, timeout=10) as client:
            return [client.get(f"http://{pod['status']['podIP']}:8081/{page}").json() for pod in pods if is_ready(pod)]

    def served(self, name: str) -> list[Any]:
        """The deployment as each gateway has it."""
        tables = [page["table"]["deployments"] for page in self.pages("table")]
        return [one for table in tables for one in table if one["name"] == name]

    def refused(self) -> list[dict[str, str]]:
        """By each gateway."""
        return [page["refused"] for page in self.pages("state")]

    def route(self, name: str) -> Any:
        return self.status(name)["route"]

    def status(self, name: str) -> Any:
        return self._installed.get("modeldeployment", name)["status"]

    def patch(self, name: str, traffic: dict[str, Any]) -> None:
        self._installed.patch(name, {"traffic": traffic})

    def _deployment(self, program: str) -> Any:
        return self._installed.get("deployment", f"{RELEASE}-{program}", SYSTEM)


class Traffic:
    """The load on all of them, and what has to be so whichever programs run."""

    def __init__(self, fleet: Fleet, split: Load, rolled: Load, alone: Load) -> None:
        self._fleet = fleet
        self._split, self._rolled, self._alone = split, rolled, alone
        self._began: str = fleet.status(ROLLED)["rollout"]["began"]

    def moves(self, weight: float) -> None:
        """A weight set by hand is soon in force, and all loads go on."""
        self._fleet.patch(SPLIT, {"weight": weight})
        until(
            lambda: (found := self._fleet.served(SPLIT)) and {one["weight"] for one in found} == {weight},
            f"the weight is {weight}",
        )
        before, alone = self._split.answered.copy(), self._alone.sent
        until(lambda: self._split.answered.total() >= before.total() + 400, "the load goes on")
        counts = self._split.answered - before
        share = stats.binomtest(counts["v2"], counts.total(), weight / 100)
        assert share.pvalue > 1e-6, (weight, counts)
        until(lambda: self._alone.sent > alone + 5, "the one alone is asked")
        assert [*self._split.failures, *self._rolled.failures, *self._alone.failures] == []

    def counts(self) -> None:
        """The rollout is the one that it was, where it was, and its evidence grows."""
        status = self._fleet.status(ROLLED)
        before = self._evidence(status)
        after = until(lambda: (now := self._evidence(self._fleet.status(ROLLED))) > before + 20 and now, "it grows")
        status = self._fleet.status(ROLLED)
        rollout = status["rollout"]
        assert (rollout["number"], rollout["phase"], rollout["step"], rollout["began"]) == (1, "step", 0, self._began)
        assert (status["weight"], status.get("rollouts", [])) == (20, [])
        assert after > before

    @staticmethod
    def _evidence(status: Any) -> int:
        return int(status["rollout"]["evidence"][0]["canaryRequests"])


@pytest.fixture(scope="module")
def fleet(installed: Installed) -> Iterator[Fleet]:
    installed.apply(document(SPLIT, 1, 2))
    installed.apply(document(ROLLED, 1, 2, rollout=rollout()))
    installed.apply(document(ALONE, 1))
    installed.settled(SPLIT)
    installed.settled(ALONE)
    fleet = Fleet(installed)
    until(lambda: (fleet.status(ROLLED).get("rollout") or {}).get("phase") == "step", "the rollout is at a step", 180)
    yield fleet
    for name in (SPLIT, ROLLED, ALONE):
        installed.remove(name)


@pytest.fixture
def traffic(installed: Installed, fleet: Fleet) -> Iterator[Traffic]:
    with ExitStack() as stack:
        rates = {SPLIT: 60, ROLLED: 40, ALONE: 5}
        loads = [
            stack.enter_context(Load(installed.address, images()[0], name=name, rate=rate))
            for name, rate in rates.items()
        ]
        until(lambda: all(load.sent > 10 for load in loads), "the loads run")
        until(lambda: fleet.status(ROLLED)["rollout"].get("evidence"), "there is evidence")
        yield Traffic(fleet, *loads)
    for load in loads:
        assert load.failures == []
    split, rolled, alone = loads
    assert (set(split.answered), set(rolled.answered), set(alone.answered)) == ({"v1", "v2"}, {"v1", "v2"}, {"v1"})
    for load in (split, rolled):  # else an answer of the other version would look the same
        assert any(load.digits["v1", image] != load.digits.get(("v2", image)) for image in range(50))


def test_the_operator_first(fleet: Fleet, traffic: Traffic) -> None:
    fleet.define(f"{NEXT_RELEASE}:{CHECKOUT}")
    fleet.replace("operator", NEXT)
    traffic.moves(50)
    traffic.counts()
    # What gateways of the release before can't do is not done by halves, and keeps nothing else.
    fleet.patch(ALONE, {"mirror": "v1", "match": MATCH})
    until(lambda: fleet.route(ALONE)["requires"] == ["mirror"], "the gateways are asked for it")
    refusal = {f"default/{ALONE}": REFUSAL}
    until(lambda: (found := fleet.refused()) and all(one == refusal for one in found), "it is refused, and it alone")
    traffic.moves(80)
    assert [one["match"] for one in fleet.served(ALONE)] == [[], []], "as it was before"
    fleet.replace("gateway", NEXT)
    assert [(one["mirror"], one["match"]) for one in fleet.served(ALONE)] == [("v1", MATCH)] * 2
    assert fleet.refused() == [{}, {}]
    traffic.moves(30)
    traffic.counts()
    # Back. What the release before doesn't know has to leave the documents first.
    fleet.patch(ALONE, {"mirror": None, "match": []})
    until(lambda: [one["mirror"] for one in fleet.served(ALONE)] == [None, None], "nothing asks for it any more")
    fleet.replace("operator", CONTRACT)
    traffic.moves(60)
    traffic.counts()
    fleet.replace("gateway", CONTRACT)
    fleet.define(str(CHECKOUT))
    traffic.moves(20)
    traffic.counts()


def test_the_gateways_first(fleet: Fleet, traffic: Traffic) -> None:
    fleet.define(f"{NEXT_RELEASE}:{CHECKOUT}")
    fleet.replace("gateway", NEXT)
    traffic.moves(50)
    traffic.counts()
    fleet.replace("operator", NEXT)
    fleet.patch(ALONE, {"mirror": "v1"})
    until(lambda: [one["mirror"] for one in fleet.served(ALONE)] == ["v1", "v1"], "the gateways have the field")
    traffic.moves(80)
    traffic.counts()
    fleet.patch(ALONE, {"mirror": None})
    until(lambda: [one["mirror"] for one in fleet.served(ALONE)] == [None, None], "nothing asks for it any more")
    fleet.replace("gateway", CONTRACT)
    traffic.moves(30)
    traffic.counts()
    fleet.replace("operator", CONTRACT)
    fleet.define(str(CHECKOUT))
    traffic.moves(20)
    traffic.counts()
