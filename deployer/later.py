"""Words of the document that no part of this release serves yet.

Each gets an error that says so, instead of one that calls it unknown: it is no spelling mistake. A word leaves this
table in the change that makes it work.
"""

from __future__ import annotations

FIELDS: frozenset[tuple[str, ...]] = frozenset(
    {
        ("metadata", "annotations"),
        ("metadata", "labels"),
        ("spec", "rollout"),
        ("spec", "traffic", "match"),
        ("spec", "traffic", "shadow"),
        ("spec", "traffic", "sticky"),
        ("spec", "versions", "autoscaling", "target", "cpu"),
        ("spec", "versions", "image"),
    }
)
"""Paths of fields, without the numbers of list items."""

RUNTIMES = frozenset({"oip"})

SCHEMES = frozenset({"gs", "http", "https", "pvc", "s3"})
"""Places of models, as in `s3://…`."""

SUFFIX = "is not supported yet by this release"
