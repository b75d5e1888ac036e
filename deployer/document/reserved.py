"""Words of the document that no part of this release serves yet.

Each gets an error that says so, instead of one that calls it unknown: it is no spelling mistake. A word leaves this
table in the change that makes it work.
"""

from __future__ import annotations

FIELDS: frozenset[tuple[str, ...]] = frozenset(
    {
        ("spec", "rollout", "objectives", "agreement"),
        ("spec", "traffic", "shadow"),
        ("spec", "versions", "annotations"),
        ("spec", "versions", "labels"),
        ("spec", "versions", "pod", "annotations"),
        ("spec", "versions", "pod", "labels"),
    }
)
"""Paths of fields, without the numbers of list items."""

SUFFIX = "is not supported yet by this release"
