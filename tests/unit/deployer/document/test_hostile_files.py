"""Files that are made to harm who reads them: of each a line or two is told that fit a terminal, and nothing done."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.document.loader import DocumentError, read
from deployer.document.yaml_tree import MAX_PROBLEMS

NAMED = (
    "apiVersion: turnout.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: %s}\nspec:\n"
    "  runtime: seldon\n  versions:\n    - {name: v1, model: models/a}\n  traffic: {stable: v1}\n"
)
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)
DEEP = "nested deeper than 40 levels"
MANY = "more than 50000 values, counting what aliases repeat"
NO_NAME = "is not a name: 1 to 63 lower-case letters"
UNKNOWN = "unknown field 'a'"

FILES: dict[str, tuple[str | bytes, str]] = {
    "aliases of aliases": (LAUGHS, MANY),
    "lists in lists": ("a: " + "[" * 100_000, DEEP),
    "lists in lists, whole": ("a: " + "[" * 5000 + "]" * 5000, DEEP),
    "blocks in blocks": ("".join(" " * i + "a:\n" for i in range(1000)), DEEP),
    "dashes": ("- " * 500_000, DEEP),
    "colons": (": " * 300_000, DEEP),
    "one long value": ("a: " + "x" * 1_000_000, UNKNOWN),
    "two megabytes": ("a: " + "x" * 2_000_000, "larger than 1024 KiB"),
    "many keys": ("".join(f"k{i}: 1\n" for i in range(60_000)), MANY),
    "many anchors": ("".join(f"- &a{i} x\n" for i in range(60_000)), MANY),
    "many line ends within quotes": ('a: "' + "\\\n" * 300_000 + '"', UNKNOWN),
    "question marks": ("{" + "? " * 300_000, "not YAML"),
    "a comment alone": ("#" * 1_000_000, "no document in this file"),
    "a program as a tag": ("!!python/object/apply:os.system ['touch pwned']\n", "is not supported"),
    "a merge key": ("a: &a {x: 1}\nb: {<<: *a}\n", UNKNOWN),
    "NUL": ("a: \0", "special characters are not allowed"),
    "no UTF-8": (b"a: \xff\xfe\x80", "byte 0xff is not UTF-8"),
    "UTF-16": ((NAMED % "a").encode("utf-16"), "is not UTF-8"),
    "half a pair": ("a: \ud800".encode("utf-8", "surrogatepass"), "byte 0xed is not UTF-8"),
    "long numbers": ("a: " + "9" * 39 + "\nb: 0x" + "f" * 100_000 + "\nc: 0o" + "7" * 100_000, UNKNOWN),
    "numbers beyond all": ("a: 1e999999\nb: " + "1" * 4000 + ".5", UNKNOWN),
    "a name of two lines": (NAMED % '"a\\nb"', NO_NAME),
    "a name that is a template": (NAMED % '"{{ .Values.x }}"', NO_NAME),
    "a name that is a path": (NAMED % '"../../etc/passwd"', NO_NAME),
    "a name that colours a terminal": (NAMED % '"\\e[31mred"', NO_NAME),
    "a name that is YAML": (NAMED % '"a: b"', NO_NAME),
    "a long time": ((NAMED % "a") + "  rollout: {interval: '" + "1" * 100_000 + "s'}\n", "spec.rollout.interval"),
}
"""What is in the file, and a part of what is message of it."""


@pytest.mark.parametrize("name", FILES)
def test_it_is_told_of_in_few_words(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, words = FILES[name]
    path = tmp_path / "hostile.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DocumentError) as caught:
        read([str(path)])
    message = str(caught.value)
    assert words in message
    assert len(message.splitlines()) <= MAX_PROBLEMS + 1
    assert max(map(len, message.splitlines())) < 1000
    assert message.replace("\n", "").isprintable()
    assert [file.name for file in tmp_path.iterdir()] == ["hostile.yaml"]
