"""A file that is wrong in a hundred thousand places is told of in a hundred, and soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.document import validation
from deployer.document.loader import DocumentError, read
from deployer.document.yaml_tree import MAX_DOCUMENTS, MAX_PROBLEMS, parse

HEAD = "apiVersion: turnout.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: a}\nspec:\n  runtime: seldon\n"


def mistaken(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(DocumentError) as caught:
        read([str(path)])
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "---\na: 1\n" * 100_000,
        "--- a\n" * 150_000,
        HEAD + "  versions:\n" + "".join(f"    - {{nme: v{i}}}\n" for i in range(2000)),
        HEAD + "  rollout:\n" + "".join(f"    k{i}:\n" for i in range(2000)),
        HEAD + "  warmup:\n" + "    a: 1\n" * 2000,
    ],
)
def test_what_is_wrong_over_and_over_is_told_so_often_and_no_more(text: str, tmp_path: Path) -> None:
    lines = mistaken(tmp_path / "many.yaml", text)
    assert len(lines) == MAX_PROBLEMS + 1
    assert lines[-1] == "and more: mend these first"


def test_a_file_that_is_as_wrong_as_may_be_told_is_told_whole(tmp_path: Path) -> None:
    lines = mistaken(tmp_path / "some.yaml", "--- a\n" * MAX_PROBLEMS)
    assert len(lines) == MAX_PROBLEMS
    assert "and more" not in lines[-1]


def test_too_many_documents_are_not_read() -> None:
    nodes, problems = parse("--- {a: 1}\n" * (MAX_DOCUMENTS + 5))
    assert len(nodes) == MAX_DOCUMENTS
    assert [(problem.place.line, problem.message) for problem in problems] == [
        (MAX_DOCUMENTS + 1, "more than 1000 documents in a file")
    ]


def test_files_after_those_that_tell_enough_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("--- a\n")
    (tmp_path / "a.yaml").write_text("--- a\n" * (MAX_PROBLEMS + 1))
    with pytest.raises(DocumentError) as caught:
        read([str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")])
    assert {problem.file for problem in caught.value.problems} == {str(tmp_path / "a.yaml")}


def test_of_a_document_no_more_is_put_into_words_than_anybody_is_shown() -> None:
    assert MAX_PROBLEMS < validation.MAX_DETAILS
    data = {"kind": "ModelDeployment", "spec": {"versions": [{"nme": "a"}] * 10_000}}
    _, problems = validation.examined(data)
    assert len(problems) <= validation.MAX_DETAILS
