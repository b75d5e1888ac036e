"""Which endpoints a Service's address stands for, and how connections are passed on; the rig isn't needed for it."""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.cluster.rig.relay import relay
from tests.cluster.rig.service_proxy import endpoints

SERVICE = {
    "metadata": {"namespace": "n", "name": "web"},
    "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]},
}


def part(*addresses: tuple[str, bool | None], ports: dict[str, int], service: str = "web") -> dict[str, Any]:
    """An EndpointSlice of the addresses, each with whether it is ready, as far as is known."""
    return {
        "metadata": {"namespace": "n", "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": name, "port": port} for name, port in ports.items()],
        "endpoints": [
            {"addresses": [address], "conditions": {} if ready is None else {"ready": ready}}
            for address, ready in addresses
        ],
    }


def test_ready_endpoints_of_all_slices_by_the_ports_names() -> None:
    slices = [
        part(("10.0.0.1", True), ("10.0.0.2", False), ("10.0.0.3", None), ports={"http": 8080}),
        part(("10.0.0.1", True), ("10.0.0.4", True), ports={"http": 8080}),
        part(("10.0.0.5", False), ports={"admin": 8081}),
        part(("10.0.0.6", True), ports={"http": 8080}, service="other"),
    ]
    ready = [("10.0.0.1", 8080), ("10.0.0.3", 8080), ("10.0.0.4", 8080)]
    assert endpoints([SERVICE], slices) == {("10.96.0.7", 80): ready}


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]},
        {"type": "ExternalName"},
        {"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80, "protocol": "UDP"}]},
        {"clusterIP": "10.96.0.7", "ports": [{"name": "https", "port": 80}]},
    ],
)
def test_services_that_have_no_address_to_listen_on(spec: dict[str, Any]) -> None:
    slices = [part(("10.0.0.1", True), ports={"http": 8080})]
    assert endpoints([{**SERVICE, "spec": spec}], slices) == {}


def test_ports_without_a_name() -> None:
    service = {**SERVICE, "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}}
    found = endpoints([service], [part(("10.0.0.1", True), ports={"": 8080})])
    assert found == {("10.96.0.7", 80): [("10.0.0.1", 8080)]}


Ends = tuple[StreamReader, StreamWriter]


@asynccontextmanager
async def through(far: Callable[[StreamReader, StreamWriter], Awaitable[None]] | None) -> AsyncIterator[Ends]:
    """A connection that is relayed to a server of which `far` handles the connections; None: to where none listens."""

    async def unused(reader: StreamReader, writer: StreamWriter) -> None: ...

    server = await asyncio.start_server(far or unused, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    if far is None:
        server.close()
    near = await asyncio.start_server(lambda reader, writer: relay(reader, writer, address), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*near.sockets[0].getsockname())
    try:
        async with asyncio.timeout(30):
            yield reader, writer
    finally:
        writer.close()
        near.close()
        server.close()


def test_an_end_of_one_side_leaves_the_other_open() -> None:
    async def far(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"got " + await reader.read())
        writer.close()

    async def run() -> None:
        async with through(far) as (reader, writer):
            writer.write(b"all")
            writer.write_eof()
            assert await reader.read() == b"got all"

    asyncio.run(run())


def test_a_reset_is_passed_on() -> None:
    async def far(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readexactly(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def run() -> None:
        async with through(far) as (reader, writer):
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.read()

    asyncio.run(run())


def test_an_endpoint_that_is_gone_is_a_reset() -> None:
    async def run() -> None:
        async with through(None) as (reader, _):
            with pytest.raises(ConnectionResetError):
                await reader.read()

    asyncio.run(run())
