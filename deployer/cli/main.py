"""`turnout`: the command line. Each command lives in `deployer/cli/`; here they are gathered, and errors end."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

import click

from deployer.cli import change, documents, operator, predict, render, rollout, show, simulate, up
from deployer.errors import TurnoutError

_REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a folder's owner or a full disk answers: no defect of ours, wherever it is met."""


def _version() -> str:
    try:
        return version("turnout")
    except PackageNotFoundError:
        return "from a checkout, not installed"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="turnout")
def cli() -> None:
    """Run versions of models, and move traffic between them."""


for _command in (
    *documents.COMMANDS,
    *up.COMMANDS,
    *show.COMMANDS,
    *change.COMMANDS,
    *rollout.COMMANDS,
    *predict.COMMANDS,
    *operator.COMMANDS,
    *render.COMMANDS,
    *simulate.COMMANDS,
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: 0 done, 1 it could not be done, 2 it was asked for wrongly.

    No traceback reaches the user: an expected error is one text on stderr, a defect of ours leaves its traceback in a
    file, since what led to it may not happen again.
    """
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
