"""Stands between an operator and the API server: writes down what it writes, and can end it before or after a write."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from kubernetes import client
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from tests.cluster.rig.cluster import Cluster

Kill = Callable[[], None]


class Write(NamedTuple):
    method: str
    path: str
    body: Any


class WriteProxy:
    """`kubeconfig` leads through it. Leases are passed over: their holder renews them all the time."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.writes: list[Write] = []
        """What went on to the API server."""
        self.before: Kill | None = None
        """Called in place of the next write, which is then lost."""
        self.after: Kill | None = None
        """Called once the next write has been done, in place of passing the answer on."""
        settings = cluster.api().configuration
        settings.connection_pool_maxsize = 64  # for the watches of those that were killed too
        self._api = client.ApiClient(settings)
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (OSError, HTTPError):  # the operator was killed, or the API server has ended
                    self.close_connection = True

            def do_GET(self) -> None:
                proxy._pass_on(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.kubeconfig = folder / "proxied.json"
        where = {"server": f"http://127.0.0.1:{self._server.server_address[1]}"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxied", "cluster": where}],
            "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": ""}}],
            "current-context": "proxied",
        }
        self.kubeconfig.write_text(json.dumps(content))

    def __enter__(self) -> WriteProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("content-length", 0)))
        if asked.command == "GET" or "/leases" in asked.path:
            self._answer(asked, self._send(asked, body))
            return
        with self._lock:
            if self.before is not None:
                kill, self.before = self.before, None
                kill()
                return
            answer = self._send(asked, body)
            self.writes.append(Write(asked.command, asked.path.partition("?")[0], json.loads(body)))
            if self.after is not None and answer.status < 400:
                _ = answer.data  # it has been done
                kill, self.after = self.after, None
                kill()
                return
        self._answer(asked, answer)

    def _send(self, asked: BaseHTTPRequestHandler, body: bytes) -> BaseHTTPResponse:
        settings: client.Configuration = self._api.configuration
        headers = {"content-type": asked.headers["content-type"], "accept": "application/json"}
        self._api.update_params_for_auth(headers, [], ["BearerToken"], asked.path, asked.command, body)
        answer: BaseHTTPResponse = self._api.rest_client.pool_manager.request(
            asked.command, f"{settings.host}{asked.path}", headers=headers, body=body or None, preload_content=False
        )
        return answer

    def _answer(self, asked: BaseHTTPRequestHandler, answer: BaseHTTPResponse) -> None:
        try:
            asked.send_response(answer.status)
            asked.send_header("content-type", "application/json")
            asked.end_headers()  # in HTTP/1.0 the answer ends with the connection
            for chunk in answer.stream(None):
                asked.wfile.write(chunk)
                asked.wfile.flush()
        finally:
            answer.close()
