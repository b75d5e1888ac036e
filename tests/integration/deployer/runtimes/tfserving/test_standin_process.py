"""The stand-in as the deployer starts, asks and ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from deployer.local import environments, probes
from deployer.runtimes.base import Launch, Process
from deployer.runtimes.tfserving import process as tfserving
from tests.fakes.model_server import ModelServer, free_ports, wait_until

pytestmark = pytest.mark.slow
ZERO = [0.0] * 64


def launched(folder: Path, model: Path, servable: int) -> Process:
    rest, grpc_port = free_ports(2)
    program = environments.python("tfserving")
    return tfserving.command(Launch("my model", "v1", servable, model, rest, grpc_port, folder, program))


def test_as_the_deployer_starts_it(demo_models: Path, tmp_path: Path) -> None:
    process = launched(tmp_path / "replica", demo_models / "models" / "digits" / "2", 7)
    with ModelServer.of(process) as server:
        results = []

        def ready() -> bool:
            results.append(probes.check(process, 10))
            return not isinstance(results[-1], probes.NotYet)

        wait_until(ready)
        assert results[-1] == probes.Ready()
        assert probes.alive([process], 30) == [probes.Life.ANSWERING]
        for pin in ("versions/7", "labels/stable", "labels/canary"):
            assert server.ask("POST", f"/v1/models/my%20model/{pin}:predict", {"instances": [ZERO]})[0] == 200
        listening = {
            connection.laddr.ip
            for connection in psutil.Process(server.process.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}
        # A second one on the same ports says so and ends.
        (tmp_path / "second").mkdir()
        with ModelServer(process.argv, process.rest, process.grpc, tmp_path / "second", process.env) as second:
            assert second.process.wait(60) == 1
            assert "a port can't be had" in second.log
            assert "Traceback" not in second.log
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.log
    assert probes.alive([process], 1) == [probes.Life.GONE]
    assert isinstance(probes.check(process, 1), probes.NotYet)


def test_a_model_that_does_not_load_is_told_and_the_process_stays(saved_models: Path, tmp_path: Path) -> None:
    process = launched(tmp_path, saved_models / "broken" / "1", 1)
    with ModelServer.of(process) as server:
        wait_until(server.listens)
        wait_until(lambda: isinstance(probes.check(process, 10), probes.Failed))
        result = probes.check(process, 10)
        assert isinstance(result, probes.Failed)
        assert result.reason.startswith("the model does not load: ")
        assert "saved_model.pb" in result.reason
        status = server.ask("GET", "/v1/models/my%20model")[1]["model_version_status"][0]
        assert (status["state"], status["status"]["error_code"] != "OK") == ("END", True)
        # The labels stand from the start: what they name is what is missing.
        refused = server.ask("POST", "/v1/models/my%20model/labels/canary:predict", {"instances": [1]})
        assert refused == (404, {"error": "Servable not found for request: Specific(my model, 1)"})
        assert server.process.poll() is None
        assert "Traceback" not in server.log


def test_status_is_told_while_a_model_loads(tmp_path: Path) -> None:
    model = tmp_path / "model" / "1"
    model.mkdir(parents=True)
    os.mkfifo(model / "saved_model.pb")  # whose reader waits until somebody writes
    process = launched(tmp_path / "replica", model, 1)
    with ModelServer.of(process) as server:
        wait_until(server.listens)
        path = "/v1/models/my%20model/versions/1"

        def state() -> str:
            status, answer = server.ask("GET", path)
            return str(answer["model_version_status"][0]["state"]) if status == 200 else ""

        wait_until(lambda: state() == "LOADING")
        result = probes.check(process, 10)
        assert isinstance(result, probes.NotYet)
        assert "404" in result.reason

        def ended() -> bool:
            # Each time that the loader has opened the pipe it gets something, until it gives up.
            with contextlib.suppress(OSError):
                pipe = os.open(model / "saved_model.pb", os.O_WRONLY | os.O_NONBLOCK)
                os.write(pipe, b"garbage")
                os.close(pipe)
            return state() == "END"

        wait_until(ended)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--what=1"], "unrecognized arguments: --what=1"),
        (["--port=1"], "--model_base_path or --model_config_file is needed"),
        (["--model_config_file=/nowhere/at/all"], "No such file or directory"),
        (["--model_base_path=/x", "--allow_version_labels_for_unavailable_models=maybe"], "neither true nor false"),
    ],
)
def test_flags_that_make_no_sense(flags: list[str], text: str) -> None:
    argv = [str(environments.python("tfserving")), "-I", str(tfserving.STAND_IN), *flags]
    ended = subprocess.run(argv, capture_output=True, text=True)
    assert ended.returncode == 2
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr
