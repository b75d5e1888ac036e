"""Asks a started replica whether it may take traffic: over both of its ports, and not before it is warm."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

import grpc
import httpx
from pydantic_core import from_json

from deployer.runtimes.base import HOST, GrpcCall, Process, RestCall

AT_ONCE = 100
"""Processes that are asked at once whether they live: two descriptors for each."""

_MOST_TEXT = 500
"""Characters of a server's answer that are shown in a reason."""


@dataclass(frozen=True)
class Ready:
    """The model is available on both ports and has answered a warm-up; `note` says so if it has not."""

    note: str = ""


@dataclass(frozen=True)
class NotYet:
    """Ask again later."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """It will not become ready without a change to the model or to the document."""

    reason: str


class Life(Enum):
    """How a replica that was ready lives."""

    ANSWERING = "answering"
    SILENT = "silent"
    """It accepts connections, and does not answer `ready` in time."""
    GONE = "gone"
    """One of its ports accepts no connections."""


class _Unready(Exception):
    def __init__(self, result: NotYet | Failed) -> None:
        super().__init__(result.reason)
        self.result = result


def check(process: Process, timeout: float) -> Ready | NotYet | Failed:
    """Whether the replica is ready now. Blocks for at most about `timeout` seconds; never raises for what it meets.

    Each call that finds the model available sends the warm-up; once Ready was returned, use `alive`.
    """
    deadline = time.monotonic() + timeout
    # No proxy from the environment: the replica is on this machine.
    with httpx.Client(base_url=f"http://{HOST}:{process.rest}", trust_env=False) as client:
        try:
            description = _available(client, process, deadline)
            note = _warmed(client, process, description, deadline)
            _answered(process, process.ready_grpc, deadline)
            if process.warmup_grpc is not None:
                _answered(process, process.warmup_grpc, deadline, warmup=True)
        except _Unready as unready:
            return unready.result
    return Ready(note)


def alive(processes: Sequence[Process], timeout: float) -> list[Life]:
    """How each of them lives. What `ready` answers is no matter: a server that has answered is not hung.

    Blocks for `timeout` seconds for each AT_ONCE of which one does not answer and close, and hardly for others.

    Raises:
        OSError: none can be asked: this process has no more descriptors.
    """
    found: list[Life] = []
    for first in range(0, len(processes), AT_ONCE):
        found += _asked(processes[first : first + AT_ONCE], timeout)
    return found


def _asked(processes: Sequence[Process], timeout: float) -> list[Life]:
    accepting: set[int] = set()
    answering: set[int] = set()
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector, ExitStack() as connections:
        for process in processes:
            for port, call in ((process.rest, process.ready), (process.grpc, None)):
                connection = connections.enter_context(socket.socket())
                connection.setblocking(False)
                connection.connect_ex((HOST, port))
                selector.register(connection, selectors.EVENT_WRITE, (port, call))
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, event in selector.select(left):
                connection, (port, call) = cast(socket.socket, key.fileobj), key.data
                selector.unregister(connection)
                with suppress(OSError):  # it accepts no connection, or ends this one
                    if event == selectors.EVENT_READ:
                        if connection.recv(1 << 16):
                            answering.add(port)
                            # To its end: a server whose answer is thrown away half read would log that.
                            selector.register(connection, selectors.EVENT_READ, (port, call))
                    elif not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        accepting.add(port)
                        if call is not None:
                            connection.sendall(_written(call))
                            selector.register(connection, selectors.EVENT_READ, (port, call))
    return [
        Life.GONE
        if not accepting >= {process.rest, process.grpc}
        else Life.ANSWERING
        if process.rest in answering
        else Life.SILENT
        for process in processes
    ]


def _written(call: RestCall) -> bytes:
    return f"{call.method} {call.path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


def _available(client: httpx.Client, process: Process, deadline: float) -> Any:
    """What `ready` answers, once it does so with 200."""
    if process.status is not None:
        status = _send(client, process.status, deadline)
        failure = process.failure(_json(status)) if status.status_code == 200 else None
        if failure is not None:
            raise _Unready(Failed(f"the model does not load: {failure[:_MOST_TEXT]}"))
    answer = _send(client, process.ready, deadline)
    if answer.status_code != 200:
        raise _Unready(NotYet(f"{process.ready.path} answers {_summary(answer)}"))
    return _json(answer)


def _warmed(client: httpx.Client, process: Process, description: Any, deadline: float) -> str:
    """Send the warm-up over REST; the note if it was not answered by a prediction."""
    call = process.warmup or process.derive(description)
    if call is None:
        return "not warmed: the document gives no warmup, and none can be made up for this model"
    answer = _send(client, call, deadline)
    if answer.is_success:
        return ""
    if answer.status_code == 503:
        raise _Unready(NotYet(f"the warm-up is answered {_summary(answer)}"))
    if process.warmup is not None:
        raise _Unready(Failed(f"the warm-up is answered {_summary(answer)}"))
    return f"not warmed: a made-up prediction of zeros is answered {_summary(answer)}; give a warmup in the document"


def _send(client: httpx.Client, call: RestCall, deadline: float) -> httpx.Response:
    try:
        return client.request(
            call.method,
            call.path,
            content=call.body,
            headers={} if call.body is None else {"content-type": "application/json"},
            timeout=_left(deadline),
        )
    except httpx.TimeoutException:
        raise _Unready(NotYet(f"{call.path} is not answered in time")) from None
    except httpx.HTTPError as error:
        raise _Unready(NotYet(f"the REST port does not answer: {error}")) from None


def _answered(process: Process, call: GrpcCall, deadline: float, *, warmup: bool = False) -> None:
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"{HOST}:{process.grpc}", options) as channel:
        send = channel.unary_unary(call.path, _as_it_is, _as_it_is)
        try:
            send(call.message, timeout=_left(deadline))
        except grpc.RpcError as error:
            code, details = error.code(), str(error.details())[:_MOST_TEXT]
            later = code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            reason = f"{call.path} is answered {code.name}: {details}"
            raise _Unready(Failed(reason) if warmup and not later else NotYet(reason)) from None


def _as_it_is(message: bytes) -> bytes:
    return message


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _Unready(NotYet("the server did not answer all questions in time"))
    return left


def _summary(answer: httpx.Response) -> str:
    return f"{answer.status_code}: {answer.text[:_MOST_TEXT]}"


def _json(answer: httpx.Response) -> Any:
    """`json` itself raises something else where it is nested deep."""
    try:
        return from_json(answer.content)
    except ValueError:
        return None
