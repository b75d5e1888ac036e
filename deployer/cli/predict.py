"""`turnout predict`: one prediction through the gateway."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
import grpc
import httpx
from pydantic_core import from_json

from deployer.cli import options
from deployer.cli.client.wait import named, status, supervised
from deployer.document.model import ModelDeployment
from deployer.document.units import seconds
from deployer.errors import TurnoutError
from deployer.local.state_folder import StateFolder
from deployer.runtimes.base import GrpcCall
from gateway.contract import headers

TIMEOUT = 60.0
"""Seconds: gateways' own deadline, where the document has none."""
MAX_DATA = 64 << 20
"""Bytes: what a request may have where the gateway says nothing else."""
VERSION = headers.VERSION.decode()


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
def predict(name: str, data: str, version: str | None, over_grpc: bool, state: StateFolder, output: str) -> None:
    """Send DATA to NAME and show the answer, and which version gave it.

    DATA is JSON in the runtime's REST form, or a list of instances alone; @FILE reads it from a file, - from standard
    input.
    """
    document = named(state, name)
    if version is not None:
        document.version(version)
    content = _data(data)
    body = content if isinstance(content, dict) else document.runtime.protocol.body(_rows(content))
    supervised(state)
    now = status(state, document.key)
    if now is None or not now.address:
        raise TurnoutError(f"the gateway is not ready yet{f': {now.message}' if now else ''}")
    pins = {headers.DEPLOYMENT.decode(): document.key} | ({VERSION: version} if version else {})
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
            content = sys.stdin.buffer.read(MAX_DATA + 1)
        elif text.startswith("@"):
            place = text[1:]
            with Path(place).open("rb") as file:
                content = file.read(MAX_DATA + 1)
        else:
            content = os.fsencode(text)  # as it was typed, whatever this terminal's letters are
        if len(content) > MAX_DATA:
            raise TurnoutError(f"{place} is over {MAX_DATA} bytes, more than a request may have")
        return from_json(content)
    except OSError as error:
        raise TurnoutError(f"{place} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise TurnoutError(f"{place} is no JSON: {error}; for example [[1.0, 2.0]]") from None


def _rows(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _over_rest(address: str, document: ModelDeployment, body: dict[str, Any], pins: dict[str, str]) -> Answer:
    path = document.runtime.protocol.path(document.metadata.namespace, document.metadata.name)
    try:
        answer = httpx.post(
            f"http://{address}{path}",
            content=json.dumps(body).encode(),  # NaN too, which httpx refuses: what to say of it is the model's matter
            headers={"content-type": "application/json", **pins},
            timeout=_deadline(document),
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise TurnoutError(f"the gateway at {address} did not answer: {type(error).__name__} {error}") from None
    try:
        content = from_json(answer.content)
    except ValueError:
        raise TurnoutError(f"the answer ({answer.status_code}) is no JSON: {answer.text[:300]}") from None
    version = answer.headers.get(VERSION, "")
    if not answer.is_success:
        raise TurnoutError(f"{version or 'the gateway'} answered {answer.status_code}: {json.dumps(content)}")
    return Answer(version, content)


def _over_grpc(address: str, document: ModelDeployment, body: dict[str, Any], pins: dict[str, str]) -> Answer:
    protocol, namespace, name = document.runtime.protocol, document.metadata.namespace, document.metadata.name
    metadata = pins | protocol.metadata(namespace, name)
    exchange = protocol.exchange(name, body)
    try:
        with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            call = next(exchange)
            while True:
                message, version = _call(channel, call, metadata, _deadline(document))
                try:
                    call = exchange.send(message)
                except StopIteration as done:
                    return Answer(version, done.value)
    except grpc.RpcError as error:
        if not isinstance(error, grpc.Call):
            raise TurnoutError(f"the gateway at {address} did not answer: {error}") from None
        version = _answered_by(error.initial_metadata()) or _answered_by(error.trailing_metadata())
        what = f"{error.code().name}: {error.details()}"
        raise TurnoutError(f"{version or 'the gateway'} answered {what}") from None


def _deadline(document: ModelDeployment) -> float:
    return TIMEOUT if document.spec.timeout is None else seconds(document.spec.timeout)


def _call(channel: grpc.Channel, call: GrpcCall, metadata: dict[str, str], deadline: float) -> tuple[bytes, str]:
    """The answer, and the version that gave it."""
    send = channel.unary_unary(call.path, _as_it_is, _as_it_is)
    answer, done = send.with_call(call.message, timeout=deadline, metadata=tuple(metadata.items()))
    return answer, _answered_by(done.initial_metadata())


def _as_it_is(message: bytes) -> bytes:
    return message


def _answered_by(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    version = dict(metadata or ()).get(VERSION, "")
    return version if isinstance(version, str) else version.decode()
