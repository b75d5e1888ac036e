"""One line an event, and no forged ones."""

import logging
import sys

import pytest

from gateway.logs import KeyValue


def line(message: str, *arguments: object, **extra: object) -> str:
    record = logging.LogRecord("gateway.parent.parent", logging.WARNING, "file", 1, message, arguments, None)
    record.created = 0.0
    vars(record).update(extra)
    return KeyValue("worker-0").format(record)


def test_the_parts_of_a_line() -> None:
    assert line("died %d", 3, worker=0, reason="it's gone") == (
        "time=1970-01-01T00:00:00.000Z level=warning process=worker-0 logger=gateway.parent.parent "
        'message="died 3" worker=0 reason="it\'s gone"'
    )


@pytest.mark.parametrize("value", ["a\nlevel=error", 'a"b', "a=b", "", "a b", "\x1b[31m", "é\u2028"])
def test_values_cannot_pass_for_lines_or_keys(value: str) -> None:
    written = line("m", value=value).partition(" value=")[2]
    assert written.startswith('"')
    assert written.endswith('"')
    assert written.isascii()
    assert "\n" not in written


def test_a_failure_of_ours_shows_where() -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        record = logging.LogRecord("gateway", logging.ERROR, "file", 1, "failed", (), sys.exc_info())
    assert KeyValue("parent").format(record).splitlines()[-1] == "ValueError: odd"
