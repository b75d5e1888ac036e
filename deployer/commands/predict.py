"""`turnout predict`: one prediction through the gateway."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
import grpc
import httpx
from google.protobuf import json_format

from deployer.commands import options
from deployer.errors import TurnoutError
from deployer.local import oip_tensors
from deployer.local.following import named, status, supervised
from deployer.local.state import State
from deployer.local.tensors import columns, nested, tensor
from deployer.spec import ModelDeployment
from protos import methods, seldon_pb2, tfs_pb2

TIMEOUT = 60.0
"""Seconds; the gateway's own deadline."""
VERSION = "x-turnout-version"


class Answer(NamedTuple):
    """What was answered, and by which version."""

    version: str
    content: Any


@click.command()
@click.argument("name")
@click.argument("data")
@click.option("--version", help="Ask this version, whatever its share.")
@click.option("--grpc", "over_grpc", is_flag=True, help="Ask over gRPC rather than REST.")
@options.state
@options.output
def predict(name: str, data: str, version: str | None, over_grpc: bool, state: State, output: str) -> None:
    """Send DATA to NAME and show the answer, and which version gave it.

    DATA is JSON in the runtime's REST form, or a list of instances alone; @FILE reads it from a file, - from standard
    input.
    """
    document = named(state, name)
    if version is not None:
        document.version(version)
    body = _body(document.spec.runtime, _data(data))
    supervised(state)
    now = status(state, document.key)
    if now is None or not now.address:
        raise TurnoutError(f"the gateway is not ready yet{f': {now.message}' if now else ''}")
    pins = {"x-turnout-deployment": document.key} | ({VERSION: version} if version else {})
    ask = _over_grpc if over_grpc else _over_rest
    answer = ask(now.address, document, body, pins)
    if output == "json":
        options.show_as_json({"version": answer.version, "answer": answer.content})
    else:
        options.show_as_json(answer.content)
        options.note(f"answered by {answer.version}")


def _data(text: str) -> Any:
    place = "the data"
    try:
        if text == "-":
            place = "standard input"
            text = sys.stdin.read()
        elif text.startswith("@"):
            place = text[1:]
            text = Path(place).read_text()
        return json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise TurnoutError(f"{place} can't be read: {getattr(error, 'strerror', None) or error}") from None
    except json.JSONDecodeError as error:
        raise TurnoutError(f"{place} is no JSON: {error}; for example [[1.0, 2.0]]") from None


def _body(runtime: str, data: Any) -> dict[str, Any]:
    if isinstance(data, dict):
        return data
    rows = data if isinstance(data, list) else [data]
    if runtime == "oip":
        return oip_tensors.body(rows)
    return {"instances": rows} if runtime == "tfserving" else {"data": {"ndarray": rows}}


def _over_rest(address: str, document: ModelDeployment, body: dict[str, Any], pins: dict[str, str]) -> Answer:
    name = document.metadata.name
    path = {
        "tfserving": f"/v1/models/{name}:predict",
        "seldon": f"/seldon/{document.metadata.namespace}/{name}/api/v1.0/predictions",
        "oip": f"/v2/models/{name}/infer",
    }[document.spec.runtime]
    try:
        answer = httpx.post(f"http://{address}{path}", json=body, headers=pins, timeout=TIMEOUT, trust_env=False)
        content = answer.json()
    except httpx.HTTPError as error:
        raise TurnoutError(f"the gateway at {address} did not answer: {type(error).__name__} {error}") from None
    except ValueError:
        raise TurnoutError(f"the answer ({answer.status_code}) is no JSON: {answer.text[:300]}") from None
    version = answer.headers.get(VERSION, "")
    if not answer.is_success:
        raise TurnoutError(f"{version or 'the gateway'} answered {answer.status_code}: {json.dumps(content)}")
    return Answer(version, content)


def _over_grpc(address: str, document: ModelDeployment, body: dict[str, Any], pins: dict[str, str]) -> Answer:
    ask = {"tfserving": _ask_tfserving, "seldon": _ask_seldon, "oip": _ask_oip}[document.spec.runtime]
    try:
        with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            return ask(channel, document, body, pins)
    except grpc.RpcError as error:
        if not isinstance(error, grpc.Call):
            raise TurnoutError(f"the gateway at {address} did not answer: {error}") from None
        version = _answered_by(error.initial_metadata()) or _answered_by(error.trailing_metadata())
        what = f"{error.code().name}: {error.details()}"
        raise TurnoutError(f"{version or 'the gateway'} answered {what}") from None


def _ask_tfserving(
    channel: grpc.Channel, document: ModelDeployment, body: dict[str, Any], pins: dict[str, str]
) -> Answer:
    signature = str(body.get("signature_name", "serving_default"))
    spec = tfs_pb2.ModelSpec(name=document.metadata.name, signature_name=signature)
    described, _ = _call(
        channel,
        methods.GET_MODEL_METADATA,
        tfs_pb2.GetModelMetadataRequest(model_spec=tfs_pb2.ModelSpec(name=spec.name), metadata_field=["signature_def"]),
        pins,
    )
    signatures = tfs_pb2.SignatureDefMap.FromString(described.metadata["signature_def"].value).signature_def
    if signature not in signatures:
        raise TurnoutError(f"the model has no signature {signature}; it has {', '.join(sorted(signatures))}")
    inputs = signatures[signature].inputs
    given = columns(body, sorted(inputs))
    if given.keys() != set(inputs):
        raise TurnoutError(f"the model's inputs are {', '.join(sorted(inputs))}, not {', '.join(sorted(given))}")
    request = tfs_pb2.PredictRequest(model_spec=spec)
    for name, value in given.items():
        request.inputs[name].CopyFrom(tensor(value, inputs[name].dtype, name))
    answer, version = _call(channel, methods.PREDICT, request, pins)
    return Answer(version, {"outputs": {name: nested(output) for name, output in sorted(answer.outputs.items())}})


def _ask_seldon(channel: grpc.Channel, document: ModelDeployment, body: dict[str, Any], pins: dict[str, str]) -> Answer:
    request = seldon_pb2.SeldonMessage()
    try:
        json_format.ParseDict(body, request)
    except json_format.ParseError as error:
        raise TurnoutError(f"the data is no SeldonMessage: {error}") from None
    address = {"seldon": document.metadata.name, "namespace": document.metadata.namespace}
    answer, version = _call(channel, methods.SELDON_PREDICT, request, pins | address)
    return Answer(version, json_format.MessageToDict(answer))


def _ask_oip(channel: grpc.Channel, document: ModelDeployment, body: dict[str, Any], pins: dict[str, str]) -> Answer:
    request = oip_tensors.request(body)
    request.model_name = document.metadata.name
    answer, version = _call(channel, methods.OIP_MODEL_INFER, request, pins)
    return Answer(version, oip_tensors.response(answer))


def _call(
    channel: grpc.Channel,
    method: methods.Method[methods.Request, methods.Response],
    request: methods.Request,
    metadata: dict[str, str],
) -> tuple[methods.Response, str]:
    """The answer, and the version that gave it."""
    call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
    answer, done = call.with_call(request, timeout=TIMEOUT, metadata=tuple(metadata.items()))
    return answer, _answered_by(done.initial_metadata())


def _answered_by(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    version = dict(metadata or ()).get(VERSION, "")
    return version if isinstance(version, str) else version.decode()


COMMANDS: tuple[click.Command, ...] = (predict,)
