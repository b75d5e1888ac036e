"""The listening sockets. The parent opens them and keeps them, so that none of their connections dies with a worker."""

from __future__ import annotations

import errno
import socket


class PortUnavailable(Exception):
    """A port that can't be had; the message names it and says what to do."""


def open_listeners(host: str, port: int, count: int, backlog: int, purpose: str) -> list[socket.socket]:
    """`count` sockets on one address, over which the kernel spreads connections; `port` 0 lets it choose. The host `::`
    is all addresses, IPv4's among them, and those alone on a machine without IPv6.

    Raises:
        PortUnavailable: the address is taken, not ours, or not for this user. `purpose` names it in the message.
    """
    listeners: list[socket.socket] = []
    everywhere = host == "::" and socket.has_dualstack_ipv6()
    at = "0.0.0.0" if host == "::" and not everywhere else host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            at,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
        for _ in range(count):
            listener = socket.socket(family, kind, protocol)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if everywhere:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            # The first binds alone: were it to share from the start, it would share with another gateway's too.
            if len(listeners) > 1:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(address)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            address = listener.getsockname()
            listener.listen(backlog)
            listener.setblocking(False)
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise PortUnavailable(f"the {purpose} port {host}:{port} can't be opened: {_advice(error)}") from None
    return listeners


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "it is taken; end what listens there, or choose another port (0 for any that is free)"
    if error.errno == errno.EACCES:
        return "this user may not; choose a port of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return "the host is no address of this machine"
    return str(error)
