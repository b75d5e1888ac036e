"""What routing needs to know of a request, whatever protocol it came in, and what each protocol must be able to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from gateway.protocols.text import shown
from gateway.refusal import Code, Refusal
from gateway.routing.router import Pin


class Address(NamedTuple):
    """Which deployment a request is for, and what goes upstream.

    `name` is "" where the request alone does not say it: then only `with_headers` can. `target` is the REST
    request-target for the server (Seldon's `/seldon/namespace/name` taken off), or the gRPC path. `method` is one of a
    fixed set per protocol, fit for a metric label. `repeatable` requests may be sent again after a server may have seen
    them: predictions may, feedback never.
    """

    protocol: str
    namespace: str | None
    name: str
    pin: Pin | None
    target: bytes
    method: str
    repeatable: bool


class NotYet(Refusal):
    """What tells the deployment is not in the beginning of the message."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.INVALID_ARGUMENT, "malformed_message", message)


PASSED_ON = {b"HEAD": "head", b"OPTIONS": "options"}
"""Verbs that a server is asked with wherever it is asked with another, as what: it says itself what it makes of them.
They are no predictions."""


def wrong_verb(verb: bytes, target: bytes, verbs: tuple[bytes, ...]) -> Refusal:
    """That `target` takes `verbs`, and those that are passed on."""
    known = " or ".join(one.decode() for one in verbs)
    message = f"{shown(target)} takes {known}, not {shown(verb)}"
    allow = ", ".join(one.decode() for one in (*verbs, *PASSED_ON))
    return Refusal(Code.INVALID_ARGUMENT, "wrong_method", message, status=405, allow=allow)


class RestProtocol(Protocol):
    """An HTTP/1.1 API. Content types are the servers' affair: TF-Serving ignores them, Seldon's microservice reads
    JSON, forms, multipart and `?json=`; all are forwarded as they came."""

    name: str
    reads_along: bool
    """Whether its servers read a long body while they serve others. Else it is held until it is whole: one who is slow
    in sending it would keep a server from everyone."""

    def address(self, method: bytes, target: bytes) -> Address:
        """`target` in origin-form, query included. Raises Refusal (and nothing else) where it is none of the API's."""
        ...

    def error(self, code: Code, status: int, message: str) -> tuple[bytes, bytes]:
        """The content type and the body of an error as the protocol's own servers write it."""
        ...


class GrpcProtocol(Protocol):
    """A gRPC API. Its errors need no rendering: every protocol has `grpc-status` and `grpc-message`."""

    name: str

    def needs_message(self, path: bytes) -> bool:
        """Whether the message must be there before `address` can tell the deployment."""
        ...

    def streams(self, path: bytes) -> bool:
        """Whether a request may have any number of messages, and an answer too. The first tells the deployment."""
        ...

    def address(self, path: bytes, fields: Mapping[bytes, bytes], message: bytes | memoryview | None) -> Address:
        """`fields` is the request's metadata by lower-case key; `message` is one protobuf message, neither framed nor
        compressed (see `grpc_message.payload`), or None where `needs_message` is false.

        Raises Refusal, nothing else; NotYet where the message is a Beginning without what tells the deployment.
        """
        ...


_DEPLOYMENT = re.compile(rb"(?:([!-.0-~]{1,253})/)?([!-.0-~]{1,253})")
_VERSION = re.compile(rb"[!-~]{1,253}")


def with_headers(address: Address, deployment: bytes | None, version: bytes | None) -> Address:
    """The address completed by `x-turnout-deployment: [namespace/]name` and `x-turnout-version: NAME`.

    The headers add what the request leaves open; they can't contradict it, since its bytes go to the server as they
    came and name the model there. Call it for each request: it also refuses one whose deployment nothing names.

    Raises Refusal (INVALID_ARGUMENT): a value is malformed, contradicts the request, or no deployment is named.
    """
    if deployment is not None:
        address = _deployed(address, deployment)
    if not address.name:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            "no_deployment",
            f"The request names no deployment: send {_HOW[address.protocol]}, "
            "or x-turnout-deployment: [namespace/]name",
        )
    if version is not None:
        if _VERSION.fullmatch(version) is None:
            raise _malformed("x-turnout-version", version, "the name of a version")
        if address.pin is not None:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "contradiction",
                f"The request pins {address.pin.kind} {shown(address.pin.value.encode())} already: "
                "leave out x-turnout-version",
            )
        address = address._replace(pin=Pin("name", version.decode()))
    return address


_HOW = {
    "seldon-rest": "it to /seldon/<namespace>/<deployment>/...",
    "seldon-grpc": "the metadata seldon: <deployment> and namespace: <namespace>",
    "oip-rest": "it to /v2/models/<deployment>/...",
    "oip-grpc": "the metadata seldon: <deployment> and namespace: <namespace>",
}


def _deployed(address: Address, value: bytes) -> Address:
    match = _DEPLOYMENT.fullmatch(value)
    if match is None:
        raise _malformed("x-turnout-deployment", value, "[namespace/]name")
    namespace = match[1].decode() if match[1] else address.namespace
    name = match[2].decode()
    if (address.name not in ("", name)) or (address.namespace not in (None, namespace)):
        asked = f"{address.namespace}/{address.name}" if address.namespace else address.name
        raise Refusal(
            Code.INVALID_ARGUMENT,
            "contradiction",
            f"x-turnout-deployment says {shown(value)}, the request says {shown(asked.encode())}: they must agree",
        )
    return address._replace(namespace=namespace, name=name)


def _malformed(header: str, value: bytes, form: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, "malformed_header", f"{header}: {shown(value)!r} is not {form}")
