"""`make fuzz`: gives each target bytes that reach more and more of the code (atheris, on libFuzzer), and keeps those
that do. What fails ends the run, with its input.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS

MAX_BYTES = 1_000
"""Of an input: what is longer reaches no more."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    chosen = parser.parse_args()
    for target in chosen.targets or TARGETS:
        with tempfile.TemporaryDirectory(prefix=f"turnout-fuzz-{target}-") as folder:
            for number, data in enumerate(corpus.read(target)):
                (Path(folder) / str(number)).write_bytes(data)
            # In a process of its own, which libFuzzer ends. It adds to the folder what reaches more.
            options = [f"-max_total_time={chosen.seconds}", f"-max_len={MAX_BYTES}", "-verbosity=0", folder]
            run = subprocess.run([sys.executable, "-m", "tests.fuzz.run", target, *options], check=False)
            if run.returncode:
                return run.returncode
            corpus.write(target, (path.read_bytes() for path in Path(folder).iterdir()))
        print(f"{target}: {len(corpus.read(target))} inputs are kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
