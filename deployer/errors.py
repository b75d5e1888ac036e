"""What a person may meet and can act on; each becomes one line on stderr and exit code 1 in `deployer/cli/main.py`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TurnoutError(Exception):
    """The base of all expected errors. The text says what was wrong, where, and what to do."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was most likely meant to be, if one is close; letter case is no difference."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word[:100].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None
