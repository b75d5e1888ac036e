"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deployer.local.state import State, default_root


def _state(context: click.Context, parameter: click.Parameter, value: Path | None) -> State:
    return State((value or default_root()).absolute())


state = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TURNOUT_STATE",
    callback=_state,
    help="Folder of what should run and what runs.  [default: ~/.local/state/turnout]",
)
output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to show the result."
)
no_wait = click.option("--no-wait", is_flag=True, help="Don't wait until the change is in force.")


def note(text: Any) -> None:
    """For the person who waits; not part of the result."""
    click.echo(text, err=True)
