"""`turnout` with a model server that starts in no time: python turnout.py COMMAND...

Everything else is as it is: processes, ports, the gateway, the state folder.
"""

import os
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from deployer.cli.main import main  # noqa: E402
from deployer.local import desired, environments, poller, prober, probes, supervisor  # noqa: E402
from deployer.local.policy.autoscaler import Autoscaler, Policy  # noqa: E402
from deployer.rollout import gates  # noqa: E402
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


def autoscaler(replicas: int) -> Autoscaler:
    """In seconds what takes minutes."""
    return Autoscaler(replicas, Policy(window=4, up_after=2, down_after=6))


if hasty := os.environ.get("TURNOUT_TEST_HASTY"):
    # A server that hangs is found out within seconds, and started again after so many; metrics are asked often.
    poller.METRICS_EVERY = prober.ALIVE_EVERY = gates.APART = 0.5
    prober.ALIVE_TIMEOUT, supervisor.TIMEOUT = 2.0, float(hasty)
desired.Autoscaler = autoscaler  # type: ignore[attr-defined, assignment]
environments.program = lambda runtime: Path(sys.executable)
for runtime in RUNTIMES.values():
    type(runtime).process = process  # type: ignore[method-assign]
probes.check = check
main()
