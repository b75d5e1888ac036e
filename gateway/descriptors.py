"""How many descriptors a process may open, and what of them is for clients."""

from __future__ import annotations

import resource
import sys


def raise_limit() -> None:
    """As many as may be had. The default of a shell, 1,024, is for programs that wait by select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections() -> int:
    """Of clients, in one process: the other half is for model servers and for all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(1, soft // 2)
