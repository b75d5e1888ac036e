"""The program: both ports, the models loaded beside them, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import tensorflow as tf
import uvicorn

from . import grpc_api
from .catalogue import Catalogue
from .rest import Rest
from .servable import Servable

_KEEP_ALIVE = 300
"""Seconds that an idle connection is kept: clients with pools should be the ones to close."""
_DRAIN = 5
"""Seconds for requests in flight once the end was asked for."""


def main(flag: argparse.Namespace) -> int:
    """Serve as `flags.parse` says; the exit code is 0 after a signal, 1 if a port can't be had."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    tf.get_logger().setLevel("ERROR")
    load = partial(Servable, intra=flag.tensorflow_intra_op_parallelism, inter=flag.tensorflow_inter_op_parallelism)
    catalogue = Catalogue(flag.models, load, early_labels=bool(flag.allow_version_labels_for_unavailable_models))
    threads = 2 * (os.cpu_count() or 1) + 2  # more would only wait for the cores
    rest_pool = ThreadPoolExecutor(threads, "rest")
    server = grpc.server(
        ThreadPoolExecutor(threads, "grpc"),
        # Without the first, two servers share a port unnoticed; the others are the real server's: no limit.
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ],
    )
    grpc_api.add_to(server, catalogue)
    ended = threading.Event()
    # uvicorn takes the signals while it runs and hands them on when it has ended: then to these.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        server.add_insecure_port(f"{flag.host}:{flag.port}")
        listener = _listen(flag.host, flag.rest_api_port) if flag.rest_api_port else None
    except (OSError, RuntimeError) as error:
        print(f"stand-in: a port can't be had: {error}", file=sys.stderr)
        return 1
    server.start()
    catalogue.watch(flag.file_system_poll_wait_seconds)
    if listener is None:
        ended.wait()
    else:
        config = uvicorn.Config(
            Rest(catalogue, rest_pool),
            http="httptools",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_DRAIN,
        )
        uvicorn.Server(config).run(sockets=[listener])
    catalogue.stop()
    server.stop(_DRAIN).wait()
    rest_pool.shutdown(wait=False, cancel_futures=True)
    sys.stderr.flush()
    # Not sys.exit: a model that still loads in its thread could hold it up for minutes.
    os._exit(0)


def _listen(host: str, port: int) -> socket.socket:
    # With the protocol named: else asyncio does not see TCP, leaves Nagle's algorithm on, and each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise OSError(f"{host}:{port}: {error.strerror}") from None
    return listener
