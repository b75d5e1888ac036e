"""The first process of a container: makes its root, then becomes its command. Knows nothing but the standard library.

Started as root: `python -I -S launcher.py FD SPECIFICATION`. It forks, and waits to end with the command's exit code,
or 128 and the signal's number. The child writes its process id on this machine and a newline to FD once the command is
about to run; or why it can't, and ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import stat
import sys
from typing import Any

READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 16384, 1 << 18
_DETACH = 2
_PDEATHSIG, _NO_NEW_PRIVILEGES, _SIGKILL = 1, 38, 9
_NEW_MOUNTS, _NEW_NAME, _NEW_PROCESSES, _NEW_NETWORK = 0x20000, 0x4000000, 0x20000000, 0x40000000
_OLD = "/.rig"
"""Where this machine's root is seen while the container's is made."""
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    report, specification = int(sys.argv[1]), json.loads(sys.argv[2])
    _end_with_parent()
    network = os.open(specification["network"], os.O_RDONLY)
    if _libc.setns(network, _NEW_NETWORK) or _libc.unshare(_NEW_MOUNTS | _NEW_NAME | _NEW_PROCESSES):
        sys.exit(f"{_failed('the namespaces')}")
    if child := os.fork():
        os.close(report)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 128 - code)
    _end_with_parent()
    os.set_inheritable(report, False)
    pid = os.readlink("/proc/self")  # of this machine's /proc: our own is mounted below
    try:
        _make_root(specification)
        os.chdir(specification["folder"])
        _become(specification)
        program = shutil.which(specification["argv"][0], path=specification["env"].get("PATH", os.defpath))
        if program is None:
            raise OSError(f"exec: {specification['argv'][0]!r}: there is no such executable file")
    except OSError as error:
        os.write(report, f"{error}".encode())
        sys.exit(128)
    os.write(report, f"{pid}\n".encode())
    os.execve(program, specification["argv"], specification["env"])


def mount(source: str | None, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    arguments = [None if part is None else part.encode() for part in (source, target, kind)]
    if _libc.mount(*arguments, ctypes.c_ulong(flags), None if options is None else options.encode()):
        raise _failed(f"mount {source} at {target}")


def _make_root(specification: dict[str, Any]) -> None:
    """This machine's root with a layer over it that ends with the container, and what is to be mounted in it."""
    scratch = specification["scratch"]
    mount(None, "/", None, PRIVATE | RECURSIVE)
    mount("tmpfs", scratch, "tmpfs")
    upper, work, root = (f"{scratch}/{name}" for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        os.mkdir(folder)
    mount("overlay", root, "overlay", 0, f"lowerdir=/,upperdir={upper},workdir={work}")
    os.mkdir(root + _OLD)
    if _libc.pivot_root(root.encode(), (root + _OLD).encode()):
        raise _failed("pivot_root")
    # From here on links lead to where they lead in the container.
    os.chdir("/")
    os.umask(0o022)
    mount("proc", "/proc", "proc")
    for folder in ("/dev", "/sys"):
        mount(_OLD + folder, folder, None, BIND | RECURSIVE)
    mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777")
    for path in specification["needed"]:
        _bring(path)
    for path, text in specification["files"].items():
        _write(path, text, 0o644)
    for path, text in specification["scripts"].items():
        _write(path, text, 0o755)
    for source, path, read_only in specification["mounts"]:
        source = _OLD + source
        if os.path.isdir(source):
            os.makedirs(path, exist_ok=True)
        elif not os.path.exists(path):
            _write(path, "", 0o644)
        mount(source, path, None, BIND | RECURSIVE)
        if read_only:
            mount(None, path, None, REMOUNT | BIND | READ_ONLY)
    for path in specification["needed"]:  # what a volume would hide, such as a checkout in /tmp
        if any(path.startswith(f"{hiding}/") for _, hiding, _ in specification["mounts"]):
            os.makedirs(path, exist_ok=True)
            mount(_OLD + path, path, None, BIND | RECURSIVE)
    os.makedirs(specification["folder"], exist_ok=True)
    if _libc.umount2(_OLD.encode(), _DETACH):
        raise _failed(f"umount {_OLD}")
    os.rmdir(_OLD)
    if specification["readOnlyRoot"]:
        mount(None, "/", None, REMOUNT | BIND | READ_ONLY)


def _bring(path: str) -> None:
    """Let the container see `path` whatever file system it is on, and users other than root reach it."""
    if os.stat(_OLD + path).st_dev != os.stat(_OLD).st_dev:
        os.makedirs(path, exist_ok=True)
        mount(_OLD + path, path, None, BIND | RECURSIVE)
    folder = path
    while (folder := os.path.dirname(folder)) != "/":
        mode = stat.S_IMODE(os.stat(folder).st_mode)
        if mode & 0o055 != 0o055:
            os.chmod(folder, mode | 0o055)


def _write(path: str, text: str, mode: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink(path):
        os.unlink(path)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def _become(specification: dict[str, Any]) -> None:
    """Take the container's name and user."""
    socket.sethostname(specification["hostname"])
    os.setgroups(specification["groups"])
    os.setgid(specification["gid"])
    os.setuid(specification["uid"])
    _end_with_parent()  # again: setuid has cleared it
    if specification["noNewPrivileges"]:
        _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def _end_with_parent() -> None:
    _libc.prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0)


def _failed(what: str) -> OSError:
    return OSError(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
