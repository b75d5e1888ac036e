"""Ports for model servers."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from deployer.runtimes.base import HOST

FIRST, LAST = 20_000, 29_999
"""Below the range that systems take for outgoing connections (from 32,768 on Linux): a server may load for minutes
before it binds, and an outgoing connection must not have taken its port by then."""


def free(count: int, taken: Collection[int]) -> list[int]:
    """`count` ports that nothing is bound to now and that `taken` does not hold.

    Now is not later: another program may bind one first. Then the server ends, and the supervisor starts it again on
    others.

    Raises:
        OSError: there are not that many free ports.
    """
    chosen: list[int] = []
    for port in random.sample(range(FIRST, LAST + 1), LAST + 1 - FIRST):
        if port not in taken and is_free(port):
            chosen.append(port)
            if len(chosen) == count:
                return chosen
    raise OSError(f"no {count} free ports on {HOST} between {FIRST} and {LAST}")


def is_free(port: int) -> bool:
    """Whether a server could bind the port now."""
    # With SO_REUSEADDR, as servers bind: connections that linger in TIME_WAIT hold no port.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
