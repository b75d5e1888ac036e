"""Triton: how one version is run, asked for its health and warmed. Pure.

It serves one model, of the deployment's name: a model's whole folder, or one version's, whose number callers may pin
(0006-one-server-per-version). Models of the Python backend alone run on this machine, since the wheel has no other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deployer.runtimes.base import HOST, GrpcCall, Launch, Process, RestCall
from protos import methods, oip_pb2

LAUNCHER = Path(__file__).resolve().parent / "launcher.py"


def command(launch: Launch) -> Process:
    """The process that serves `launch`: the real Triton, in the environment whose Python `launch.program` is."""
    number = "" if launch.servable is None else str(launch.servable)
    path = f"/v2/models/{quote(launch.deployment, safe='')}"
    ready = oip_pb2.ModelReadyRequest(name=launch.deployment, version=number)
    return Process(
        server="tritonserver",
        argv=(
            *(str(launch.program), "-I", "-u", str(LAUNCHER), str(launch.folder), str(launch.model)),
            f"{launch.deployment}/{number}".rstrip("/"),
            f"--http-address={HOST}",
            f"--http-port={launch.rest}",
            f"--grpc-address={HOST}",
            f"--grpc-port={launch.grpc}",
            "--allow-metrics=false",  # else it takes a third port; the gateway counts
            # A model that does not load is told of by the server, which else ends without a word on why.
            "--exit-on-error=false",
            "--log-info=false",
        ),
        env=launch.env,
        cwd=launch.folder,
        files={},
        links={},
        rest=launch.rest,
        grpc=launch.grpc,
        ready=RestCall("GET", f"{path}/versions/{number}/ready" if number else f"{path}/ready"),
        ready_grpc=GrpcCall(methods.OIP_MODEL_READY.path, ready.SerializeToString()),
        warmup=None if launch.warmup is None else RestCall("POST", f"{path}/infer", json.dumps(launch.warmup).encode()),
        # Both ports are one process with one model.
        warmup_grpc=None,
        status=RestCall("POST", "/v2/repository/index"),
        failure=failure,
    )


def failure(index: Any) -> str | None:
    """Why the model will not be served, by the answer to `/v2/repository/index`; None while it may be."""
    for model in index if isinstance(index, list) else ():
        match model:
            case {"state": "UNAVAILABLE", "reason": str(reason)} if reason:
                return reason
    return None
