"""Where route tables come from, as the parent sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.contract.route_table import RouteTable

REFUSED = "a deployment is not served as it was written, what was served of it before is"
"""The line in the log, once for each reason."""


def listed(refused: Mapping[str, str]) -> str:
    """The first deployments that are refused, and why; "" where none is."""
    why = [f"{key}: {reason}" for key, reason in sorted(refused.items())]
    return "; ".join(why[:3]) + (f"; and {len(why) - 3} more" if len(why) > 3 else "")


class Source(Protocol):
    @property
    def name(self) -> str:
        """What is followed, for logs and messages."""
        ...

    @property
    def table(self) -> RouteTable | None:
        """The newest table that can be served."""
        ...

    @property
    def read_at(self) -> float | None:
        """When `table` was read at its source, in seconds since 1970."""
        ...

    @property
    def problem(self) -> str | None:
        """Why `table` is not, or not for sure, what the source says now; None if it is."""
        ...

    @property
    def refused(self) -> Mapping[str, str]:
        """Why a deployment (`namespace/name`) in `table` is not, or not as, what the source says now."""
        ...

    @property
    def rejected(self) -> int:
        """How often the source said something that is not served."""
        ...

    @property
    def rejecting(self) -> bool:
        """Whether what the source says now is not served, or not all of it."""
        ...

    @property
    def connected(self) -> bool | None:
        """Whether changes at the source are heard of; None where there is no connection to lose."""
        ...

    @property
    def heard_at(self) -> float | None:
        """When the source last said anything, in seconds since 1970; None where there is no connection to lose."""
        ...

    async def watch(self, on_table: Callable[[RouteTable], None]) -> None:
        """Call `on_table` with each new table, for ever."""
        ...
