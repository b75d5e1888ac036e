"""From a version in a document to the process that serves it on this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from deployer.document.model import ModelDeployment
from deployer.local import environments
from deployer.local.background import Background
from deployer.local.models import located
from deployer.runtimes.base import Launch, Process

AGAIN_AFTER = 60.0
"""Seconds until a runtime's environment that could not be made is tried again: a network may be back by then."""


class Launcher:
    """Knows the programs of the runtimes, and has those that are missing made. `work` holds the replicas' folders."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._making: Background[Path] = Background()
        self._programs: dict[str, Path] = {}
        self._failed: dict[str, tuple[str, float]] = {}

    def refresh(self, runtimes: Collection[str], now: float) -> None:
        """Look for the programs of `runtimes`, and go on with those that are being made; never waits."""
        for runtime in runtimes:
            if runtime in self._programs:
                continue
            try:
                program = self._making.answer(runtime)
            except environments.EnvironmentFailed as error:
                self._failed[runtime] = (str(error), now + AGAIN_AFTER)
                continue
            if program is not None:
                self._programs[runtime] = program
                self._failed.pop(runtime, None)
            elif now >= self._failed.get(runtime, ("", 0.0))[1]:
                self._making.ask(runtime, partial(environments.program, runtime))

    def problem(self, runtime: str) -> str | None:
        """Why no replica of the runtime can be started now."""
        if runtime in self._programs:
            return None
        return self._failed.get(runtime, (f"waiting for the environment of {runtime}", 0.0))[0]

    def process(self, document: ModelDeployment, version: str, name: str, ports: Mapping[str, int]) -> Process | None:
        """The process of the replica called `name`; None while the runtime can't be started.

        Raises:
            ModelMissing: there is no such model.
        """
        runtime, spec = document.spec.runtime, document.by_name[version]
        if runtime not in self._programs:
            return None
        launch = Launch(
            deployment=document.metadata.name,
            version=version,
            servable=document.runtime.servable(document.spec, spec),
            model=located(runtime, Path(spec.path)),
            rest=ports["rest"],
            grpc=ports["grpc"],
            folder=self._work / name,
            program=self._programs[runtime],
            warmup=spec.warmup,
            env=spec.env,
            implementation=spec.implementation,
        )
        return document.runtime.process(launch)
