"""What a handler keeps with a head that is shared by all messages that begin alike."""

from __future__ import annotations


class Note:
    """Worked out of a head's bytes, and of nothing else that may change. A handler subclasses it, and knows its own by
    `isinstance`: this package looks at none."""

    __slots__ = ()
