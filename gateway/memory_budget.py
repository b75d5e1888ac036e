"""What one worker holds in memory for its clients, and how much of it a single connection may have."""

from __future__ import annotations

from gateway.refusal import Code, Refusal


class MemoryBudget:
    """Of all connections: requests until they are answered, and answers that clients have not taken."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class MemoryShare:
    """Of one connection: it may have as much as is still free once it has it.

    So one alone gets half of the budget, and who comes after it half of what is left: however many fill their shares,
    there is some for the next. Who is behind a connection doesn't count: behind an ingress all have one address.
    """

    __slots__ = ("_budget", "held")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.held = 0

    def allows(self, size: int) -> bool:
        """Whether `size` bytes more are within the share."""
        budget = self._budget
        return self.held + 2 * size + budget.held <= budget.limit

    def take(self, size: int) -> None:
        """Hold `size` bytes more.

        Raises Refusal: that is more than the share.
        """
        if not self.allows(size):
            message = (
                f"this connection holds {self.held} bytes of requests and answers and the gateway {self._budget.held}, "
                "as much as they may; try again later"
            )
            raise Refusal(Code.RESOURCE_EXHAUSTED, "gather_budget", message)
        self.add(size)

    def add(self, size: int) -> None:
        """Hold `size` bytes more whatever the share is; fewer, where negative."""
        self.held += size
        self._budget.held += size
