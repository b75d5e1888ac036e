"""The median of what keeps coming, in constant time and memory. Pure."""

from __future__ import annotations

from typing import Final

_STEP: Final = 1.05
"""By which factor one number moves it at most: once found it stays within some 10 %."""


class Median:
    """Of positive numbers, the newer ones counting more: a stochastic approximation on their logarithms (Robbins and
    Monro, "A Stochastic Approximation Method", 1951)."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None
        """None before the first number."""

    def add(self, number: float) -> None:
        value = self.value
        if value is None:
            self.value = number
        elif number > value:
            self.value = min(number, value * _STEP)
        else:
            self.value = max(number, value / _STEP)
