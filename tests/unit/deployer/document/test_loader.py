"""Reading documents: what is wrong is told, all of it, where it stands, and what would be right."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployer.document.loader import MAX_BYTES, DocumentError, Problem, dump, read

VALID = (Path(__file__).parents[3] / "fakes" / "documents" / "valid.yaml").read_text()


def refused(*sources: str, models: bool = False) -> tuple[Problem, ...]:
    """What `read` finds wrong; nothing else but DocumentError may come out of it."""
    try:
        read(sources, models=models)
    except DocumentError as error:
        return error.problems
    return ()


def problems(text: str | bytes, folder: Path, *, models: bool = False) -> list[str]:
    """What is wrong with a file that holds `text`, as "line: path: message (hint)"."""
    file = folder / "document.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    found = refused(str(file), models=models)
    assert all(problem.file == str(file) and problem.column >= 1 for problem in found)
    return [f"{problem.line}: {problem.path}: {problem.message} ({problem.hint})" for problem in found]


def test_a_valid_document(tmp_path: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(VALID)
    (deployment,) = read([str(file)], models=False)
    assert deployment.key == "default/digits"
    assert [version.model for version in deployment.spec.versions] == [
        "models/digits/1",
        "file://models/digits/2",
    ]
    assert deployment.spec.versions[1].warmup == {"instances": [[0.5, None]]}


def test_all_mistakes_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = VALID
    for old, new in [
        ("name: digits", "name: Digits"),
        ("tfserving", "tf-serving"),
        ("      model: models/digits/1", "      modle: s3://b/1"),
        ("memory: 1Gi", "memory: 1GB"),
        ("minReplicas: 1", "minReplicas: 9"),
        ("stable: v1", "stable: v3"),
        ("weight: 10", "weight: !x ten"),
    ]:
        text = text.replace(old, new, 1)
    found = problems(text, tmp_path)
    assert [problem.split(":")[0] for problem in found] == ["4", "6", "9", "13", "14", "18", "20"]


def test_a_list_with_a_wrong_item_is_not_too_short(tmp_path: Path) -> None:
    text = VALID.split("    - name: v2")[0].replace("model: models", "modle: models") + "  traffic: {stable: v1}\n"
    assert len(problems(text, tmp_path)) == 1
    assert problems(VALID.split("  versions:")[0] + "  versions: []\n  traffic: {stable: v1}\n", tmp_path) == [
        "7: spec.versions: an empty list is not a list of 1 to 32 items ()"
    ]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "1: : no document in this file"),
        (b"# nothing\n---\n", "1: : no document in this file"),
        (b"a: 1\nb: \xff\xfe\n", "2: : byte 0xff is not UTF-8"),
        (VALID.encode("utf-16"), "1: : byte 0xff is not UTF-8"),
        (b"#" * (MAX_BYTES + 1), "1: : larger than 1024 KiB"),
        (b"[" * MAX_BYTES, "1: : nested deeper than 40 levels"),
        (b"\x00", "1: : not YAML: unacceptable character"),
    ],
)
def test_files_that_hold_no_document(raw: bytes, problem: str, tmp_path: Path) -> None:
    (found,) = problems(raw, tmp_path)
    assert found.startswith(problem)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert problems(VALID.encode("utf-8-sig"), tmp_path) == []


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text(VALID)
    with pytest.raises(DocumentError) as caught:
        read([f"{tmp_path}/digit.yaml", f"{tmp_path}", f"{tmp_path}/x/y.yaml", "a\0b"], models=False)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/digit.yaml:1:1: no such file (did you mean {tmp_path}/digits.yaml?)",
        f"{tmp_path}:1:1: this is a folder (name its files, such as {tmp_path}/digits.yaml)",
        f"{tmp_path}/x/y.yaml:1:1: no such file",
        "a\\x00b:1:1: it can't be read: embedded null byte",
    ]


def test_several_documents_and_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(f"{VALID}---\n{VALID.replace('name: digits', 'name: letters')}")
    two.write_text(VALID.replace("name: digits", "name: digits\n  namespace: vision"))
    names = [deployment.key for deployment in read([str(one), str(two), str(one)], models=False)]
    assert names == ["default/digits", "default/letters", "vision/digits"]


def test_the_mistakes_of_every_document_and_file_are_told(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    bad = VALID.replace("weight: 10", "weight: ten")
    one.write_text(f"{bad}---\n{bad}")
    two.write_text(bad)
    with pytest.raises(DocumentError) as caught:
        read([str(one), str(two)], models=False)
    assert [(problem.file, problem.line) for problem in caught.value.problems] == [
        (str(one), 20), (str(one), 41), (str(two), 20),
    ]  # fmt: skip


def test_two_documents_of_one_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(VALID)
    two.write_text("\n" + VALID)
    with pytest.raises(DocumentError) as caught:
        read([str(one), str(two)], models=False)
    assert str(caught.value) == (
        f"{two}:5:9: metadata.name: default/digits is described twice (it is in {one}:4; rename one)"
    )


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(VALID.encode())))
    for number in (1, 2):
        (tmp_path / f"models/digits/{number}").mkdir(parents=True)
        (tmp_path / f"models/digits/{number}/saved_model.pb").touch()
    (deployment,) = read(["-"])
    assert deployment.spec.versions[0].model == str(tmp_path / "models/digits/1")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"- 1")))
    with pytest.raises(DocumentError, match=r"^<stdin>:1:1: this is a list"):
        read(["-"])


def test_models_have_to_be_there(tmp_path: Path) -> None:
    first = tmp_path / "models/digits/1"
    first.mkdir(parents=True)
    (first / "saved_model.pb").touch()
    found = problems(VALID.replace("weight: 10", "weight: ten"), tmp_path, models=True)
    assert found == [
        f"11: spec.versions[1].model: {tmp_path}/models/digits/2: no such model"
        f" ({tmp_path}/models/digits has nothing called 2)",
        "20: spec.traffic.weight: 'ten' is not a number from 0 to 100 ()",
    ]
    (tmp_path / "models/digits/2").mkdir()
    (found_one,) = problems(VALID, tmp_path, models=True)
    assert found_one.startswith(f"11: spec.versions[1].model: {tmp_path}/models/digits/2: no SavedModel")
    (tmp_path / "models/digits/2/saved_model.pb").touch()
    assert problems(VALID, tmp_path, models=True) == []
    (found_one,) = problems(VALID.replace("models/digits/1", "x" * 300 + "/1"), tmp_path, models=True)
    assert "can't be looked at: File name too long" in found_one


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "sub" / "second.yaml"
    second.parent.mkdir()
    first.write_text(VALID)
    (deployment,) = read([str(first)], models=False)
    second.write_text(dump(deployment))
    assert read([str(second)], models=False) == [deployment]
    assert list(dump(deployment).splitlines()[:2]) == ["apiVersion: turnout.dev/v1alpha1", "kind: ModelDeployment"]
    assert "servable" not in dump(deployment), "what was left out stays out"


LINES = [
    VALID.splitlines(),
    (Path(__file__).parents[3] / "fakes" / "documents" / "valid_rollout.yaml").read_text().splitlines(),
]
ODD = st.sampled_from(
    ["", "~", "[]", "{}", "- ", "*a", "&a ", "!!int ", "? ", ": ", "\t", '"', "'", "|", ">", "%", "{{x}}", "<<: *a",
     "---", "...", "\x85", "\u2028", "\ud7ff", "1e999", "0x", "2026-01-01", "null", "[[[[", "\r", "# ", "@", "`",
     "%TAG ! tag:"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid document after a few edits: lines dropped, doubled, moved, indented, odd bits put in, parts cut out."""
    lines = list(draw(st.sampled_from(LINES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        cut = draw(st.integers(0, len(line)))
        lines[at : at + 1] = draw(
            st.sampled_from([[], [line, line], [f"  {line}"], [line.strip()]])
            | st.builds(lambda odd, line=line, cut=cut: [line[:cut] + odd + line[cut:]], ODD | st.text(max_size=4))
            | st.builds(lambda odd, line=line, cut=cut: [line[:cut] + odd], ODD)
        )
        lines = lines or [""]
    return "\n".join(lines)


@given(mutated() | st.text(max_size=60))
@example("%TAG ! tag:x,2000:\n---\n!a b: 1")
@example("%FOO bar\n---\na: 1")
@example("? a\n? b")
@settings(max_examples=400, deadline=None)
def test_no_text_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "mutated.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    last = sum(text.count(end) for end in "\n\r\x85\u2028\u2029") + 1
    for problem in refused(str(file), models=True):
        assert 1 <= problem.line <= last + 1
        assert problem.message
        assert len(str(problem).splitlines()) == 1


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "bytes.yaml"
    file.write_bytes(raw)
    with pytest.raises(DocumentError):
        read([str(file)])


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("Service", "1: kind: this is a Service, not a ModelDeployment"),
        ("ModelDeploymnet", "1: kind: 'ModelDeploymnet' is not ModelDeployment"),
    ],
)
def test_without_an_api_version_the_kind_says_what_it_is(kind: str, problem: str, tmp_path: Path) -> None:
    text = VALID.replace("apiVersion: turnout.dev/v1alpha1\n", "").replace("kind: ModelDeployment", f"kind: {kind}")
    assert problem in [found.partition(" (")[0] for found in problems(text, tmp_path)]
