"""The runtimes that there are: a new one is a folder beside the others, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.runtimes.base import Runtime
from deployer.runtimes.oip.runtime import Oip
from deployer.runtimes.seldon.runtime import Seldon
from deployer.runtimes.tfserving.runtime import TfServing
from deployer.runtimes.triton.runtime import Triton

RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        TfServing(),
        Seldon(),
        Oip(),
        Triton(),
    )
}
"""By the document's `spec.runtime`."""
