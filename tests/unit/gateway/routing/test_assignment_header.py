"""x-turnout-assignment: what is read of it, and what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.assignment_header import MAX_BYTES, read, write

NAMES = st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True)
KEYS = st.builds("{}/{}".format, NAMES, NAMES)


@pytest.mark.parametrize(
    ("value", "assignments"),
    [
        (b"lab/a=v1", {"lab/a": "v1"}),
        (b"lab/a=v1,lab/b=v2", {"lab/a": "v1", "lab/b": "v2"}),
        (b" lab/a=v1 ,\tlab/b=v2\t, ", {"lab/a": "v1", "lab/b": "v2"}),
        (b"lab/a=v1, lab/a=v2", {"lab/a": "v1"}),
        (b"lab/a=v=1", {"lab/a": "v=1"}),
        (b"a=v1, lab/=v1, /a=v1, lab/a/b=v1, lab/a, lab/a=, =v1, lab/b=v2", {"lab/b": "v2"}),
        (b"lab/a=v 1, lab/b=\xe9, lab/c=v\x01, lab/d=v4", {"lab/d": "v4"}),
        (b"", {}),
        (None, {}),
        (b"lab/a=" + b"v" * 254, {}),
    ],
)
def test_entries_are_read_and_others_passed_over(value: bytes | None, assignments: dict[str, str]) -> None:
    assert read(value) == assignments


def test_a_long_value_is_ignored() -> None:
    value = b"lab/a=v1," + b"x" * (MAX_BYTES - 9)
    assert read(value) == {"lab/a": "v1"}
    assert read(value + b"x") == {}


@given(st.dictionaries(KEYS, NAMES))
def test_what_is_written_is_read_up_to_the_bound_the_first_first(assignments: dict[str, str]) -> None:
    value = write(assignments)
    assert len(value) <= MAX_BYTES
    again = read(value)
    assert list(again.items()) == list(assignments.items())[: len(again)]
    left_out = list(assignments.items())[len(again) :]
    if left_out:
        assert len(value) + len(", {}={}".format(*left_out[0])) > MAX_BYTES


def test_nothing_is_written_of_nothing() -> None:
    assert write({}) == b""


@given(st.binary(max_size=2000))
def test_whatever_is_sent_can_be_written(value: bytes) -> None:
    written = write(read(value))
    assert read(written) == read(value)
    assert all(0x20 <= byte < 0x7F for byte in written)


def test_what_does_not_fit_is_left_out_whole() -> None:
    entries = {f"lab/m{number:04}": "v1" for number in range(1000)}
    value = write(entries)
    assert MAX_BYTES - len("lab/m0000=v1, ") <= len(value) <= MAX_BYTES
    assert list(read(value).items()) == list(entries.items())[: len(read(value))]
    exact = {"lab/a": "v" * (MAX_BYTES - len("lab/a=, lab/b=v")), "lab/b": "v"}
    assert write(exact).endswith(b", lab/b=v")
    assert len(write(exact)) == MAX_BYTES
    assert write({**exact, "lab/b": "vv"}) == b"lab/a=" + exact["lab/a"].encode()
