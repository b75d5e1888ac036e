"""What serves versions: one module each, all giving a `Process` for a `Launch`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deployer.runtimes import oip, seldon, tfserving
from deployer.runtimes.process import Launch, Process

COMMANDS: Mapping[str, Callable[[Launch], Process]] = {
    "tfserving": tfserving.command,
    "seldon": seldon.command,
    "oip": oip.command,
}
"""By the document's `runtime`."""
