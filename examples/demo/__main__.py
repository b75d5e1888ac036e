"""`make demo`: two versions of two models behind one address, while the traffic moves from one version to the other."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from deployer.errors import TurnoutError
from deployer.local import environments
from examples.demo.clients import APIS, Image, Unanswered
from examples.demo.load import Load, Results, ask_each
from examples.demo.steps import Steps
from examples.demo.train import train
from examples.demo.up import DemoFailed, Up

EXAMPLES = Path(__file__).resolve().parent.parent
DOCUMENTS = (EXAMPLES / "digits.yaml", EXAMPLES / "digits-seldon.yaml")
STATE = EXAMPLES.parent / ".turnout" / "demo"

Digits = Sequence[tuple[Image, int]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end by itself; the exit code tells whether all was right")
    once: bool = parser.parse_args(arguments).once
    console = Console() if sys.stdout.isatty() else Console(width=100)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        demo(console, once)
        return 0
    except KeyboardInterrupt:
        return 130 if once else 0
    except (DemoFailed, TurnoutError, subprocess.CalledProcessError, Unanswered) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def demo(console: Console, once: bool) -> None:
    """Raises DemoFailed where something was wrong."""
    began = time.monotonic()
    for runtime in ("tfserving", "seldon"):
        environments.program(runtime)
    train(EXAMPLES)
    digits = _unseen(EXAMPLES / "digits.npz")
    with Up(STATE, DOCUMENTS) as up:
        with _timed(console, "turnout up examples/digits.yaml examples/digits-seldon.yaml"):
            deployments = up.settled()
        with _timed(console, f"asking each model server itself for all {len(digits)} digits that no model has seen"):
            expected = _expected(deployments, digits)
        load = Load(up.address, digits, expected)
        problems = Steps(up, load, console).run()
        console.print(f"\n{len(digits)} digits over each API in each step, in {time.monotonic() - began:.0f} s in all:")
        for problem in problems:
            console.print(f"  wrong: {problem}", style="red", markup=False, soft_wrap=True)
        if not problems:
            console.print("  no error; each answer equals its version's own; each share is within its bounds")
        if not once:
            _try(console, up, digits[0][0])
            with load.flowing(Results()), _ending(console):
                up.wait()
        if problems:
            raise DemoFailed(f"logs: {STATE / 'logs'}")


def _unseen(path: Path) -> Digits:
    with np.load(path) as data:
        return [
            (image.tolist(), int(label))
            for image, label in zip(data["unseen_images"], data["unseen_labels"], strict=True)
        ]


def _expected(deployments: dict[str, Any], digits: Digits) -> dict[tuple[str, str], list[bytes]]:
    """What each version answers itself over each API, asked without the gateway."""
    with ThreadPoolExecutor() as executor:
        asked = {
            (api.protocol, version["name"]): executor.submit(
                ask_each, api, f"127.0.0.1:{version['replicas'][0][api.port]}", digits
            )
            for api in APIS
            for version in deployments[api.deployment]["versions"]
        }
        return {key: answers.result() for key, answers in asked.items()}


def _try(console: Console, up: Up, image: Image) -> None:
    """Print commands that can be pasted as they are."""
    here = up.folder.relative_to(EXAMPLES.parent)
    (up.folder / "tfserving.json").write_text(json.dumps({"instances": [image]}))
    (up.folder / "seldon.json").write_text(json.dumps({"data": {"ndarray": [image]}}))
    console.print(
        f"""
Digits go on flowing, slowly. To try from another terminal, in this folder:

  export TURNOUT_STATE=$PWD/{here} PATH=$PWD/.venv/bin:$PATH
  turnout status --watch
  turnout traffic digits v1=70 v2=30
  turnout predict digits @{here}/tfserving.json
  turnout predict digits-seldon @{here}/seldon.json --grpc
  curl -i http://{up.address}/v1/models/digits:predict -d @{here}/tfserving.json
  curl -i http://{up.address}/seldon/default/digits-seldon/api/v1.0/predictions \\
       -H 'content-type: application/json' -d @{here}/seldon.json
  curl http://{up.admin}/metrics

Ctrl-C ends all.""",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _timed(console: Console, what: str) -> Iterator[None]:
    began = time.monotonic()
    with console.status(what) if console.is_terminal else nullcontext():
        yield
    console.print(f"{what}: {time.monotonic() - began:.0f} s", highlight=False)


@contextmanager
def _ending(console: Console) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        console.print("\nending: the gateway finishes what it has, then the model servers end")
        raise


if __name__ == "__main__":
    sys.exit(main())
