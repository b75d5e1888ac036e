"""The environments of the runtimes: each in its own, made on first use from the lock that ships with Turnout."""

from __future__ import annotations

from pathlib import Path

from deployer.errors import TurnoutError


class EnvironmentFailed(TurnoutError):
    """A runtime's environment could not be made."""


def program(runtime: str) -> Path:
    """What runs the runtime's processes: `tensorflow_model_server` where it is on PATH, else the Python of the
    runtime's environment, which is made now if it isn't there (minutes; tells its progress on stderr).

    Raises:
        EnvironmentFailed: it could not be made; the message says why and what to do.
    """
    raise NotImplementedError
