"""A stand-in for TensorFlow Serving with several models, which many tests ask; servers that answer as a test says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployer.local import environments
from deployer.runtimes.tfserving import process as tfserving
from tests.fakes.loop import LoopThread
from tests.fakes.model_server import ModelServer, free_ports, wait_until
from tests.fakes.rest_servers import Script, Server
from tests.fakes.shared import made_once

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def save(folder: Path) -> None:
        subprocess.run(
            [environments.python("tfserving"), "-I", HERE.parents[1] / "fakes" / "programs" / "savedmodels.py", folder],
            check=True,
        )

    return made_once(tmp_path_factory, "models", save)


@pytest.fixture(scope="session")
def standin(saved_models: Path, demo_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """Several models at once, with each policy, and labels that need their version to be available."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copytree(saved_models / "add" / "1", folder / "growing" / "1")
    digits, add = demo_models / "models" / "digits", saved_models / "add"
    configs = (
        f'name: "digits" base_path: "{digits}" model_version_policy {{ all {{}} }}'
        ' version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }',
        f'name: "newest" base_path: "{add}"',
        f'name: "newest-two" base_path: "{add}" model_version_policy {{ latest {{ num_versions: 2 }} }}',
        f'name: "first" base_path: "{add}" model_version_policy {{ specific {{ versions: 1 }} }}',
        f'name: "echo" base_path: "{saved_models / "echo"}"',
        f'name: "broken" base_path: "{saved_models / "broken"}" version_labels {{ key: "stable" value: 1 }}',
        f'name: "growing" base_path: "{folder / "growing"}"',
        f'name: "absent" base_path: "{folder / "absent"}"',
    )
    config = folder / "models.config"
    config.write_text("model_config_list {" + "".join(f" config {{ {text} }}" for text in configs) + "}")
    rest, grpc_port = free_ports(2)
    python = environments.python("tfserving")
    flags = [f"--port={grpc_port}", f"--rest_api_port={rest}", f"--model_config_file={config}"]
    flags.append("--file_system_poll_wait_seconds=0.2")
    argv = [str(python), "-I", "-u", str(tfserving.STAND_IN), *flags]
    with ModelServer(argv, rest, grpc_port, folder, {"TF_CPP_MIN_LOG_LEVEL": "3"}) as running:
        wait_until(running.listens)
        # Loaded in the order of the configuration, this one last.
        wait_until(lambda: running.ask("GET", "/v1/models/growing/metadata")[0] == 200)
        yield running
        assert "Traceback" not in running.log


@pytest.fixture
def servers() -> Iterator[Callable[[Script], Server]]:
    loop = LoopThread()
    made: list[Server] = []

    def make(script: Script) -> Server:
        made.append(Server(loop, script, 0))
        return made[-1]

    yield make
    for server in made:
        server.close()
    loop.close()
    assert loop.problems == []
