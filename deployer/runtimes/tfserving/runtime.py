"""The runtime `tfserving`. Pure."""

from __future__ import annotations

from deployer.runtimes.base import Launch, Process, Runtime
from deployer.runtimes.tfserving import process


class TfServing(Runtime):
    """TensorFlow Serving."""

    name = "tfserving"
    title = "TensorFlow Serving"
    binary = process.MODEL_SERVER

    def process(self, launch: Launch) -> Process:
        return process.command(launch)
