"""What a call and its answer bear of their assignment, on either wire."""

from __future__ import annotations

from gateway.routing.assignment_header import NONE
from gateway.upstream.assignment_fields import AssignmentFields, HeadWithFields
from gateway.wire.http2.fields import encode


def test_the_version_and_all_assignments_go_with_a_call() -> None:
    fields = AssignmentFields("v2", {"lab/digits": "v2", "lab/first": "v1"})
    assignment = b"lab/digits=v2, lab/first=v1"
    assert fields.request_line == b"x-turnout-assignment: " + assignment + b"\r\n"
    assert fields.request_field == encode(b"x-turnout-assignment", assignment)
    assert fields.answer_lines == b"x-turnout-version: v2\r\n" + fields.request_line
    assert fields.answer_fields == encode(b"x-turnout-version", b"v2") + fields.request_field


def test_without_an_assignment_only_the_answer_says_its_version() -> None:
    fields = AssignmentFields("v1", NONE)
    assert (fields.request_line, fields.request_field) == (b"", b"")
    assert fields.answer_lines == b"x-turnout-version: v1\r\n"
    assert fields.answer_fields == encode(b"x-turnout-version", b"v1")


def test_a_head_is_known_by_the_fields_that_it_was_made_with() -> None:
    fields = AssignmentFields("v1", NONE)
    head = HeadWithFields(fields, b"HTTP/1.1 200 OK\r\n")
    assert head.fields is fields
    assert head.head == b"HTTP/1.1 200 OK\r\n"
