"""An API server that says what a test wants, where a real one can't be brought to it: silence, breaks, forgetting."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlparse

from kubernetes.client import Configuration

Watch = Callable[[BaseHTTPRequestHandler], None]


def resource(name: str, version: int, namespace: str = "default", **metadata: Any) -> dict[str, Any]:
    return {
        "kind": "ModelDeployment",
        "apiVersion": "turnout.dev/v1alpha1",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": str(version), **metadata},
    }


class Api:
    """`lists` are the answers to come, the last one again and again; `watches` what becomes of each watch in turn, the
    last ones to stay silent. `asked` has the resource version that each watch began at, and "list" for each list."""

    def __init__(self, lists: list[tuple[int, list[dict[str, Any]]]], watches: list[Watch]) -> None:
        self.asked: list[str] = []
        self._lists = deque(lists)
        self._watches = deque(watches)
        self._end = threading.Event()
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                query = parse_qs(urlparse(self.path).query)
                if "watch" in query:
                    api.asked.append(query["resourceVersion"][0])
                    api._watch(self)
                else:
                    api.asked.append("list")
                    version, items = api._lists.popleft() if len(api._lists) > 1 else api._lists[0]
                    say(self, 200, {"metadata": {"resourceVersion": str(version)}, "items": items})

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.configuration = Configuration(host=f"http://127.0.0.1:{self._server.server_address[1]}")

    def __enter__(self) -> Api:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    def _watch(self, asked: BaseHTTPRequestHandler) -> None:
        if self._watches:
            self._watches.popleft()(asked)
            return
        asked.send_response(200)
        asked.end_headers()
        self._end.wait()


def say(asked: BaseHTTPRequestHandler, status: int, content: Any) -> None:
    asked.send_response(status)
    asked.end_headers()
    asked.wfile.write(json.dumps(content).encode())


def events(*changes: tuple[str, dict[str, Any]]) -> Watch:
    """A watch that tells these and ends."""

    def watch(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)
        asked.end_headers()
        for kind, found in changes:
            asked.wfile.write(json.dumps({"type": kind, "object": found}).encode() + b"\n")

    return watch


def refused(status: int) -> Watch:
    return lambda asked: say(asked, status, {"kind": "Status", "code": status, "message": "no"})
