"""`turnout up`: the supervisor, in the foreground."""

from __future__ import annotations

import signal
import time
from types import FrameType

import click
import psutil

from deployer import reconcile
from deployer.commands import options
from deployer.document import read
from deployer.errors import TurnoutError
from deployer.local import environments
from deployer.local.changes import differences
from deployer.local.gateway import ADMIN_PORT, PORT, Gateway
from deployer.local.ports import is_free
from deployer.local.processes import Processes
from deployer.local.state import GATEWAY, State
from deployer.local.supervisor import INTERVAL, Supervisor
from deployer.runtimes.process import HOST


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1)
@options.state
@click.option("--port", type=click.IntRange(1, 65535), help=f"The gateway's port, REST and gRPC.  [default: {PORT}]")
@click.option("--admin-port", type=click.IntRange(1, 65535), help=f"Its metrics and health.  [default: {ADMIN_PORT}]")
@click.option("--workers", type=click.IntRange(1, 256), help="Its data processes.  [default: one a core]")
def up(files: tuple[str, ...], state: State, port: int | None, admin_port: int | None, workers: int | None) -> None:
    """Run deployments on this machine, with a gateway before them, until Ctrl-C.

    What the state folder holds from earlier runs too. What a killed `turnout up` left is taken over, without a failed
    request where it still matches its document.
    """
    documents = read(files)
    with state.supervising():
        for runtime in {document.spec.runtime for document in (*documents, *state.documents())}:
            environments.program(runtime)  # now, in the foreground, so that its progress is seen and Ctrl-C ends it
        gateway = Gateway(state, *_ports(state, port, admin_port), workers)
        with state.editing():
            before = {document.key: document for document in state.documents()}
            for document in documents:
                state.write_document(document)
                for line in differences(before.get(document.key), document):
                    _say(f"{document.key}: {line}")
        for key in before.keys() - {document.key for document in documents}:
            _say(f"{key}: held from before; `turnout delete {key}` removes it")
        supervisor = Supervisor(state, gateway, _say)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stopper(supervisor))
        supervisor.begin()
        click.echo(
            f"address: http://{gateway.address} (REST and gRPC); metrics: http://{gateway.admin}/metrics\n"
            "from another terminal: turnout status --watch, predict, traffic, promote, apply; here Ctrl-C ends all\n"
            f"logs: {state.logs}"
        )
        reconcile.run(supervisor, INTERVAL)
        supervisor.finish()
        _say("all has ended")


def _stopper(supervisor: Supervisor):  # type: ignore[no-untyped-def]
    def stop(number: int, frame: FrameType | None) -> None:
        _say("ending: the gateway finishes what it has, then the model servers end; once more ends all at once")
        supervisor.stop()

    return stop


def _ports(state: State, port: int | None, admin_port: int | None) -> tuple[int, int]:
    """The gateway's ports: as asked, else those of the one that still runs, else the defaults.

    Raises:
        TurnoutError: another program has one of them.
    """
    running: dict[str, int] = {}
    for record in state.records():
        if record.name == GATEWAY and Processes().adopt(record.identity) is not None:
            running = record.ports
    chosen = port or running.get("data", PORT), admin_port or running.get("admin", ADMIN_PORT)
    if chosen[0] == chosen[1]:
        raise TurnoutError(
            f"the gateway's port and its admin port are both {chosen[0]}; choose another by --admin-port"
        )
    for number, option in zip(chosen, ("--port", "--admin-port"), strict=True):
        if number not in running.values() and not is_free(number):
            raise TurnoutError(f"port {number} is taken{_holder(number)}; end it, or choose another port by {option}")
    return chosen


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


def _say(line: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {line}")


COMMANDS: tuple[click.Command, ...] = (up,)
