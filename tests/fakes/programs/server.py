"""A model server for tests: python server.py REST_PORT GRPC_PORT MODEL_FOLDER

It answers each POST with the text in MODEL_FOLDER/answer, and ends at once where that folder has a file `broken`, with
that file's text as its last words. `slow` in the folder makes an answer take that many seconds; `child` has a child
started that heeds no TERM. `loading` keeps it from being ready.
"""

import http.server
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

rest, grpc, model = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(503 if (model / "loading").exists() else 200, b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if (model / "slow").exists():
            time.sleep(float((model / "slow").read_text()))
        self.answer(200, (model / "answer").read_bytes())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


if (model / "broken").exists():
    sys.exit((model / "broken").read_text())
if (model / "child").exists():
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('child', flush=True); "
    subprocess.Popen([sys.executable, "-c", f"{deaf} time.sleep(600)"])
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
server = http.server.ThreadingHTTPServer(("127.0.0.1", rest), Handler)
other = http.server.ThreadingHTTPServer(("127.0.0.1", grpc), Handler)
threading.Thread(target=other.serve_forever, daemon=True).start()
print(f"serving {model}", flush=True)
server.serve_forever()
