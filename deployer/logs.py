"""The operator's logs: one line an event on stderr, key=value, in the gateway's form."""

from __future__ import annotations

import json
import logging
import re
import sys
import time

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_PLAIN = re.compile(r"[\w.:/@+\-\[\]]+", re.ASCII)


class KeyValue(logging.Formatter):
    """What an object's name or the API server's answer holds can't forge a line: it is quoted where it is not plain."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        words: dict[str, object] = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "process": "operator",
            "logger": record.name,
            "message": record.getMessage(),
        }
        words |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line = " ".join(f"{name}={_value(str(value))}" for name, value in words.items())
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _value(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def set_up() -> None:
    """For this whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValue())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of each request
