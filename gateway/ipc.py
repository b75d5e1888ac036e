"""What parent and worker say to each other: one JSON object a line over a socket pair, used by both sides.

The parent sends `settings`, a `table`, then each `change` of it, and `drain`; the worker sends `ready`, `in_force` (a
table's revision) and `drained`.
End of stream means that the other side is gone.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.contract.route_table import RouteTable
from gateway.settings import Settings
from gateway.table_delta import TableDelta

SETTINGS_SECONDS = 10.0
"""How long a worker waits for its settings: they are sent while it is being started."""


class ControlError(ValueError):
    """The other side does not keep to this protocol."""


class Message(BaseModel):
    """One line. Exactly one field is set."""

    # A time may be infinite.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    settings: Settings | None = None
    table: RouteTable | None = None
    change: TableDelta | None = None
    drain: bool = False
    ready: bool = False
    in_force: int | None = None
    drained: bool = False

    @cached_property
    def line(self) -> bytes:
        """Encoded once, however many workers it goes to."""
        return self.model_dump_json(exclude_defaults=True).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Message:
        try:
            message = cls.model_validate_json(line)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            raise ControlError(f"no control message: {line[:80]!r}: {reason}") from None
        if len(message.model_fields_set) != 1:
            raise ControlError(f"a control message sets one field: {line[:80]!r}")
        return message


@dataclass(frozen=True)
class Start:
    """What a worker is started with: its place, and the descriptors that it inherits."""

    index: int
    listen: int
    """A bound socket that listens already; the parent keeps it open, so a worker's death resets no connection in it."""
    counters: int
    """`gateway.stats.counters.attach` maps it."""
    control: int
    """The worker's end of the socket pair."""

    def argument(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def parse(cls, argument: str) -> Start:
        return cls(**json.loads(argument))


def first_settings(end: socket.socket) -> Settings:
    """What a worker is to go by: it waits for them, and takes nothing of what follows out of `end`.

    Raises ControlError where the parent doesn't begin with them.
    """
    end.settimeout(SETTINGS_SECONDS)
    try:
        with end.makefile("rb", buffering=0) as lines:  # without a buffer, which would take more than this line
            line = lines.readline()
    except TimeoutError:
        raise ControlError(f"the parent has sent no settings within {SETTINGS_SECONDS:g} s") from None
    if not line:
        raise ControlError("the parent has gone without sending settings")
    settings = Message.decode(line).settings
    if settings is None:
        raise ControlError(f"the parent has sent something else before its settings: {line[:80]!r}")
    return settings


class Channel(asyncio.Protocol):
    """One side's end. `on_message` is called for each message in turn, `on_end` once when the other side is gone."""

    def __init__(self, on_message: Callable[[Message], None], on_end: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._partial = bytearray()
        self._transport: asyncio.Transport | None = None

    async def open(self, end: socket.socket) -> None:
        """Takes `end` over: closing the channel closes it. Messages may come before this returns."""
        end.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)

    def send(self, message: Message) -> None:
        """Queued where the other side is slow; dropped where it is gone (`on_end` tells)."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(message.line)

    def close(self) -> None:
        """What was sent before is still written."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        if not lines:
            self._partial += rest
            return
        lines[0] = bytes(self._partial) + lines[0]
        self._partial = bytearray(rest)
        for line in lines:
            self._on_message(Message.decode(line))

    def connection_lost(self, error: Exception | None) -> None:
        self._on_end()
