"""`turnout status` and `turnout logs`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import IO

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deployer.commands import options
from deployer.errors import TurnoutError, nearest
from deployer.local.following import named
from deployer.local.following import status as status_of
from deployer.local.state import State
from deployer.local.status import Condition, DeploymentStatus

WATCH_EVERY = 0.5
"""Seconds between two looks of --watch."""
LINES = 200
"""Of a log, from its end: more than a traceback, less than a day."""
_COLOURS = {
    Condition.READY: "green",
    Condition.FAILED: "red",
    Condition.PROGRESSING: "yellow",
    Condition.LEAVING: "dim",
}


@click.command()
@click.argument("name", required=False)
@click.option("--watch", is_flag=True, help="Go on showing it until Ctrl-C.")
@options.state
@options.output
def status(name: str | None, watch: bool, state: State, output: str) -> None:
    """Show the deployments, or NAME alone: versions, shares, replicas, and what is wrong."""
    if watch and output == "json":
        raise TurnoutError("--watch is for people; for a program, ask again with -o json as often as is needed")
    if not watch:
        statuses, notes = _statuses(state, name)
        if output == "json":
            shown = [status.model_dump(mode="json", exclude_none=True) for status in statuses]
            click.echo(json.dumps({"supervisor": state.supervisor(), "deployments": shown}, indent=2))
        else:
            # Wide, where nobody looks: a column cut off could not be searched for.
            console = Console() if Console().is_terminal else Console(width=240)
            console.print(_view(statuses, notes))
        return
    try:
        with Live(_view(*_statuses(state, name)), auto_refresh=False, screen=False) as live:
            while True:
                time.sleep(WATCH_EVERY)
                live.update(_view(*_statuses(state, name)), refresh=True)
    except KeyboardInterrupt:
        return


@click.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is written until Ctrl-C.")
@options.state
def logs(name: str, version: str | None, follow: bool, state: State) -> None:
    """Show what the model servers of NAME, or of one VERSION of it, have written."""
    document = named(state, name)
    if version is not None and version not in document.by_name:
        near = nearest(version, document.by_name)
        hint = f"did you mean {near}?" if near else f"its versions are {', '.join(document.by_name)}"
        raise TurnoutError(f"{document.key} has no version {version}; {hint}")
    pattern = f"{document.key.replace('/', '.')}.{version or '*'}.*.log"
    opened: dict[Path, IO[str]] = {}
    try:
        while True:
            for path in sorted(state.logs.glob(pattern)):
                new = path not in opened
                file = opened.setdefault(path, path.open(errors="replace")) if new else opened[path]
                prefix = ".".join(path.stem.split(".")[2:])
                for line in file.readlines()[-LINES:] if new else file.readlines():
                    click.echo(f"{prefix} | {line.rstrip()}")
            if not follow:
                return
            time.sleep(WATCH_EVERY)
    except KeyboardInterrupt:
        return
    finally:
        for file in opened.values():
            file.close()


def _statuses(state: State, name: str | None) -> tuple[list[DeploymentStatus], list[str]]:
    documents = [named(state, name)] if name is not None else state.documents()
    found = {document.key: status_of(state, document.key) for document in documents}
    notes = [f"{key}: not started yet" for key, status in found.items() if status is None]
    if state.supervisor() is None:
        notes.append("no `turnout up` runs: this is the last that was known" if any(found.values()) else "nothing runs")
    elif not documents:
        notes.append("there is no deployment yet: `turnout apply FILE` adds one")
    return [status for status in found.values() if status is not None], notes


def _view(statuses: list[DeploymentStatus], notes: list[str]) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("DEPLOYMENT", "VERSION", "ROLE"):
        table.add_column(column, no_wrap=True)
    for column in ("SHARE", "READY", "RATE", "FAILED", "RESTARTS"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("CONDITION", "RUNTIME", "REASON"):
        table.add_column(column)
    lines = list(notes)
    for status in statuses:
        for version in status.versions:
            rate, failed = version.requests_per_second, version.failures_per_second
            table.add_row(
                status.key,
                version.name,
                version.role or "-",
                f"{version.share:g} %",
                f"{version.ready}/{version.desired}",
                "-" if rate is None else f"{rate:g}/s",
                "-" if failed is None else f"{failed:g}/s",
                str(version.restarts),
                Text(version.condition, style=_COLOURS[version.condition]),
                version.runtime,
                version.reason or "-",
            )
        if status.message:
            lines.append(f"{status.key}: {status.message}")
    addresses = sorted({status.address for status in statuses if status.address})
    lines += [f"address: http://{address} (REST and gRPC)" for address in addresses]
    return Group(*([table] if statuses else []), *lines)


COMMANDS: tuple[click.Command, ...] = (status, logs)
