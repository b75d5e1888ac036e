"""The admin port: metrics for Prometheus, health for whoever runs the gateway, the route table in force for people."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from typing import Any, Protocol

import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.contract.evidence import Evidence
from gateway.contract.state import State
from gateway.parent.admin_connection import AdminConnection
from gateway.parent.exposition import View, exposition


class Gateway(Protocol):
    """What the admin port shows of the parent."""

    def view(self) -> View: ...

    def readiness(self) -> tuple[bool, str]:
        """Whether to send requests here, and a line for a person that says why, or what to know."""
        ...

    def report(self) -> dict[str, Any]:
        """The table in force and each worker's, as JSON."""
        ...

    def state(self) -> State:
        """What a supervisor goes by."""
        ...

    def evidence(self, keys: Collection[str]) -> Evidence:
        """What was counted for rollouts: of the deployments with these keys (`namespace/name`), or of all."""
        ...


INDEX = """<!doctype html>
<title>Turnout gateway</title>
<h1>Turnout gateway</h1>
<ul>
<li><a href="readyz">readyz</a>: whether to send requests here, and why not
<li><a href="livez">livez</a>: whether this process runs
<li><a href="table">table</a>: the route table in force, and each worker's
<li><a href="state">state</a>: what the supervisor of a gateway goes by
<li><a href="evidence">evidence</a>: what rollouts are decided by
<li><a href="metrics">metrics</a>: for Prometheus
</ul>
"""


def application(gateway: Gateway) -> Starlette:
    async def index(request: Request) -> Response:
        return HTMLResponse(INDEX)

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        ready, why = gateway.readiness()
        return PlainTextResponse(f"{why}\n", 200 if ready else 503)

    async def table(request: Request) -> Response:
        return Response(json.dumps(gateway.report(), indent=1) + "\n", media_type="application/json")

    async def state(request: Request) -> Response:
        return _page(gateway.state())

    async def evidence(request: Request) -> Response:
        return _page(gateway.evidence(set(request.query_params.getlist("deployment"))))

    async def metrics(request: Request) -> Response:
        # The values are taken here, in the loop; writing out those of 10,000 versions takes seconds, so a thread does.
        body, content_type = await run_in_threadpool(exposition, gateway.view(), request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    pages = {
        "/": index,
        "/livez": livez,
        "/readyz": readyz,
        "/table": table,
        "/state": state,
        "/evidence": evidence,
        "/metrics": metrics,
    }
    return Starlette(
        routes=[Route(path, page) for path, page in pages.items()],
        exception_handlers={HTTPException: _refused},
    )


def _page(page: BaseModel) -> Response:
    return Response(page.model_dump_json(), media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    messages = {
        404: f"no page {request.url.path}; there are /metrics, /state, /evidence, /livez, /readyz and /table",
        405: f"{request.method} is not possible on {request.url.path}; use GET",
    }
    message = messages.get(error.status_code, error.detail)
    return JSONResponse({"error": message}, error.status_code, headers=error.headers)


class Server(uvicorn.Server):
    """Runs inside the parent's loop. Signals are the parent's."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            uvicorn.Config(
                application(gateway),
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                http=AdminConnection,
                timeout_graceful_shutdown=1,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
