"""`make cluster`: a cluster to try things on, until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from pathlib import Path

from tests.cluster.rig import build
from tests.cluster.rig.cluster import Cluster

GREETING = """\
A cluster of two nodes is ready after {seconds:.0f} s; its files and logs are in {folder}. In another terminal:

  export KUBECONFIG={kubeconfig}
  {kubectl} get nodes
  {helm} upgrade --install turnout charts/turnout --namespace turnout-system --create-namespace --wait

The addresses of Services and pods are known in its network alone: `ip netns exec {netns} curl http://…`
Ctrl-C ends it."""


def main() -> None:
    # As Ctrl-C: else nothing would be removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="turnout-cluster-") as folder:
        print("Starting a cluster; where its programs were never built, that takes some 10 minutes.", flush=True)
        cluster = Cluster.start(Path(folder))
        try:
            greeting = GREETING.format(
                seconds=time.monotonic() - began,
                folder=cluster.folder,
                kubeconfig=cluster.host_kubeconfig,
                kubectl=build.kubectl(),
                helm=build.helm(),
                netns=cluster.netns.name,
            )
            print(greeting, flush=True)
            signal.pause()
        finally:
            cluster.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
