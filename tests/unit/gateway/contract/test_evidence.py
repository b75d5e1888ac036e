"""The page of evidence: which bitmaps are taken."""

from __future__ import annotations

import base64

import pytest
from pydantic import ValidationError

from gateway.contract.evidence import BUCKETS, DeploymentEvidence


def evidence(bitmap: str) -> DeploymentEvidence:
    return DeploymentEvidence(epoch=1, counts=(), salt="s", buckets={"v1": {"requests": bitmap}})


def test_a_bitmap_has_a_bit_for_each_bucket_and_no_more() -> None:
    whole = base64.b64encode(bytes(BUCKETS // 8)).decode()
    assert evidence(whole).buckets == {"v1": {"requests": whole}}
    assert evidence("").buckets == {"v1": {"requests": ""}}
    with pytest.raises(ValidationError, match="a bitmap of more than 10000 bits"):
        evidence(base64.b64encode(bytes(BUCKETS // 8 + 1)).decode())


def test_what_is_no_base64_is_no_bitmap() -> None:
    with pytest.raises(ValidationError, match=r"buckets\.v1\.requests"):
        evidence("A-A=")
