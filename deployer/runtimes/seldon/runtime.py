"""The runtime `seldon`. Pure."""

from __future__ import annotations

from deployer.runtimes.base import Launch, Process, Runtime
from deployer.runtimes.seldon import process


class Seldon(Runtime):
    """Seldon's servers."""

    name = "seldon"
    title = "Seldon's servers"

    def process(self, launch: Launch) -> Process:
        return process.command(launch)
