"""Seldon's Python microservice: how one version is run, asked for its health and warmed. Pure.

The model is a Python file that holds a class of the file's name: `Digits.py` with `class Digits`. The process runs in
the file's folder, as it does in Seldon's images, so the class finds its weights by relative paths.
"""

from __future__ import annotations

from deployer.runtimes.process import Launch, Process


def command(launch: Launch) -> Process:
    """The process that serves `launch`: the real microservice, in the environment whose Python `launch.program` is."""
    raise NotImplementedError
