"""Moves the traffic step by step while digits flow, and shows what comes of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from examples.demo import figures, verdict
from examples.demo.clients import APIS
from examples.demo.figures import Figures
from examples.demo.load import Load, Results
from examples.demo.table import table
from examples.demo.up import Up

WEIGHTS = (0, 10, 50, 100)
"""Percent for v2."""
LOOK_EVERY = 0.5
"""Seconds between two looks at the metrics."""
COUNT_LIMIT = 5.0
"""Seconds until the gateway's counts have to equal ours: a request is counted when its last byte is out."""

Counted = Mapping[tuple[str, str], Figures]


class Steps:
    def __init__(self, up: Up, load: Load, console: Console) -> None:
        self._up, self._load, self._console = up, load, console
        self._start = figures.read(up.admin)
        self._answers: Counter[tuple[str, str]] = Counter()

    def run(self) -> list[str]:
        """What was wrong; nothing, if all went well."""
        problems: list[str] = []
        for number, weight in enumerate(WEIGHTS, 1):
            self._console.print(f"\n[bold]step {number} of {len(WEIGHTS)}: v2 gets {weight} %", highlight=False)
            moving = Results()
            with self._load.flowing(moving):
                for deployment in dict.fromkeys(api.deployment for api in APIS):
                    command = ("traffic", deployment, f"v1={100 - weight}", f"v2={weight}")
                    self._console.print(f"[dim]turnout {' '.join(command)}", highlight=False)
                    self._up.turnout(*command)
            before = self._counted(moving)
            results = Results()
            with self._shown(before, results):
                self._load.each(results)
            step = _since(self._counted(results), before)
            self._console.print(table(step, results))
            problems += moving.problems
            problems += verdict.problems(weight, results, step)
        return problems

    def _counted(self, results: Results) -> Counted:
        """The gateway's figures, once they hold all that `results` and those before it do, or will not."""
        self._answers += results.answers
        end = time.monotonic() + COUNT_LIMIT
        while True:
            now = figures.read(self._up.admin)
            counted = {key: figure.requests for key, figure in _since(now, self._start).items() if figure.requests}
            if counted == self._answers or time.monotonic() > end:
                return now
            time.sleep(LOOK_EVERY)

    @contextmanager
    def _shown(self, before: Counted, results: Results) -> Iterator[None]:
        """On a terminal, a table that follows."""
        latest = before

        def view() -> Table:
            nonlocal latest
            with suppress(httpx.HTTPError):  # then it stands still; what is wrong is told in the end
                latest = figures.read(self._up.admin)
            return table(_since(latest, before), results)

        if not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=view, console=self._console, refresh_per_second=1 / LOOK_EVERY, transient=True):
            yield


def _since(now: Counted, before: Counted) -> Counted:
    return {key: figure.since(before.get(key, Figures())) for key, figure in now.items()}
