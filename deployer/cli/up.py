"""`turnout up`: the supervisor, in the foreground."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Mapping
from types import FrameType
from urllib.parse import urlsplit

import click
import httpx
import psutil
from pydantic import ValidationError

from deployer import reconcile
from deployer.cli import options
from deployer.cli.client.edits import differences
from deployer.document.loader import read
from deployer.errors import TurnoutError
from deployer.local import environments
from deployer.local.gateway_process import ADMIN_PORT, PORT, Gateway, Options
from deployer.local.logs import SupervisorLog
from deployer.local.policy import limits
from deployer.local.ports import is_free
from deployer.local.processes import Processes, strays
from deployer.local.state_folder import GATEWAY, StateFolder, replace
from deployer.local.supervisor import INTERVAL, Supervisor
from deployer.runtimes.base import HOST


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1)
@options.state
@click.option("--port", type=click.IntRange(1, 65535), help=f"The gateway's port, REST and gRPC.  [default: {PORT}]")
@click.option("--admin-port", type=click.IntRange(1, 65535), help=f"Its metrics and health.  [default: {ADMIN_PORT}]")
@click.option("--workers", type=click.IntRange(1, 256), help="Its data processes.  [default: one a core]")
@click.option("--prometheus", metavar="URL", help="The Prometheus that rollouts may ask, for evidence and metrics.")
def up(
    files: tuple[str, ...],
    state: StateFolder,
    port: int | None,
    admin_port: int | None,
    workers: int | None,
    prometheus: str | None,
) -> None:
    """Run deployments on this machine, with a gateway before them, until Ctrl-C.

    What the state folder holds from earlier runs too. What a killed `turnout up` left is taken over, without a failed
    request where it still matches its document.
    """
    documents = read(files)
    limits.check(documents)
    if prometheus is not None and not _is_address(prometheus):
        raise TurnoutError(f"--prometheus {prometheus} is no address; write one such as http://127.0.0.1:9090")
    with state.supervising(), contextlib.closing(SupervisorLog(state.logs, click.echo)) as log:
        for runtime in {document.spec.runtime for document in (*documents, *state.documents())}:
            environments.program(runtime)  # now, in the foreground, so that its progress is seen and Ctrl-C ends it
        _end_strays(state, log.say)
        asked = {"port": port, "admin_port": admin_port, "workers": workers, "prometheus": prometheus}
        gateway = Gateway(state, _options(state, asked))
        with state.editing():
            before = {document.key: document for document in state.documents()}
            for document in documents:
                state.write_document(document)
                for line in differences(before.get(document.key), document):
                    log.say(f"{document.key}: {line}")
        for key in before.keys() - {document.key for document in documents}:
            log.say(f"{key}: held from before; `turnout delete {key}` removes it")
        supervisor = Supervisor(state, gateway, log.say)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stopper(supervisor, log.say))
        supervisor.begin()
        click.echo(
            f"address: http://{gateway.address} (REST and gRPC); metrics: http://{gateway.admin}/metrics\n"
            "from another terminal: turnout status --watch, predict, traffic, promote, apply; here Ctrl-C ends all\n"
            f"logs: {state.logs}"
        )
        reconcile.run(supervisor, INTERVAL)
        supervisor.finish()
        log.say("all has ended")


def _end_strays(state: StateFolder, say: Callable[[str], None]) -> None:
    """End what a record that can't be read any more told of: nobody would ask after it, and it may hold a port."""
    found = strays(state.owner, {record.identity.marker for record in state.records()})
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
            say(f"process {process.pid}: ended, since it was started from here and no record tells what it is")
    psutil.wait_procs(found, timeout=5)


def _stopper(supervisor: Supervisor, say: Callable[[str], None]) -> Callable[[int, FrameType | None], None]:
    def stop(number: int, frame: FrameType | None) -> None:
        say("ending: the gateway finishes what it has, then the model servers end; once more ends all at once")
        supervisor.stop()

    return stop


def _options(state: StateFolder, asked: Mapping[str, int | str | None]) -> Options:
    """As asked, for the rest as with the gateway that still runs, else the defaults; noted for the next time.

    Raises:
        TurnoutError: another program has one of the ports.
    """
    running = Options()
    own: dict[str, int] = {}
    for record in state.records():
        if record.name == GATEWAY and Processes().adopt(record.identity) is not None:
            own = record.ports
            running = Options(port=own["data"], admin_port=own["admin"])
            with contextlib.suppress(OSError, ValidationError):  # it may be lost: then all but the ports is as usual
                running = Options.model_validate_json(state.gateway.read_bytes())
    options = running.model_copy(update={name: value for name, value in asked.items() if value is not None})
    if options.port == options.admin_port:
        raise TurnoutError(f"the gateway's port and its admin port are both {options.port}; --admin-port changes one")
    for port, option in ((options.port, "--port"), (options.admin_port, "--admin-port")):
        if port not in own.values() and not is_free(port):
            raise TurnoutError(f"port {port} is taken{_holder(port)}; end it, or choose another port by {option}")
    replace(state.gateway, options.model_dump_json().encode())
    return options


def _holder(port: int) -> str:
    """Who has the port, as far as the system tells us."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    return " by another user's program"
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:  # some systems tell it to root only
        pass
    return f" on {HOST}"


def _is_address(text: str) -> bool:
    with contextlib.suppress(httpx.InvalidURL, ValueError):
        url, port = httpx.URL(text), urlsplit(text).port  # httpx takes "[" for a letter, and any port
        return url.scheme in ("http", "https") and bool(url.host) and port != 0
    return False
