"""The command line: those of the real server's flags that mean something here, by the same names; and `--host`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The flags. Ends the process with code 2 and the reason on stderr if they make no sense."""
    parser = argparse.ArgumentParser(prog="stand-in", description="A stand-in for tensorflow_model_server.")
    parser.add_argument("--port", type=int, default=8500, help="gRPC's port")
    parser.add_argument("--rest_api_port", type=int, default=0, help="REST's port; 0: no REST")
    # The real server has no such flag and listens on all addresses; on a laptop nobody else is meant to reach this one.
    parser.add_argument("--host", default="127.0.0.1", help="the IPv4 address of both ports; 0.0.0.0: all")
    parser.add_argument("--model_name", default="default")
    parser.add_argument("--model_base_path", default="")
    parser.add_argument("--model_config_file", type=Path, help="ModelServerConfig in protobuf's text format")
    parser.add_argument("--file_system_poll_wait_seconds", type=float, default=1)
    parser.add_argument("--allow_version_labels_for_unavailable_models", type=_boolean, nargs="?", const=True)
    parser.add_argument("--tensorflow_intra_op_parallelism", type=int, default=0)
    parser.add_argument("--tensorflow_inter_op_parallelism", type=int, default=0)
    parser.add_argument("--monitoring_config_file", type=Path, help="taken, but no metrics are served")
    # A model that does not load is tried once here, whatever is asked for.
    parser.add_argument("--max_num_load_retries", type=int, default=0)
    flags = parser.parse_args(arguments)
    try:
        flags.models = _models(flags)
    except (OSError, ValueError, text_format.ParseError) as error:
        parser.error(str(error))
    return flags


def _models(flags: argparse.Namespace) -> list[Any]:
    """The ModelConfig messages to serve."""
    config = model_server_config_pb2.ModelServerConfig()
    if flags.model_config_file is not None:
        text_format.Parse(flags.model_config_file.read_text(), config)
    elif flags.model_base_path:
        config.model_config_list.config.add(name=flags.model_name, base_path=flags.model_base_path)
    else:
        raise ValueError("--model_base_path or --model_config_file is needed")
    models = list(config.model_config_list.config)
    names = [model.name for model in models]
    if "" in names or len(set(names)) != len(names):
        raise ValueError(f"each model needs a name of its own, but they are {names}")
    return models


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() in ("true", "1")
