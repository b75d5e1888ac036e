"""The operator's port for probes and Prometheus."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import prometheus_client
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

Answer = Callable[[], tuple[bool, str]]
"""Whether all is well, and a line that says why not."""


class _Server(uvicorn.Server):
    """Runs beside the loop. Signals are the operator's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(host: str, port: int, live: Answer, ready: Answer, registry: CollectorRegistry) -> int:
    """Answer /livez, /readyz and /metrics from a thread, until the process ends. The port (0: a free one) is returned.
    The host `::` is all addresses, IPv4's among them, and those alone on a machine without IPv6.

    Raises:
        OSError: the port can't be had.
    """

    def livez(request: Request) -> Response:
        return _page(*live())

    def readyz(request: Request) -> Response:
        return _page(*ready())

    def metrics(request: Request) -> Response:
        return Response(prometheus_client.generate_latest(registry), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    pages = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}
    application = Starlette(routes=[Route(path, page) for path, page in pages.items()])
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"
    listener = socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, dualstack_ipv6=host == "::"
    )
    server = _Server(
        uvicorn.Config(application, log_config=None, log_level="warning", access_log=False, lifespan="off")
    )
    threading.Thread(target=server.run, args=([listener],), name="health", daemon=True).start()
    bound: int = listener.getsockname()[1]
    return bound


def _page(well: bool, why: str) -> Response:
    return PlainTextResponse(f"{why}\n", 200 if well else 503)
