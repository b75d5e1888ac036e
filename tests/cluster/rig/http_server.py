"""The image `test/http`: answers each GET on $PORT (8080) with who it is, and `/broken` puts its health to 503."""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

broken = False


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        global broken
        if self.path == "/broken":
            broken = True
        answer = {"pod": os.environ.get("HOSTNAME"), "tag": os.environ.get("TAG"), "arguments": sys.argv[1:]}
        body = json.dumps(answer).encode()
        self.send_response(503 if broken and self.path == "/health" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
