"""Seldon's Python microservice: how one version is run, asked for its health and warmed. Pure.

The model is a Python file that holds a class of the file's name: `Digits.py` with `class Digits`. The process runs in
the file's folder, as it does in Seldon's images, so the class finds its weights by relative paths.
"""

from __future__ import annotations

import json
from pathlib import Path

from google.protobuf import json_format

from deployer.runtimes.base import GrpcCall, Launch, Process, RestCall
from protos import methods, seldon_pb2

LAUNCHER = Path(__file__).resolve().parent / "launcher.py"


def command(launch: Launch) -> Process:
    """The process that serves `launch`: the real microservice, in the environment whose Python `launch.program` is.

    Raises:
        ValueError: the warm-up is no Seldon message.
    """
    return Process(
        server="seldon-core-microservice",
        # -B: no __pycache__ in the user's folder.
        argv=(str(launch.program), "-I", "-B", "-u", str(LAUNCHER), launch.model.stem),
        env={
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(launch.rest),
            "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(launch.grpc),
            **launch.env,
        },
        cwd=launch.model.parent,
        files={},
        links={},
        rest=launch.rest,
        grpc=launch.grpc,
        # Answered by the class's `health_status` where it has one, and never before its `load` is through.
        ready=RestCall("GET", "/health/status"),
        ready_grpc=GrpcCall("/seldon.protos.Model/Metadata", b""),
        warmup=(
            None
            if launch.warmup is None
            else RestCall("POST", "/api/v1.0/predictions", json.dumps(launch.warmup).encode())
        ),
        # gRPC is served by a process of its own with a model of its own: it needs a warm-up too.
        warmup_grpc=None if launch.warmup is None else GrpcCall(methods.SELDON_PREDICT.path, _message(launch.warmup)),
    )


def _message(body: object) -> bytes:
    try:
        return json_format.Parse(json.dumps(body), seldon_pb2.SeldonMessage()).SerializeToString()
    except json_format.ParseError as error:
        raise ValueError(f"the warm-up is no Seldon message: {error}") from None
