"""Options that several commands share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from deployer.errors import TurnoutError
from deployer.local.state_folder import StateFolder, default_root


class Between(click.FloatRange):
    """A number in a range, which "nan" is not: Click's own range takes it, since it compares as neither too small nor
    too large."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


def _state(context: click.Context, parameter: click.Parameter, value: Path | None) -> StateFolder:
    return StateFolder((value or default_root()).absolute())


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


def show_as_json(content: Any) -> None:
    """The result, for a program."""
    click.echo(json.dumps(content, indent=2))


def refuse_unwaited_json(no_wait: bool, output: str) -> None:
    """Raises TurnoutError where both are asked for: what isn't waited for can't be shown."""
    if no_wait and output == "json":
        raise TurnoutError(
            "--no-wait has no result to show as JSON; leave one of the two out, or ask `turnout status -o json` later"
        )


def note(text: Any) -> None:
    """For the person who waits; not part of the result."""
    click.echo(text, err=True)
