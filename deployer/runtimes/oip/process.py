"""MLServer, a server of the Open Inference Protocol: how one version is run, asked for its health and warmed. Pure.

It serves one model: of the deployment's name, in one version of our version's name. So a request that pins a version is
right as it is, wherever the gateway sends it (0006-one-server-per-version). It runs in the model's folder, so a runtime
class of the user's own may lie there, and finds what it needs by relative paths.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from deployer.runtimes.base import HOST, GrpcCall, Launch, Process, RestCall
from protos import methods, oip_pb2

_QUIET = {
    "version": 1,
    "incremental": True,
    # The last line of the log tells why it ended: not that the ports were closed in good order.
    "loggers": {"uvicorn.error": {"level": "WARNING"}, "mlserver.grpc": {"level": "WARNING"}},
}


def command(launch: Launch) -> Process:
    """The process that serves `launch`: the real MLServer, in the environment whose Python `launch.program` is.

    Raises:
        ValueError: the launch has no implementation.
    """
    if launch.implementation is None:
        raise ValueError(f"{launch.deployment}: MLServer has to be told by an implementation what loads the model")
    path = f"/v2/models/{quote(launch.deployment, safe='')}"
    ready = oip_pb2.ModelReadyRequest(name=launch.deployment, version=launch.version)
    return Process(
        server="mlserver",
        # -B: no __pycache__ in the user's folder.
        argv=(
            *(str(launch.program), "-I", "-B", "-u", str(launch.program.with_name("mlserver"))),
            *("start", str(launch.folder)),
        ),
        env=launch.env,
        cwd=launch.model if launch.model.is_dir() else launch.model.parent,
        files={
            launch.folder / "settings.json": json.dumps(_settings(launch)),
            launch.folder / launch.deployment / "model-settings.json": model_settings(
                launch.deployment, launch.version, launch.implementation, str(launch.model)
            ),
        },
        links={},
        rest=launch.rest,
        grpc=launch.grpc,
        ready=RestCall("GET", f"{path}/versions/{quote(launch.version, safe='')}/ready"),
        # Answered as soon as the port is open, but both ports are one process with one model, and REST is asked first.
        ready_grpc=GrpcCall(methods.OIP_MODEL_READY.path, ready.SerializeToString()),
        warmup=None if launch.warmup is None else RestCall("POST", f"{path}/infer", json.dumps(launch.warmup).encode()),
        warmup_grpc=None,
    )


def _settings(launch: Launch) -> dict[str, object]:
    return {
        "host": HOST,
        "http_port": launch.rest,
        "grpc_port": launch.grpc,
        "metrics_endpoint": None,  # else it takes a third port; the gateway counts
        "parallel_workers": 0,  # else it is several processes
        "debug": False,
        "logging_settings": _QUIET,
    }


def model_settings(name: str, version: str, implementation: str, uri: str) -> str:
    """The text of a `model-settings.json` for the model at `uri`, which an `implementation` loads."""
    settings = {"name": name, "implementation": implementation, "parameters": {"uri": uri, "version": version}}
    return json.dumps(settings)
