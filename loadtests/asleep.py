"""`turnout` whose model servers are `sleep`s that count as ready: for more of them than a machine could hold.

python -m loadtests.asleep PORT COMMAND...; whether a server lives is asked of PORT, as often as of its own ports.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deployer.cli.main import main
from deployer.local import environments, probes
from deployer.runtimes.base import GrpcCall, Launch, Process, RestCall, Runtime
from deployer.runtimes.registry import RUNTIMES


def _process(self: Runtime, launch: Launch) -> Process:
    return Process(
        server="sleep",
        argv=(str(launch.program), "infinity"),
        env=launch.env,
        cwd=launch.folder,
        files={},
        links={},
        rest=int(sys.argv[1]),
        grpc=int(sys.argv[1]),
        ready=RestCall("GET", "/"),
        ready_grpc=GrpcCall("/", b""),
        warmup=None,
        warmup_grpc=None,
    )


if __name__ == "__main__":
    environments.program = lambda runtime: Path("/bin/sleep")
    for runtime in RUNTIMES.values():
        type(runtime).process = _process  # type: ignore[method-assign]
    probes.check = lambda process, timeout: probes.Ready()
    main(sys.argv[2:])
