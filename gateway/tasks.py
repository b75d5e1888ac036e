"""The one place that starts asyncio tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger(__name__)
_running: set[asyncio.Task[None]] = set()


def spawn(coroutine: Coroutine[object, None, None], name: str) -> asyncio.Task[None]:
    """Start `coroutine`, keep a reference until it ends (the loop keeps none), and log what it fails with."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[None]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task %s failed", task.get_name(), exc_info=error)
