"""`turnout render`, and what of `turnout diff` needs no cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from deployer.cli import main

DOCUMENT = """\
apiVersion: turnout.dev/v1alpha1
kind: ModelDeployment
metadata: {name: digits}
spec:
  runtime: tfserving
  versions:
    - {name: v1, model: models/digits/1, autoscaling: {maxReplicas: 3}}
  traffic: {stable: v1}
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | None, str, str]:
    """The exit code, and what went to stdout and stderr."""
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    out, err = capsys.readouterr()
    assert caught.value.code is None or isinstance(caught.value.code, int)
    return caught.value.code, out, err


@pytest.fixture
def document(tmp_path: Path) -> Path:
    file = tmp_path / "digits.yaml"
    file.write_text(DOCUMENT)
    return file


def test_the_objects_are_printed_and_no_model_is_looked_for(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "render", str(document), "--keda", "--prometheus", "http://prometheus:9090")
    assert (code, err) == (0, "")
    made = list(YAML(typ="safe").load_all(out))
    assert [item["kind"] for item in made] == ["ConfigMap", "Deployment", "Service", "ScaledObject"]
    assert out.startswith("---\napiVersion: v1\nkind: ConfigMap\n")
    assert "  models.config: |\n    model_config_list {\n" in out


def test_as_json_it_is_a_list_that_kubectl_takes(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "render", str(document), "-o", "json")
    made = json.loads(out)
    assert (code, made["kind"], len(made["items"])) == (0, "List", 3)


def test_an_autoscaler_that_is_missing_is_told(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "render", str(document))
    assert code == 0
    assert err.startswith("default/digits: spec.versions.0.autoscaling: v1 stays at minReplicas, 1")


def test_what_cant_be_rendered_is_told_with_its_field(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(DOCUMENT.replace("tfserving", "seldon"))
    assert run(capsys, "render", str(document)) == (
        1,
        "",
        "default/digits: spec.versions.0.image: on Kubernetes a class of your own comes in an image with what it needs"
        "; build one and write image:\n",
    )


def test_a_diff_without_a_cluster_is_exit_code_2(
    document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "diff", str(document), "--kubeconfig", str(tmp_path / "none"))
    assert (code, out) == (2, "")
    assert err.startswith("there is no way to a cluster: ")


@pytest.mark.parametrize("command", ["diff", "operator"])
def test_without_the_extra_it_is_said_what_to_install(command: str, document: Path) -> None:
    program = (
        "import sys; sys.modules['kubernetes'] = None\n"
        f"from deployer.cli import main; main.main(['{command}'] + {[str(document)] if command == 'diff' else []})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == (2 if command == "diff" else 1)
    assert done.stderr == "kubernetes is not installed; pip install 'turnout[kubernetes]'\n"


def test_rendering_needs_no_extra(document: Path) -> None:
    program = (
        "import sys; sys.modules['kubernetes'] = None\n"
        f"from deployer.cli import main; main.main(['render', {str(document)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.count("---\n")) == (0, 3)
