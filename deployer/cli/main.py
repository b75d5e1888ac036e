"""`turnout`: the command line. Each command lives in a module beside this one; here errors end."""

from __future__ import annotations

import errno
import io
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

import click

from deployer.errors import TurnoutError

_REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a folder's owner or a full disk answers: no defect of ours, wherever it is met."""
_MODULES = {
    "validate": "documents",
    "schema": "documents",
    "up": "up",
    "status": "show",
    "logs": "show",
    "apply": "change",
    "traffic": "change",
    "promote": "change",
    "rollback": "change",
    "delete": "change",
    "rollout": "rollout",
    "predict": "predict",
    "operator": "operator",
    "render": "render",
    "diff": "render",
    "simulate": "simulate",
}
"""By each command's name, the module that has it under this name."""


class _OnDemand(click.Group):
    """Imports a command's module once it is asked for: the imports of all take longer than most commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_MODULES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(f"deployer.cli.{_MODULES[cmd_name]}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # Click itself looks for near names among what is loaded
            known = self.list_commands(ctx)
            raise click.NoSuchCommand(error.command_name, possibilities=known, ctx=ctx) from None


def _version() -> str:
    try:
        return version("turnout")
    except PackageNotFoundError:
        return "from a checkout, not installed"


@click.group(cls=_OnDemand, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="turnout")
def cli() -> None:
    """Run versions of models, and move traffic between them."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: 0 done, 1 it could not be done, 2 it was asked for wrongly.

    No traceback reaches the user: an expected error is one text on stderr, a defect of ours leaves its traceback in a
    file, since what led to it may not happen again.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # one may be closed, or a program's own
            stream.reconfigure(errors="replace")  # a terminal without our bars or a person's letters shows "?"
    try:
        cli.main(args=arguments, prog_name="turnout")
    except TurnoutError as error:
        click.echo(str(error), err=True)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _REFUSALS:
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"{where}{error.strerror}; turnout has to write there: give it the right, or room", err=True)
            sys.exit(1)
        with tempfile.NamedTemporaryFile("w", prefix="turnout-defect-", suffix=".txt", delete=False) as file:
            traceback.print_exception(error, file=file)
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        click.echo(f"a defect in turnout ({what}); please report it with {file.name}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
