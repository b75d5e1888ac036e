"""Where the API server has objects of each kind."""

from __future__ import annotations

import pytest

from deployer.kubernetes.objects.kinds import MODEL_DEPLOYMENT, POD, Kind


@pytest.mark.parametrize(
    ("kind", "place", "path"),
    [
        (POD, (None,), "/api/v1/pods"),
        (POD, ("lab",), "/api/v1/namespaces/lab/pods"),
        (POD, ("lab", "digits"), "/api/v1/namespaces/lab/pods/digits"),
        (POD, ("a/b", "c?d"), "/api/v1/namespaces/a%2Fb/pods/c%3Fd"),
        (MODEL_DEPLOYMENT, (None,), "/apis/turnout.dev/v1alpha1/modeldeployments"),
        (
            MODEL_DEPLOYMENT,
            ("lab", "digits", "status"),
            "/apis/turnout.dev/v1alpha1/namespaces/lab/modeldeployments/digits/status",
        ),
    ],
)
def test_a_path_says_group_namespace_and_name(kind: Kind, place: tuple[str | None, ...], path: str) -> None:
    assert kind.path(*place) == path
