"""The last good route table on disk, so that a restart does not depend on whoever says what the table is."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from gateway.contract import route_table
from gateway.contract.route_table import RouteTable, TableError

log = logging.getLogger(__name__)


class TableSnapshot:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[RouteTable, float] | None:
        """The table from before a restart, and when it was saved in seconds since 1970."""
        try:
            with self.path.open("rb") as file:
                return route_table.read(file.read()).table, os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        except (OSError, TableError) as error:
            log.warning("the saved route table can't be used", extra={"path": self.path, "reason": error})
            return None

    def write(self, new: RouteTable) -> None:
        """Replaces the saved table as a whole. That it can't be saved is logged and stops nothing."""
        temporary = self.path.with_suffix(f".{os.getpid()}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # It has the salts, by which anybody could tell who of the users gets which version.
            with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(route_table.write(new))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            log.warning("the route table can't be saved for a restart", extra={"path": temporary, "reason": error})
