"""Route tables from a file, with the last good one kept on disk.

Whoever writes the file replaces it by a rename, so that it is whole whenever it is read. Any table that differs from
the one before is taken, a lower revision too: a deployer that starts over counts from the beginning.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from stat import S_ISREG

from gateway.contract import route_table
from gateway.contract.route_table import Deployment, RouteTable, TableError
from gateway.discovery.snapshot import TableSnapshot
from gateway.discovery.source import REFUSED, listed

log = logging.getLogger(__name__)

Signature = tuple[int, int, int]


class TableFile:
    """The newest good table of `path`, the saved one until there is one."""

    connected = None
    heard_at = None

    def __init__(self, path: Path, interval: float, saved: TableSnapshot) -> None:
        """`interval`: seconds between two looks at the file."""
        self.path = path
        self._interval = interval
        self._saved = saved
        self.table: RouteTable | None = None
        self.read_at: float | None = None
        """When the table was read from `path`, in seconds since 1970; of a saved one, when it was saved."""
        self.problem: str | None = None
        """Why what is in the file now is not served; None if it is."""
        self.refused: Mapping[str, str] = {}
        """Why a deployment is not served as the file has it; what was served of it before is."""
        self.rejected = 0
        """How often the file, or a deployment in it, changed into something that is not served."""
        self._seen: Signature | str | None = None

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def rejecting(self) -> bool:
        return self.problem is not None

    async def watch(self, on_table: Callable[[RouteTable], None]) -> None:
        """Call `on_table` with each new table, for ever."""
        if (new := self.poll() or self.recall()) is not None:
            on_table(new)
        while True:
            await asyncio.sleep(self._interval)
            if (new := self.poll()) is not None:
                on_table(new)

    def poll(self) -> RouteTable | None:
        """The table in the file if it is good and not the one that we have. Reads only a file that has changed."""
        try:
            # Not to wait for who writes into a pipe.
            with open(self.path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
                status = os.fstat(file.fileno())
                if not S_ISREG(status.st_mode):
                    raise OSError(errno.EINVAL, "it is no file")
                signature = (status.st_mtime_ns, status.st_ino, status.st_size)
                if signature == self._seen:
                    return None
                self._seen = signature
                new, refused = route_table.read(file.read(), self._before)
        except OSError as error:
            reason = error.strerror or str(error)
            if reason != self._seen:
                self._seen = reason
                self._reject(reason)
            return None
        except TableError as error:
            self._reject(str(error))
            return None
        for key, why in refused.items():
            if self.refused.get(key) != why:
                self.rejected += 1
                log.error(REFUSED, extra={"path": self.path, "deployment": key, "reason": why})
        self.refused = refused
        self.problem = listed(refused) or None
        self.read_at = time.time()
        if new == self.table:
            return None
        self.table = new
        self._saved.write(new)
        return new

    def recall(self) -> RouteTable | None:
        """The last good table, from before a restart."""
        if (found := self._saved.read()) is None:
            return None
        self.table, self.read_at = found
        log.warning("serving by the last good route table", extra=self._about(self.table))
        return self.table

    @property
    def _before(self) -> Mapping[tuple[str, str], Deployment]:
        """What was served last, also before a restart."""
        if self.table is not None:
            return self.table.by_key
        return {} if (found := self._saved.read()) is None else found[0].by_key

    def _reject(self, reason: str) -> None:
        self.problem = reason
        self.rejected += 1
        extra = {"path": self.path, "reason": reason, **self._about(self.table)}
        log.error("the route table is not served, the last good one stays", extra=extra)

    @staticmethod
    def _about(served: RouteTable | None) -> dict[str, object]:
        return {"revision": None if served is None else served.revision}
