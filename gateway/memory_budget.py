"""What one worker holds in memory for its clients, and how much of it each of them may have."""

from __future__ import annotations

from weakref import WeakValueDictionary

from gateway.refusal import Code, Refusal


class MemoryBudget:
    """Of all clients: requests until they are answered, and answers that clients have not taken."""

    __slots__ = ("_shares", "held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._shares: WeakValueDictionary[str, MemoryShare] = WeakValueDictionary()

    def share_of(self, caller: str) -> MemoryShare:
        """The one that a caller behind proxies has, on whichever connections, for as long as anyone keeps it."""
        share = self._shares.get(caller)
        if share is None:
            share = self._shares[caller] = MemoryShare(self, caller)
        return share


class MemoryShare:
    """Of one connection, or of one caller behind proxies: it may have as much as is still free once it has it.

    So one alone gets half of the budget, and who comes after it half of what is left: however many fill their shares,
    there is some for the next. An address counts only where a proxy of ours names it: behind one that isn't known as
    such all have one address.
    """

    __slots__ = ("__weakref__", "_budget", "caller", "held")

    def __init__(self, budget: MemoryBudget, caller: str) -> None:
        self._budget = budget
        self.caller = caller
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
                f"this client holds {self.held} bytes of requests and answers and the gateway {self._budget.held}, "
                "as much as they may; try again later"
            )
            raise Refusal(Code.RESOURCE_EXHAUSTED, "gather_budget", message)
        self.add(size)

    def add(self, size: int) -> None:
        """Hold `size` bytes more whatever the share is; fewer, where negative."""
        self.held += size
        self._budget.held += size
