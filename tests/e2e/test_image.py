"""The Dockerfile's steps, done without an engine: in a folder in place of a root, by this machine's Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_OURS = re.compile(r"(?<![\w.-])/(?=(?:opt|source|state|var)\b)")
"""The folders that the steps make, as they stand in commands and variables."""


class Step(NamedTuple):
    word: str
    rest: str


class Image(NamedTuple):
    root: Path
    env: dict[str, str]
    user: str
    command: list[str]

    def run(self, *command: str) -> str:
        """As a container would run it; what it printed."""
        done = subprocess.run(command, env=self.env, cwd=self.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


def steps() -> list[list[Step]]:
    """Of each stage, FROM first."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    stages: list[list[Step]] = []
    for word, _, rest in (line.partition(" ") for line in joined):
        if word == "FROM":
            stages.append([])
        stages[-1].append(Step(word, rest))
    return stages


def context(folder: Path) -> None:
    """What an engine would be sent: the checkout without what .dockerignore leaves out. The last rule counts."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        parents = [Path(name), *Path(name).parents][:-1]
        sent = True
        for rule in rules:
            pattern = rule.removeprefix("!").removeprefix("**/")
            if any(fnmatch(str(parent), pattern) or fnmatch(parent.name, pattern) for parent in parents):
                sent = rule.startswith("!")
        if sent:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    sent, base, root, before = (folder / name for name in ("context", "base", "root", "build"))
    context(sent)
    # Python as the base image has it: with pip, and nothing else.
    subprocess.run([sys.executable, "-m", "venv", base], check=True)

    env = {"PATH": f"{base / 'bin'}:{os.defpath}"} | {
        name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.lower().endswith("_proxy")
    }
    user, command = "", []
    for stage in steps():
        if root.exists():
            root.rename(before)
        at = root
        root.mkdir()
        for step in stage:
            match step.word:
                case "WORKDIR":
                    at = root / step.rest.lstrip("/")
                    at.mkdir(parents=True)
                case "COPY":
                    options = dict(re.findall(r"--(\w+)=(\S+)", step.rest))
                    *sources, target = re.sub(r"--\S+ ", "", step.rest).split()
                    origin = before if "from" in options else sent
                    for source in sources:
                        _copy(origin / source.lstrip("/"), at / target.lstrip("/"), target.endswith("/"))
                case "RUN":
                    inside = _OURS.sub(f"{root}/", step.rest)
                    done = subprocess.run(inside, shell=True, env=env, cwd=at, capture_output=True, text=True)
                    assert done.returncode == 0, f"{step.rest}:\n{done.stdout}{done.stderr}"
                case "ENV":
                    name, _, value = step.rest.partition("=")
                    env[name] = _OURS.sub(f"{root}/", value)
                case "USER":
                    user = step.rest
                case "CMD":
                    command = json.loads(step.rest)
                case "FROM" | "EXPOSE":
                    pass
                case other:
                    pytest.fail(f"{other}: this test doesn't know how to do it")
    return Image(root, env, user, command)


def _copy(source: Path, target: Path, into: bool) -> None:
    assert source.exists(), f"{source.name} is not there to be copied; is it in .dockerignore?"
    if into or target.name == ".":
        target = target / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy(source, target)


def test_its_programs_run(image: Image) -> None:
    assert image.run("turnout", "--version").startswith("turnout, version ")
    assert "--lease-namespace" in image.run("turnout", "operator", "--help")
    assert "--discovery" in image.run("turnout-gateway", "--help")
    assert shutil.which("turnout", path=image.env["PATH"]) == str(image.root / "opt/turnout/bin/turnout")


def test_it_has_what_the_operator_needs(image: Image) -> None:
    image.run("python", "-c", "import deployer.kubernetes.operator, gateway.parent.parent, gateway.worker")


def test_it_has_all_our_files_and_no_tool_to_install_more(image: Image) -> None:
    (site,) = (image.root / "opt/turnout/lib").glob("python*/site-packages")
    listed = subprocess.run(
        ["git", "ls-files", "gateway", "deployer", "protos"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [name for name in listed.stdout.splitlines() if not (site / name).is_file()] == []
    assert not list(site.glob("pip")) + list(site.glob("hatchling"))
    assert not (image.root / "source").exists()


def test_it_holds_what_the_lock_says(image: Image) -> None:
    """No package more, none less, and those that our own metadata asks for."""
    program = "import importlib.metadata as m; print(*(d.name + '==' + d.version for d in m.distributions()))"
    installed = (name.partition("==") for name in image.run("python", "-c", program).split())
    found = {f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}" for name, _, version in installed}
    locked = (ROOT / "locks/image.txt").read_text()
    pinned = re.findall(r"^([\w.-]+==[^\s;]+)(?: ; (.*?))? \\$", locked, re.MULTILINE)
    always = {name for name, marker in pinned if not marker}
    maybe = {name for name, marker in pinned if marker}
    ours = {name for name in found if name.startswith("turnout==")}
    assert len(ours) == 1
    assert always <= found - ours <= always | maybe


def test_it_does_not_run_as_root(image: Image) -> None:
    uid, _, gid = image.user.partition(":")
    assert int(uid) >= 1000
    assert int(gid) >= 1000
    assert image.command[0] == "turnout-gateway"
    assert (image.root / "var/lib/turnout").is_dir()
