"""The Open Inference Protocol, as Triton takes it: each input by its name and in its type. Pure."""

from __future__ import annotations

from typing import Any

from deployer.errors import TurnoutError
from deployer.runtimes.oip.protocol import OipProtocol


class TritonProtocol(OipProtocol):
    """Rows alone are no prediction."""

    def body(self, rows: list[Any]) -> dict[str, Any]:
        raise TurnoutError(
            "Triton takes inputs by name and type; write the data as "
            '{"inputs": [{"name": …, "shape": …, "datatype": …, "data": …}]}'
        )


PROTOCOL = TritonProtocol()
