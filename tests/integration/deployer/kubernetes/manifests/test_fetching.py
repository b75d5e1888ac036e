"""The scripts that fetch a model, run by a real shell before a store that has no folders."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from deployer.kubernetes.manifests.model import placed

# As rclone does before S3: what is not there is listed and copied with success, as nothing.
RCLONE = """\
#!/bin/sh
store=`echo "$2" | sed "s#^:s3:#$STORE/#"`
case "$1" in
  lsf) ls -p "$store" 2>/dev/null; exit 0;;
  copy) mkdir -p "$3"; cp -r "$store/." "$3" 2>/dev/null; exit 0;;
  copyurl) cat "$STORE/packed.tar";;
esac
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rclone").write_text(RCLONE)
    (tmp_path / "bin" / "rclone").chmod(0o755)
    folder = tmp_path / "store" / "bucket" / "digits"
    for number in (1, 7):
        (folder / str(number) / "variables").mkdir(parents=True)
        (folder / str(number) / "saved_model.pb").write_text(f"model {number}")
    return tmp_path / "store"


def fetched(store: Path, model: str, servable: str | None) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Where the model should be then, and how the container ended."""
    (container,) = placed(model, "image", servable, folder=True, servable=servable).before
    target = store.parent / "fetched"
    shell, flag, script, name, source, _, *rest = container["command"]
    path = f"{store.parent / 'bin'}:{os.environ['PATH']}"
    command = ["bash" if "pipefail" in script else shell, flag, script, name, source, str(target), *rest]
    ended = subprocess.run(
        command, env={"PATH": path, "STORE": str(store)}, cwd=store, capture_output=True, text=True, check=False
    )
    return target, ended


@pytest.mark.parametrize(
    ("model", "servable", "has"),
    [
        ("s3://bucket/digits/7", "7", "model 7"),
        ("s3://bucket/digits/7/", "7", "model 7"),
        ("s3://bucket/digits/7", "3", "model 7"),  # another number for it
        ("s3://bucket/digits", "7", "model 7"),  # the folder with all versions
        ("s3://bucket/digits/", "1", "model 1"),
        ("s3://bucket/digits/1", None, "model 1"),
    ],
)
def test_a_model_is_copied_from_its_own_folder(store: Path, model: str, servable: str | None, has: str) -> None:
    target, ended = fetched(store, model, servable)
    assert ended.returncode == 0, ended.stderr
    assert (target / "saved_model.pb").read_text() == has
    assert sorted(entry.name for entry in target.iterdir()) == ["saved_model.pb", "variables"]


@pytest.mark.parametrize(
    ("model", "servable", "message"),
    [
        ("s3://bucket/nothing", None, "there is nothing at s3:bucket/nothing: check the path"),
        ("s3://bucket/nothing/1", "1", "no saved_model.pb at s3:bucket/nothing/1, nor in 1 below it"),
        ("s3://bucket/digits", "3", "no saved_model.pb at s3:bucket/digits, nor in 3 below it"),
        ("https://files.test/packed.tar", None, "there is nothing at https://files.test/packed.tar"),
    ],
)
def test_what_fetches_nothing_fails_at_once_and_names_it(
    store: Path, model: str, servable: str | None, message: str
) -> None:
    with tarfile.open(store / "packed.tar", "w"):
        pass
    target, ended = fetched(store, model, servable)
    assert ended.returncode == 1
    assert message in " ".join(ended.stderr.split())
    assert not (target / "1").exists()


def test_why_it_failed_stands_in_the_pods_status() -> None:
    (container,) = placed("s3://bucket/digits", "image").before
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
