"""Runs the real `seldon-core-microservice`, in its own environment, as a guest on somebody's laptop.

Three things are arranged, and nothing else is changed: it listens on 127.0.0.1 where it would listen on all addresses;
it serves no metrics of its own, which would need a third port and two more processes; and when its REST server ends,
for whatever reason, so do the processes that it started, which it would else wait for or leave behind.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from typing import Any

from seldon_core import microservice

_run_grpc_server = microservice._run_grpc_server


class _LocalApplication(microservice.UserModelApplication):  # type: ignore[misc]  # untyped in this environment
    def __init__(self, *arguments: Any, options: dict[str, Any]) -> None:
        super().__init__(*arguments, options={**options, "bind": _local(options["bind"])})


def _run_local_grpc_server(*arguments: Any) -> None:
    *others, bind_address = arguments
    _run_grpc_server(*others, _local(bind_address))


def _local(address: str) -> str:
    return f"127.0.0.1:{address.rpartition(':')[2]}"


def main() -> None:
    # Forked, not spawned: the changes below have to reach the children.
    multiprocessing.set_start_method("fork")
    if os.getpgrp() != os.getpid():
        os.setpgrp()  # what is ended below is ours alone
    microservice.UserModelApplication = _LocalApplication
    microservice._run_grpc_server = _run_local_grpc_server
    microservice._make_rest_metrics_server = lambda *arguments: None
    ours = os.getpid()
    code: object = 1
    try:
        microservice.main()
        code = 0
    except SystemExit as ended:
        code = ended.code
        if os.getpid() != ours:  # a gunicorn worker, forked off in there, ends in the same way
            raise
    except BaseException:
        traceback.print_exc()
    finally:
        if os.getpid() == ours:
            sys.stdout.flush()
            sys.stderr.flush()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)
            # Not sys.exit: it would wait for the gRPC processes, which don't end by themselves.
            os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
