"""One TCP connection passed on to another address.

`python -m tests.cluster.rig.relay FD HOST PORT` does so with each that comes to the listening socket FD: a socket stays
in the network namespace it was made in, so this is a way from the machine into a rig.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from asyncio import StreamReader, StreamWriter

import uvloop

Address = tuple[str, int]


async def relay(reader: StreamReader, writer: StreamWriter, address: Address) -> None:
    """Until both sides have ended. Each end is passed on by itself, and what isn't clean as a reset."""
    writers = [writer]
    try:
        far_reader, far_writer = await asyncio.open_connection(*address)
        writers.append(far_writer)
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(reader, far_writer))
            both.create_task(_copy(far_reader, writer))
    except* OSError:
        for one in writers:
            _reset(one)
    finally:
        for one in writers:
            one.close()


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def _reset(writer: StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if not writer.transport.is_closing() and connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def main() -> None:
    address = sys.argv[2], int(sys.argv[3])
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = await asyncio.start_server(lambda reader, writer: relay(reader, writer, address), sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
