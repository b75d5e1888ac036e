"""What each call bears of its assignment: x-turnout-version in its answer, and x-turnout-assignment there and in what
goes to the model server, so that further calls can agree."""

from __future__ import annotations

from gateway.contract.headers import ASSIGNMENT, VERSION
from gateway.routing import assignment_header
from gateway.routing.assignment_header import Assignments
from gateway.wire.http2.fields import encode
from gateway.wire.note import Note


class AssignmentFields:
    """The fields as lines of HTTP/1.1 and as HPACK; b"" where there is none."""

    __slots__ = ("answer_fields", "answer_lines", "request_field", "request_line")

    def __init__(self, version: str, assigned: Assignments) -> None:
        """`assigned`: to `version`, and by earlier calls."""
        value = assignment_header.write(assigned)
        self.request_line = b"%b: %b\r\n" % (ASSIGNMENT, value) if value else b""
        self.request_field = encode(ASSIGNMENT, value) if value else b""
        name = version.encode()
        self.answer_lines = b"%b: %b\r\n%b" % (VERSION, name, self.request_line)
        self.answer_fields = encode(VERSION, name) + self.request_field


class HeadWithFields(Note):
    """An answer's head as it goes on with its assignment's fields, kept with the head as it came."""

    __slots__ = ("fields", "head")

    def __init__(self, fields: AssignmentFields, head: bytes) -> None:
        self.fields = fields
        self.head = head
