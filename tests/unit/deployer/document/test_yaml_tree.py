"""YAML with places: values as YAML 1.2 has them, and each mistake of the file itself with its line."""

from __future__ import annotations

import pytest

from deployer.document.yaml_tree import MAX_DEPTH, MAX_NODES, Place, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("0x1F", 31), ("0o17", 15), ("1.50", 1.5), (".5", 0.5), ("1e3", 1000.0),
        ("true", True), ("False", False), ("yes", "yes"), ("on", "on"), ("1_000", "1_000"), ("1.2.3", "1.2.3"),
        ("2026-01-01", "2026-01-01"), ("'12'", "12"), ('"true"', "true"), ("!!str 12", "12"), ("[1, a]", [1, "a"]),
        ("{a: 1}", {"a": 1}), ("|\n  a\n  b", "a\nb\n"), ("a b", "a b"), ("9" * 20, int("9" * 20)),
    ],
)  # fmt: skip
def test_values(text: str, value: object) -> None:
    (node,), mistakes = parse(f"field: {text}\n")
    assert mistakes == []
    assert node.plain() == {"field": value}
    assert type(node.plain()["field"]) is type(value)


@pytest.mark.parametrize("text", ["", "~", "null", "NULL"])
def test_nothing(text: str) -> None:
    (node,), mistakes = parse(f"field: {text}\n")
    assert (node.plain(), mistakes) == ({"field": None}, [])


def test_places() -> None:
    (node,), _ = parse("a:\n  - b: 1\n  -   c: &x {d: 2}\ne: *x\n")
    assert node.find(("a", 0, "b")) == Place(2, 8)
    assert node.find(("a", 0, "b"), key=True) == Place(2, 5)
    assert node.find(("a", 1, "c", "d")) == Place(3, 17)
    assert node.find(("a", 1, "missing"), key=True) == Place(3, 7)
    assert node.find(("missing",), key=True) == Place(1, 1)
    assert node.find(("e", "d")) == Place(3, 17), "what an alias repeats stands at its anchor"


def test_documents_that_hold_nothing_are_passed_over() -> None:
    nodes, mistakes = parse("---\n---\n# nothing\n---\na: 1\n---\nb: 2\n")
    assert ([node.plain() for node in nodes], mistakes) == ([{"a": 1}, {"b": 2}], [])


def test_anchors_end_with_their_document() -> None:
    _, mistakes = parse("a: &x 1\n---\nb: *x\n")
    assert [(mistake.place, mistake.path) for mistake in mistakes] == [(Place(3, 4), ("b",))]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "'a' stands twice"),
        ("a: !secret x\n", (1, 4), "the tag !secret is not supported"),
        ("a: !!binary x\n", (1, 4), "the tag !!binary is not supported"),
        ("a: !!python/object:os.system x\n", (1, 4), "the tag !!python/object:os.system is not supported"),
        ("a: &x [*x]\n", (1, 8), "*x names no anchor above it"),
        ("<<: {a: 1}\n", (1, 1), "merge keys (<<) are not supported"),
        ("a: {{ name }}\n", (1, 5), "a field's name must be plain text"),
        ("a: .inf\n", (1, 4), ".inf is not a number that JSON can hold"),
        ("a: 1e999\n", (1, 4), "1e999 is not a number that JSON can hold"),
        ("a: " + "9" * 5000, (1, 4), "a number of 5000 digits"),
        ('a: "b\\0"\n', (1, 4), "no text can hold \\x00"),
        ('a: ["\\uD83D\\uDE00"]\n', (1, 5), "no text can hold \\ud83d"),
        ('"\\uDE00": 1\n', (1, 1), "no text can hold \\ude00"),
        ("a:\n\tb: 1\n", (2, 1), "not YAML: found character"),
        ("a: b: c\n", (1, 5), "not YAML: mapping values are not allowed here"),
        ("a: [1\n", (2, 1), "not YAML: expected ',' or ']'"),
        ("a: 'b\n", (2, 1), "not YAML: found unexpected end of stream"),
        ("a: 1\nb: \x01\n", (2, 4), "not YAML: unacceptable character"),
        ("a: @b\n", (1, 4), "not YAML: found character '@'"),
        ("%YAML 7.0\n---\na: 1\n", (1, 1), "not YAML: found incompatible YAML document"),
        ("[" * 1000, (1, MAX_DEPTH + 2), "nested deeper than 40 levels"),
        (f"a: [{'1,' * MAX_NODES}]", (1, 4), f"more than {MAX_NODES} values"),
    ],
)
def test_mistakes(text: str, place: tuple[int, int], message: str) -> None:
    _, mistakes = parse(text)
    assert [(mistake.place, mistake.message[: len(message)]) for mistake in mistakes] == [(place, message)]


def test_anchors_that_multiply() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    nodes, mistakes = parse("\n".join(lines))
    assert nodes == []
    assert [mistake.message for mistake in mistakes] == [f"more than {MAX_NODES} values, counting what aliases repeat"]


def test_anchors_that_nest() -> None:
    lines = ["a0: &a0 1"] + [f"a{n}: &a{n} [[[[[[[[[[*a{n - 1}]]]]]]]]]]" for n in range(1, 500)]
    nodes, mistakes = parse("\n".join(lines))
    assert nodes == []
    assert [mistake.message for mistake in mistakes] == ["nested deeper than 40 levels"]


def test_reading_goes_on_after_a_mistake_and_keeps_what_was_whole() -> None:
    nodes, mistakes = parse("a: 1\na: 2\nb: !x 3\n---\nc: [\n")
    assert [node.plain() for node in nodes] == [{"a": 1, "b": "3"}]
    assert [mistake.place.line for mistake in mistakes] == [2, 3, 6]
