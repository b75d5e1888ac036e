"""What things are called on a cluster."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.kubernetes.objects import names

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("deployment", "version", "name"),
    [
        ("digits", "v1", "digits-v1"),
        ("3d", "1", "m-3d-1"),
        ("d" * 31, "v" * 31, f"{'d' * 31}-{'v' * 31}"),
        ("d" * 31, "v" * 32, f"{'d' * 31}-{'v' * 22}-242dd340"),
        (f"{'d' * 52}-e", f"{'v' * 60}", f"{'d' * 52}-e-8203b2d3"),
    ],
)
def test_a_version_is_called_by_its_deployment_and_itself_while_that_fits(
    deployment: str, version: str, name: str
) -> None:
    assert names.version_name(deployment, version) == name


@given(LABELS, LABELS)
def test_a_name_is_one_that_a_service_may_have(deployment: str, version: str) -> None:
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", names.version_name(deployment, version))


def test_names_that_are_cut_stay_apart() -> None:
    cut = {names.version_name("d" * 63, version) for version in ("v1", "v2", "v" * 63)}
    assert len(cut) == 3
    assert names.version_name("a" * 50, f"b-{'c' * 50}") != names.version_name(f"{'a' * 50}-b", "c" * 50)
