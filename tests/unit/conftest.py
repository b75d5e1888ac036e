"""What stands here opens no socket and starts no process: a test that does fails, and belongs in tests/integration."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

_FORBIDDEN = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "socket.bind",
    "socket.connect",
    "subprocess.Popen",
}
_HERE = Path(__file__).resolve().parent
_guarded = False


def _refuse(event: str, _: object) -> None:
    # Not in other threads: those of tests of other folders may go on in this process.
    if _guarded and event in _FORBIDDEN and threading.current_thread() is threading.main_thread():
        raise RuntimeError(f"a unit test may not do {event}; move it to tests/integration")


sys.addaudithook(_refuse)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Called for the tests of all folders."""
    global _guarded
    _guarded = _HERE in item.path.parents
    try:
        return (yield)
    finally:
        _guarded = False
