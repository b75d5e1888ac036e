"""Logs: one line an event on stderr, key=value, times in UTC."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_BARE = re.compile(r"[\w.:/@+\-\[\]]+", re.ASCII)


class KeyValue(logging.Formatter):
    """`log.warning("worker died", extra={"worker": 0})` becomes `time=… level=warning process=… message="worker died"
    worker=0`. What a caller of the gateway sent can't forge a line: values are quoted where they are not plain."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        pairs = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        line = " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _quoted(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text)


def set_up(process: str) -> None:
    """For this whole process; `process` names it in each line (`parent`, `worker-0`)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValue(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
