"""What both wires allow of a request, and of a read."""

from __future__ import annotations

from typing import Final

MAX_FIELDS: Final = 100
"""In a request's head, as Envoy and Apache have it: each is decoded, checked and sent on. Model servers are believed to
know what they answer."""

FULL_READ_BYTES: Final = 131_072
"""Of uvloop's buffer, which has 256,000. Where a read has filled it there is more, and the loop would go on reading up
to 32 times: after one so large others have their turn."""

TURN_SECONDS: Final = 0.001
"""After so long a connection that has more to be read waits for its next turn: an honest client's request needs some
three turns of the loop, and a model server that is fast a few milliseconds."""
