"""`turnout` with a model server that starts in no time: python turnout.py COMMAND...

Everything else is as it is: processes, ports, the gateway, the state folder.
"""

import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from deployer.cli.main import main  # noqa: E402
from deployer.local import desired, environments, probes  # noqa: E402
from deployer.local.policy.autoscaler import Autoscaler, Policy  # noqa: E402
from deployer.runtimes.base import GrpcCall, Launch, Process, RestCall, Runtime  # noqa: E402
from deployer.runtimes.registry import RUNTIMES  # noqa: E402

SERVER = Path(__file__).with_name("server.py")


def process(self: Runtime, launch: Launch) -> Process:
    return Process(
        server="fake",
        argv=(str(launch.program), str(SERVER), str(launch.rest), str(launch.grpc), str(launch.model)),
        env=launch.env,
        cwd=launch.folder,
        files={},
        links={},
        rest=launch.rest,
        grpc=launch.grpc,
        ready=RestCall("GET", "/"),
        ready_grpc=GrpcCall("/", b""),
        warmup=None,
        warmup_grpc=None,
    )


def check(process: Process, timeout: float) -> probes.Ready | probes.NotYet | probes.Failed:
    try:
        with urlopen(f"http://127.0.0.1:{process.rest}/", timeout=timeout):
            return probes.Ready()
    except HTTPError:
        return probes.NotYet("the model is loading")
    except (URLError, OSError) as error:
        return probes.NotYet(str(error))


def alive(processes: Sequence[Process], timeout: float) -> list[bool]:
    """By one port: the fake server has no other."""
    return [_accepts(process.rest, timeout) for process in processes]


def _accepts(port: int, timeout: float) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout).close()
    except OSError:
        return False
    return True


def autoscaler(replicas: int) -> Autoscaler:
    """In seconds what takes minutes."""
    return Autoscaler(replicas, Policy(window=4, up_after=2, down_after=6))


desired.Autoscaler = autoscaler  # type: ignore[attr-defined, assignment]
environments.program = lambda runtime: Path(sys.executable)
for runtime in RUNTIMES.values():
    type(runtime).process = process  # type: ignore[method-assign]
probes.check = check
probes.alive = alive
main()
