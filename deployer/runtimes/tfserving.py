"""TensorFlow Serving: how one version is run, asked for its health and warmed. Pure.

Each version has a server of its own, which serves exactly one servable under the deployment's name, labelled stable
and canary at once: a request that pins a version or a label is then right as it is, wherever the gateway sends it
(decision 6).
"""

from __future__ import annotations

from typing import Any

from deployer.runtimes.process import Launch, Process, RestCall


def command(launch: Launch) -> Process:
    """The process that serves `launch`: the real server if `launch.program` is one, else our stand-in."""
    raise NotImplementedError


def failure(status: Any) -> str | None:
    """Why the servable ended, by the answer to `/v1/models/M/versions/N`; None while it may still become available."""
    raise NotImplementedError


def derived_warmup(metadata: Any, path: str) -> RestCall | None:
    """One prediction of zeros by the signature in the answer to `…/metadata`; None if it has no plain tensors."""
    raise NotImplementedError
