"""How far apart the releases of the two programs may be: one is upgraded before the other, and back again.

A program of contract n reads what one of n - 1, n or n + 1 writes. A field that it does not know it ignores. What must
not be ignored, its writer names as a feature that is required: who does not know the feature refuses that deployment
alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import AfterValidator, Field

CONTRACT: Final = 1
"""The number of the schema of all that both programs read and write, which raises it by one with each release that
changes any of it. A field that is new has a default, for the release before; one that goes stays for a release."""

FEATURES: Final[frozenset[str]] = frozenset()
"""What a deployment may require of a gateway, beyond what gateways of contract 1 do."""


def check(contract: int, requires: Iterable[str] = ()) -> None:
    """
    Raises:
        ValueError: what bears this number, or requires these features, is not for this release to read.
    """
    if abs(contract - CONTRACT) > 1:
        raise ValueError(
            f"it is of contract {contract}, and this release reads {CONTRACT - 1} to {CONTRACT + 1}: "
            "upgrade one release at a time"
        )
    if unknown := sorted(set(requires) - FEATURES):
        raise ValueError(f"it requires what this release does not know: {', '.join(unknown)}")


def _checked(contract: int) -> int:
    check(contract)
    return contract


Contract = Annotated[int, Field(strict=True, ge=0), AfterValidator(_checked)]
"""The number in a page that is read whole or not at all."""
