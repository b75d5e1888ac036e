"""YAML as a tree in which each value still knows its place in the file.

Built from the parser's events, so that mistakes which loaders pass over (a key that stands twice) or choke on (anchors
that multiply, nesting without end) are found, each with its line, and reading goes on. Values are those of JSON, read
as YAML 1.2's core schema reads them; dates stay text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from deployer.document.values import Path

MAX_DEPTH = 40
"""The deepest mapping or list. The document itself needs 7; a warm-up's tensor adds one a dimension."""
MAX_NODES = 50_000
"""The most values in one document, those behind aliases counted each time: nine lines of anchors can mean billions."""
MAX_DOCUMENTS = 1000
"""The most documents in one file."""
MAX_PROBLEMS = 100
"""Problems with one file, after which reading it ends: nobody mends more at once."""
MAX_DIGITS = 40
"""The longest whole number; 64 bits have 20 digits."""

_INT = re.compile(r"[-+]?[0-9]+")
_BASE = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What neither an environment nor UTF-8 can hold: by escapes it gets past the parser."""
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_CONSTANTS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

Scalar: TypeAlias = str | int | float | bool | None


class Place(NamedTuple):
    """Where something begins; both count from 1."""

    line: int
    column: int


class YamlProblem(NamedTuple):
    """Something that is wrong with the YAML itself."""

    place: Place
    path: Path
    message: str
    hint: str


class Node(NamedTuple):
    """A value and where it begins; how many values it holds in all, and how deep. A mapping knows its keys' places."""

    value: Scalar | list[Node] | dict[str, Node]
    place: Place
    size: int = 1
    depth: int = 0
    keys: Mapping[str, Place] = MappingProxyType({})

    def plain(self) -> Any:
        """The value as JSON would hold it."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def find(self, path: Path, *, key: bool = False) -> Place:
        """Where `path` begins (with `key`: its name, not its value), or the last part of it that is there."""
        node, place = self, self.place
        for part in path:
            if isinstance(node.value, dict) and part in node.value:
                place = node.keys[str(part)]
                node = node.value[str(part)]
            elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                place = node.place
            else:
                return place
        return place if key else node.place


def parse(text: str) -> tuple[list[Node], list[YamlProblem]]:
    """Each document of `text` that holds anything, and what is wrong with the YAML. Nothing is raised."""
    return _Parser(text).run()


class _Fatal(Exception):
    """Reading can't go on; the problem is told."""


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._problems: list[YamlProblem] = []
        self._anchors: dict[str, Node] = {}
        self._events: Iterator[Any] = iter(())

    def run(self) -> tuple[list[Node], list[YamlProblem]]:
        documents: list[Node] = []
        try:
            self._events = YAML(typ="safe", pure=True).parse(self._text)
            number = 0
            for event in self._events:
                if isinstance(event, DocumentStartEvent):
                    number += 1
                    self._limit_documents(number, event)
                    self._anchors = {}
                    node = self._node(next(self._events), ())
                    if node.value is not None:
                        documents.append(node)
        except _Fatal:
            pass
        except MarkedYAMLError as error:
            self._syntax(error)
        except YAMLError as error:
            self._problem(self._at(getattr(error, "position", 0)), (), f"not YAML: {_first_line(error)}")
        return documents, self._problems

    def _problem(self, place: Place, path: Path, message: str, hint: str = "") -> None:
        self._problems.append(YamlProblem(place, path, message, hint))

    def _syntax(self, error: MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        problem = _first_line(error.problem or error.context or "it can't be read")
        lines = self._text.splitlines()
        line = lines[place.line - 1] if place.line <= len(lines) else ""
        hint = ""
        if "\t" in line:
            hint = "indent with spaces; YAML takes no tabs"
        elif "mapping values are not allowed" in problem:
            hint = "quote a text that holds ': ', and check how the line is indented"
        elif error.context and error.context_mark and error.problem_mark:
            hint = f"{_first_line(error.context)} of line {error.context_mark.line + 1}"
        self._problem(place, (), f"not YAML: {problem}", hint)

    def _at(self, index: int) -> Place:
        before = self._text[:index]
        return Place(before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)

    def _node(self, event: Any, path: Path) -> Node:
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        if len(self._problems) > MAX_PROBLEMS:
            raise _Fatal
        if isinstance(event, AliasEvent):
            return self._alias(str(event.anchor), place, path)
        if event.tag not in (None, "tag:yaml.org,2002:str"):
            self._problem(place, path, f"the tag {_tag(event.tag)} is not supported", "write the plain value")
        self._limit_depth(len(path), place)
        if isinstance(event, MappingStartEvent):
            node = self._mapping(place, path)
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(place, path)
        else:
            node = Node(self._scalar(event, place, path), place)
        if event.anchor:
            self._anchors[str(event.anchor)] = node
        return node

    def _alias(self, name: str, place: Place, path: Path) -> Node:
        node = self._anchors.get(name)
        if node is None:
            self._problem(place, path, f"*{name} names no anchor above it", f"write &{name} at the value it repeats")
            return Node(f"*{name}", place)
        self._limit_depth(len(path) + node.depth, place)
        return node

    def _mapping(self, place: Place, path: Path) -> Node:
        value: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        size = 1
        while not isinstance(event := next(self._events), MappingEndEvent):
            at = Place(event.start_mark.line + 1, event.start_mark.column + 1)
            if not isinstance(event, ScalarEvent):
                self._node(event, (*path, ""))
                self._node(next(self._events), (*path, ""))
                self._problem(
                    at, path, "a field's name must be plain text", 'quote a value that begins with "{" or "["'
                )
                continue
            name = self._text_of(event, at, path)
            node = self._node(next(self._events), (*path, name))
            if name == "<<" and event.style is None:
                self._problem(at, (*path, name), "merge keys (<<) are not supported", "write the fields out")
            elif name in value:
                self._problem(at, (*path, name), f"{name!r} stands twice", f"it is on line {keys[name].line} already")
            else:
                value[name], keys[name] = node, at
            size = self._grown(size, node, place)
        return Node(value, place, size, _depth(value.values()), keys)

    def _sequence(self, place: Place, path: Path) -> Node:
        value: list[Node] = []
        size = 1
        while not isinstance(event := next(self._events), SequenceEndEvent):
            value.append(self._node(event, (*path, len(value))))
            size = self._grown(size, value[-1], place)
        return Node(value, place, size, _depth(value))

    def _limit_documents(self, number: int, event: DocumentStartEvent) -> None:
        if number > MAX_DOCUMENTS:
            place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
            self._problem(place, (), f"more than {MAX_DOCUMENTS} documents in a file", "split it into several files")
            raise _Fatal

    def _limit_depth(self, depth: int, place: Place) -> None:
        if depth > MAX_DEPTH:
            self._problem(place, (), f"nested deeper than {MAX_DEPTH} levels")
            raise _Fatal

    def _grown(self, size: int, node: Node, place: Place) -> int:
        if size + node.size > MAX_NODES:
            self._problem(place, (), f"more than {MAX_NODES} values, counting what aliases repeat", "make it smaller")
            raise _Fatal
        return size + node.size

    def _text_of(self, event: Any, place: Place, path: Path) -> str:
        text = str(event.value)
        if found := _NO_TEXT.search(text):
            hint = "leave it out" if found[0] == "\0" else "write the character itself, or \\U and its eight digits"
            self._problem(place, path, f"no text can hold {ascii(found[0])[1:-1]}", hint)
        return text

    def _scalar(self, event: Any, place: Place, path: Path) -> Scalar:
        text = self._text_of(event, place, path)
        if event.style is not None or event.tag is not None:
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if len(text) > MAX_DIGITS and _INT.fullmatch(text):
            self._problem(place, path, f"a number of {len(text)} digits", "quote it, if it is text")
            return text
        if _INT.fullmatch(text):
            return int(text)
        if _BASE.fullmatch(text):
            return int(text, 0)
        number = float(text) if _FLOAT.fullmatch(text) else None
        if _NOT_FINITE.fullmatch(text) or (number is not None and not math.isfinite(number)):
            self._problem(place, path, f"{text[:40]} is not a number that JSON can hold", "quote it, if it is text")
            return text
        return text if number is None else number


def _depth(children: Iterable[Node]) -> int:
    return 1 + max((child.depth for child in children), default=0)


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or ["it can't be read"])[0].rstrip(".")


def _tag(tag: object) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")[:60]
