"""`turnout validate` and `turnout schema`."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
