"""`turnout validate` and `turnout schema`."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from deployer.commands import options
from deployer.document import DocumentError, Problem, read
from deployer.schema import schema as document_schema


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@options.output
def validate(files: tuple[str, ...], output: str) -> None:
    """Check documents, and that their models are there; tell all that is wrong.

    Each problem is told with its file, line and field, and what would be right. - is standard input.
    """
    problems: tuple[Problem, ...] = ()
    names: list[str] = []
    try:
        names = [deployment.key for deployment in read(files)]
    except DocumentError as error:
        if output == "text":
            raise
        problems = error.problems
    if output == "json":
        result = {"valid": not problems, "deployments": names, "problems": [asdict(problem) for problem in problems]}
        options.show_as_json(result)
    else:
        click.echo(f"valid: {', '.join(names)}")
    sys.exit(1 if problems else 0)


@click.command()
def schema() -> None:
    """Print the document's JSON Schema, by which editors complete and check it."""
    options.show_as_json(document_schema())


COMMANDS: tuple[click.Command, ...] = (validate, schema)
