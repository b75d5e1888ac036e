"""`turnout status` and `turnout logs`."""

from __future__ import annotations

import json
import os
import time
from itertools import zip_longest
from pathlib import Path
from typing import IO, NoReturn

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from deployer.cli import options
from deployer.cli.client.wait import named
from deployer.cli.client.wait import status as status_of
from deployer.errors import TurnoutError
from deployer.local.policy.status import Condition, DeploymentStatus
from deployer.local.state_folder import StateFolder
from deployer.rollout import describe
from deployer.rollout.state import is_under_way

WATCH_EVERY = 0.5
"""Seconds between two looks of --watch."""
PIPE_EVERY = 5.0
"""The same where it is no terminal that shows them."""
PIPE_WIDTH = 240
"""Characters: wide, where nobody looks. A column cut off could not be searched for."""
LINES = 200
"""Of a log, from its end: more than a traceback, less than a day."""
_COLUMNS = ("DEPLOYMENT", "VERSION", "ROLE", "SHARE", "READY", "RATE", "FAILED", "RESTARTS", "CONDITION")
_NAMES = 3
"""Of the columns: these come first, and are to the left."""
_COLOURS: dict[str, str] = {
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
def status(name: str | None, watch: bool, state: StateFolder, output: str) -> None:
    """Show the deployments, or NAME alone: versions, shares, replicas, and what is wrong."""
    if watch and output == "json":
        raise TurnoutError("--watch is for people; for a program, ask again with -o json as often as is needed")
    if output == "json":
        shown = [status.shown() for status in _statuses(state, name)[0]]
        options.show_as_json({"supervisor": state.supervisor(), "deployments": shown})
        return
    console = Console() if Console().is_terminal else Console(width=PIPE_WIDTH)
    if not watch:
        console.print(_view(*_statuses(state, name), console.width))
        return
    try:
        if not console.is_terminal:
            _print_on(console, state, name)
        with Live(_view(*_statuses(state, name), console.width, watched=True), auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_EVERY)
                live.update(_view(*_statuses(state, name), console.width, watched=True), refresh=True)
    except KeyboardInterrupt:
        return


@click.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is written until Ctrl-C.")
@options.state
@options.output
def logs(name: str, version: str | None, follow: bool, state: StateFolder, output: str) -> None:
    """Show what the model servers of NAME, or of one VERSION of it, have written.

    With -o json each line is an object of its own, so that a program can follow it too.
    """
    document = named(state, name)
    if version is not None:
        document.version(version)
    pattern = f"{document.key.replace('/', '.')}.{version or '*'}.*.log"
    opened: dict[Path, IO[str]] = {}
    try:
        while True:
            for path in sorted(state.logs.glob(pattern)):
                new = path not in opened
                if new:
                    opened[path] = path.open(errors="replace")
                descriptor = opened[path].fileno()
                if os.fstat(descriptor).st_size < os.lseek(descriptor, 0, os.SEEK_CUR):  # it has begun anew
                    opened[path].seek(0)
                _, _, writer, index = path.stem.split(".")  # as `state.stem` makes it
                for line in opened[path].readlines()[-LINES if new else 0 :]:
                    if output == "json":
                        click.echo(json.dumps({"version": writer, "replica": int(index), "line": line.rstrip()}))
                    else:
                        click.echo(f"{writer}.{index} | {line.rstrip()}")
            if not follow:
                return
            time.sleep(WATCH_EVERY)
    except KeyboardInterrupt:
        return
    finally:
        for file in opened.values():
            file.close()


def _statuses(state: StateFolder, name: str | None) -> tuple[list[DeploymentStatus], list[str]]:
    keys = [named(state, name).key] if name is not None else state.keys()
    found = {key: status_of(state, key) for key in keys}
    notes = [f"{key}: not started yet" for key, status in found.items() if status is None]
    if state.supervisor() is None:
        if any(found.values()):
            notes.append("no `turnout up` runs: this is the last that was known")
        else:
            notes.append(f"nothing runs: `turnout up{'' if keys else ' FILE'}` starts it")
    elif not keys:
        notes.append("there is no deployment yet: `turnout apply FILE` adds one")
    return [status for status in found.values() if status is not None], notes


def _print_on(console: Console, state: StateFolder, name: str | None) -> NoReturn:
    """Where nothing can be drawn over: all of it anew, every so often."""
    while True:
        console.print(_view(*_statuses(state, name), console.width, watched=True), "")
        console.file.flush()
        time.sleep(PIPE_EVERY)


def _view(statuses: list[DeploymentStatus], notes: list[str], width: int, *, watched: bool = False) -> Group:
    """For `width` characters. `watched`: rollouts are drawn, instead of told in a line."""
    rows: list[tuple[str, ...]] = []
    # What is long stands below the table, which has to fit on 80 columns.
    lines = list(notes)
    for status in statuses:
        runtimes = dict.fromkeys(version.runtime for version in status.versions)
        lines.append(f"{status.key}: served by {', '.join(runtimes)}")
        for version in status.versions:
            rate, failed = version.requests_per_second, version.failures_per_second
            rows.append(
                (
                    status.key,
                    version.name,
                    version.role or "-",
                    f"{version.share:g} %",
                    f"{version.ready}/{version.desired}",
                    "-" if rate is None else f"{rate:g}/s",
                    "-" if failed is None else f"{failed:g}/s",
                    str(version.restarts),
                    version.condition,
                )
            )
            if version.reason:
                lines.append(f"{status.key} {version.name}: {version.reason}")
        if status.message:
            lines.append(f"{status.key}: {status.message}")
        if status.rollout is not None and not (watched and is_under_way(status.rollout)):
            lines.append(f"{status.key}: {describe.line(status.rollout)}")
    addresses = sorted({status.address for status in statuses if status.address})
    lines += [f"address: http://{address} (REST and gRPC)" for address in addresses]
    drawn = [
        Text("\n".join([f"\n{status.key}", *describe.drawn(status.rollout, time.time(), min(width, describe.WIDTH))]))
        for status in statuses
        if watched and is_under_way(status.rollout)
    ]
    return Group(*([_table(rows, width)] if statuses else []), *map(Text, lines), *drawn)


def _table(rows: list[tuple[str, ...]], width: int) -> Text:
    """In columns, of which the names are folded where `width` is too small for all. Not by rich's own table, which
    takes a second for 500 rows."""
    rows = [_COLUMNS, *rows]
    rooms = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while sum(rooms) + len(rooms) - 1 > width and (widest := max(rooms[:_NAMES])) > 1:
        rooms[rooms.index(widest)] -= 1
    line = " ".join(f"{{:{'<' if at < _NAMES else '>'}{room}}}" for at, room in enumerate(rooms[:-1]))
    table = Text(end="")
    for cells in rows:
        style = "bold" if cells is _COLUMNS else ""
        folded = [
            [cell[at : at + room] for at in range(0, len(cell), room)] for cell, room in zip(cells, rooms, strict=True)
        ]
        for *pieces, condition in zip_longest(*folded, fillvalue=""):
            table.append(line.format(*pieces), style).append(f" {condition}\n", _COLOURS.get(condition, style))
    return table
