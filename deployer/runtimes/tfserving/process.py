"""TensorFlow Serving: how one version is run, asked for its health and warmed. Pure.

Each version has a server of its own, which serves exactly one servable under the deployment's name, labelled stable and
canary at once: a request that pins a version or a label is then right as it is, wherever the gateway sends it
(0006-one-server-per-version). Our stand-in takes the same flags as the real server. It listens on 127.0.0.1 unless told
otherwise; the real one has no flag for that and listens on all addresses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deployer.runtimes.base import GrpcCall, Launch, Process, RestCall
from protos import methods, tfs_pb2

MODEL_SERVER = "tensorflow_model_server"
STAND_IN = Path(__file__).resolve().parent / "standin" / "__main__.py"
_THREADS = ("--tensorflow_intra_op_parallelism=1", "--tensorflow_inter_op_parallelism=2")
# One core a request: several replicas share this machine, and answers don't depend on how sums were split up.


def command(launch: Launch) -> Process:
    """The process that serves `launch`: the real server if `launch.program` is one, else our stand-in.

    Raises:
        ValueError: the launch has no servable number.
    """
    number = launch.servable
    if number is None:
        raise ValueError(f"{launch.deployment}: TensorFlow Serving needs a servable number")
    base, links = launch.model.parent, {}
    if launch.model.name != str(number):
        # The server finds a version by the name of its folder.
        base = launch.folder / "model"
        links = {base / str(number): launch.model}
    config = launch.folder / "models.config"
    real = launch.program.name == MODEL_SERVER
    path = f"/v1/models/{quote(launch.deployment, safe='')}/versions/{number}"
    return Process(
        server=MODEL_SERVER if real else "stand-in",
        argv=(
            *((str(launch.program),) if real else (str(launch.program), "-I", "-u", str(STAND_IN))),
            f"--port={launch.grpc}",
            f"--rest_api_port={launch.rest}",
            f"--model_config_file={config}",
            "--allow_version_labels_for_unavailable_models=true",
            # A model that does not load is told at once, not after five more tries of a minute each.
            "--max_num_load_retries=0",
            *_THREADS,
        ),
        env={"TF_CPP_MIN_LOG_LEVEL": "1", **launch.env},
        cwd=launch.folder,
        files={config: model_config(launch.deployment, str(base), number)},
        links=links,
        rest=launch.rest,
        grpc=launch.grpc,
        # Not `/v1/models/M`, which answers 200 whatever the state (docs/decisions/0017-probes-that-tell-the-truth.md).
        ready=RestCall("GET", f"{path}/metadata"),
        ready_grpc=_metadata_call(launch.deployment, number),
        warmup=None if launch.warmup is None else _predict(path, launch.warmup),
        # Both ports are one process with one session: what is warm over REST is warm over gRPC.
        warmup_grpc=None,
        status=RestCall("GET", path),
        failure=failure,
        derive=lambda metadata: derived_warmup(metadata, path),
    )


def failure(status: Any) -> str | None:
    """Why the servable ended, by the answer to `/v1/models/M/versions/N`; None while it may still become available."""
    match status:
        case {"model_version_status": [{"state": "END", "status": {"error_message": str(message)}}, *_]}:
            return message or "the model server has ended the model without an error"
    return None


def derived_warmup(metadata: Any, path: str) -> RestCall | None:
    """One prediction of zeros by the signature in the answer to `…/metadata`; None if it has no plain tensors.

    Each unknown dimension is taken as 1. A signature over serialized examples can't be met by made-up values.
    """
    match metadata:
        case {"metadata": {"signature_def": {"signature_def": dict(signatures)}}}:
            for name, signature in sorted(signatures.items(), key=lambda item: item[0] != "serving_default"):
                if signature.get("method_name") == "tensorflow/serving/predict" and signature.get("inputs"):
                    inputs = {key: _zeros(info) for key, info in signature["inputs"].items()}
                    if None not in inputs.values():
                        return _predict(path, {"signature_name": name, "inputs": inputs})
    return None


def _predict(path: str, body: object) -> RestCall:
    return RestCall("POST", f"{path}:predict", json.dumps(body).encode())


def _metadata_call(name: str, number: int) -> GrpcCall:
    request = tfs_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = name
    request.model_spec.version.value = number
    return GrpcCall(methods.GET_MODEL_METADATA.path, request.SerializeToString())


def model_config(name: str, base: str, number: int) -> str:
    """The text of `--model_config_file`: servable `number` of the folder or address `base`, served under `name`."""
    labels = "".join(f'    version_labels {{ key: "{label}" value: {number} }}\n' for label in ("stable", "canary"))
    return (
        "model_config_list {\n  config {\n"
        f"    name: {_quoted(name)}\n    base_path: {_quoted(base)}\n"
        '    model_platform: "tensorflow"\n'
        f"    model_version_policy {{ specific {{ versions: {number} }} }}\n"
        f"{labels}  }}\n}}\n"
    )


def _quoted(text: str) -> str:
    """Text as protobuf's text format has it: bytes that could mean anything there are written in octal."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b"\"'\\" else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'


# The types that TF-Serving takes over REST.
_NUMBERS = ("FLOAT", "DOUBLE", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT32", "UINT64")
_ZERO: dict[str, object] = {"DT_STRING": "", "DT_BOOL": False, **{f"DT_{number}": 0 for number in _NUMBERS}}
_MOST_ZEROS = 10_000_000


def _zeros(info: Any) -> object:
    """Nested lists of zeros in the form of one input; None if its type or rank is not known, or it is huge."""
    shape = info.get("tensor_shape", {})
    value = _ZERO.get(info.get("dtype"))
    if value is None or shape.get("unknown_rank"):
        return None
    count = 1
    for dimension in reversed(shape.get("dim", [])):
        size = max(int(dimension["size"]), 1) if int(dimension["size"]) else 0
        count *= size
        if count > _MOST_ZEROS:
            return None
        value = [value] * size
    return value
