"""Sticky keys hash alike everywhere."""

import subprocess
import sys

from gateway.routing.sticky import position


def test_another_process_hashes_alike() -> None:
    """Unlike Python's own `hash`."""
    program = "from gateway.routing.sticky import position; print([position('s', b'%d' % n) for n in range(100)])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str([position("s", b"%d" % number) for number in range(100)])
