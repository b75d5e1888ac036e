"""The runtime `oip`. Pure."""

from __future__ import annotations

from deployer.runtimes.base import Launch, Process, Runtime
from deployer.runtimes.oip import process


class Oip(Runtime):
    """MLServer, or another server of the Open Inference Protocol."""

    name = "oip"
    title = "MLServer, or another server of the Open Inference Protocol"

    def process(self, launch: Launch) -> Process:
        return process.command(launch)
