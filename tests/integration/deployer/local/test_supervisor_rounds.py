"""A supervisor's rounds, one by one, with processes of its own and a gateway that answers as the test says."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from deployer.document.model import ModelDeployment
from deployer.local import environments
from deployer.local.gateway_process import Gateway, Options
from deployer.local.policy.plan import End
from deployer.local.processes import Processes, intended
from deployer.local.replicas import Run
from deployer.local.state_folder import Record, StateFolder
from deployer.local.supervisor import Supervisor
from deployer.rollout.state import Action
from gateway.contract import route_table
from gateway.contract.state import State as GatewayState
from gateway.contract.state import VersionState
from tests.fakes.turnout import until


def test_nothing_is_settled_before_its_table_is_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version has become ready, and the table in force does not have its endpoint yet."""
    monkeypatch.setattr(environments, "program", lambda runtime: Path(sys.executable))
    monkeypatch.setattr(Gateway, "look", lambda self, now, urgent: False)
    state = StateFolder(tmp_path / "state")
    spec = {"runtime": "tfserving", "versions": [{"name": "v1", "model": "/m/1"}], "traffic": {"stable": "v1"}}
    head = {"apiVersion": "turnout.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "digits"}}
    state.write_document(ModelDeployment.model_validate(head | {"spec": spec}))
    version = route_table.Version(name="v1", servable=1)
    digits = route_table.Deployment(
        namespace="default", name="digits", runtime="tfserving", stable="v1", versions=(version,)
    )
    state.routes.write_bytes(route_table.write(route_table.RouteTable(revision=1, deployments=(digits,))))
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    processes = Processes()
    identity = processes.start(intended(), argv, {}, tmp_path, tmp_path / "log")
    try:
        ports = {"rest": 1, "grpc": 2}
        state.write_record(
            Record(deployment="default/digits", version="v1", index=0, identity=identity, ports=ports, ready=True)
        )
        gateway = Gateway(state, Options())
        gateway._latest = GatewayState(ready=True, why="", revision=1)
        supervisor = Supervisor(state, gateway, print)
        supervisor.begin()
        observed = supervisor.observe()
        assert observed is not None
        assert observed.table.revision == 2
        status = json.loads(state.status("default/digits") or b"{}")
        assert (status["versions"][0]["ready"], status["inForce"], status["settled"]) == (1, False, False)
    finally:
        processes.signal(identity, signal.SIGKILL)
        until(lambda: processes.ending(identity) is not None, "the process has ended")


def test_at_rest_only_news_asks_for_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "program", lambda runtime: Path(sys.executable))
    monkeypatch.setattr(Gateway, "look", lambda self, now, urgent: False)
    monkeypatch.setattr(Run, "digest", lambda self: "")
    state = StateFolder(tmp_path / "state")
    spec = {"runtime": "tfserving", "versions": [{"name": "v1", "model": "/m/1"}], "traffic": {"stable": "v1"}}
    head = {"apiVersion": "turnout.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "digits"}}
    document = ModelDeployment.model_validate(head | {"spec": spec})
    state.write_document(document)
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    processes = Processes()
    ours = [processes.start(intended(), argv, {}, tmp_path, tmp_path / "log") for _ in range(2)]
    try:
        gateway = Gateway(state, Options())
        gateway._latest = GatewayState(ready=True, why="", revision=9)
        for (deployment, version, ports), identity in zip(
            (("default/digits", "v1", {"rest": 1, "grpc": 2}), ("", "gateway", gateway.ports)), ours, strict=True
        ):
            state.write_record(
                Record(deployment=deployment, version=version, index=0, identity=identity, ports=ports, ready=True)
            )
        supervisor = Supervisor(state, gateway, print)
        supervisor.begin()

        def rests() -> bool:
            observed = supervisor.observe()
            for action in supervisor.plan(observed):
                supervisor.apply(action)
            return observed is None

        def wakes() -> bool:
            return supervisor.observe() is not None

        until(rests, "all is at rest")
        assert json.loads(state.status("default/digits") or b"{}")["settled"]
        assert rests()
        state.write_action("default/digits", Action.PAUSE)
        assert wakes()
        until(rests, "all is at rest again")
        state.write_document(document)
        assert wakes()
        until(rests, "all is at rest again")
        processes.signal(ours[0], signal.SIGKILL)
        until(wakes, "a process has ended")
    finally:
        for identity in ours:
            processes.signal(identity, signal.SIGKILL)
        until(lambda: all(processes.ending(identity) for identity in ours), "the processes have ended")


def test_a_replica_that_leaves_has_as_long_as_a_request_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the route table that was, since its document is gone."""
    now = time.monotonic()
    monkeypatch.setattr("deployer.local.supervisor.time.monotonic", lambda: now)
    monkeypatch.setattr(environments, "program", lambda runtime: Path(sys.executable))
    monkeypatch.setattr(Gateway, "look", lambda self, now, urgent: False)
    state = StateFolder(tmp_path / "state")
    ports = {"rest": 1, "grpc": 2}
    version = route_table.Version(name="v1", servable=1, endpoints=(route_table.Endpoint(host="127.0.0.1", **ports),))
    digits = route_table.Deployment(
        namespace="default", name="digits", runtime="tfserving", stable="v1", versions=(version,), timeout=300
    )
    state.routes.write_bytes(route_table.write(route_table.RouteTable(revision=1, deployments=(digits,))))
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    processes = Processes()
    ours = [processes.start(intended(), argv, {}, tmp_path, tmp_path / "log") for _ in range(2)]
    try:
        gateway = Gateway(state, Options())
        busy = VersionState(deployment="default/digits", version="v1", in_flight={"127.0.0.1:1": 1})
        gateway._latest = GatewayState(ready=True, why="", revision=9, versions=(busy,))
        for (deployment, name, at), identity in zip(
            (("default/digits", "v1", ports), ("", "gateway", gateway.ports)), ours, strict=True
        ):
            state.write_record(
                Record(deployment=deployment, version=name, index=0, identity=identity, ports=at, ready=True)
            )
        supervisor = Supervisor(state, gateway, print)
        supervisor.begin()

        def drained() -> bool:
            observed = supervisor.observe()
            assert observed is not None
            for action in supervisor.plan(observed):
                if not isinstance(action, End):
                    supervisor.apply(action)
            return next(replica.drained for replica in observed.seen if replica.version == "v1")

        assert not drained()
        now += 300
        assert not drained()
        now += 11
        assert drained()
    finally:
        monkeypatch.undo()  # the clock goes again
        for identity in ours:
            processes.signal(identity, signal.SIGKILL)
        until(lambda: all(processes.ending(identity) for identity in ours), "the processes have ended")
