"""The network namespace of a rig: nothing that listens in it is seen outside, and nothing leaves the machine.

Pods hang on the bridge `pods`, whose own address is the rig's; each address of a Service belongs to the loopback
device, so that a process can listen on it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import psutil

ADDRESS = "10.244.0.1"
"""The rig's own: of the API server, and of what else pods have to reach. EndpointSlices refuse loopback addresses."""
SERVICES = "10.96.0.0/16"
_PREFIX = "turnout-"
_FOLDER = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def make() -> Path:
    """This process's: `ip netns` knows it by the file's name. Those that dead processes left are removed first."""
    for left in _FOLDER.glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX)
        if owner == str(os.getpid()) or not (owner.isdigit() and psutil.pid_exists(int(owner))):
            remove(left)
    made = _FOLDER / f"{_PREFIX}{os.getpid()}"
    _ip("netns", "add", made.name)
    try:
        for command in (
            "link set lo up",
            # With an address of its own: it would else change with the pods that hang on it, and be lost to the others.
            "link add pods address 0a:58:0a:f4:00:01 type bridge",
            f"address add {ADDRESS}/16 dev pods",
            "link set pods up",
            f"route add local {SERVICES} dev lo",
        ):
            _ip("-n", made.name, *command.split())
    except BaseException:
        remove(made)
        raise
    return made


def remove(made: Path) -> None:
    """What still runs in it keeps it, without its name."""
    _ip("netns", "delete", made.name)


def enter(namespace: Path) -> None:
    """Put the calling thread there, and so whatever thread or process it starts from now on."""
    file = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(file, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(namespace))
    finally:
        os.close(file)


def _ip(*arguments: str) -> None:
    done = subprocess.run(("ip", *arguments), capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
