"""The release after this checkout: the same programs, with a contract of one field more.

Python imports this module by itself where its folder is on PYTHONPATH, in each process of ours. From then on a module
that is named here is made from its source with those changes, so that all that follows from it (schemas, checks,
messages) follows from the changed one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Final

CHANGES: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "gateway.contract.skew": [
        ("CONTRACT: Final = ", "CONTRACT: Final = 1 + "),
        ("FEATURES: Final[frozenset[str]] = ", 'FEATURES: Final[frozenset[str]] = frozenset({"mirror"}) | '),
    ],
    "gateway.contract.route_table": [
        ("    slow: Annotated[", "    mirror: VersionName | None = None\n    slow: Annotated["),
    ],
    "gateway.contract.evidence": [
        ("    contract: Contract = CONTRACT\n", "    contract: Contract = CONTRACT\n    mirrored: Number = 7\n"),
    ],
    "deployer.document.model": [
        ("    sticky: Sticky | None = None\n", "    mirror: Label | None = None\n    sticky: Sticky | None = None\n"),
    ],
    "deployer.rollout.route": [
        (
            "        versions=tuple(versions),\n",
            "        versions=tuple(versions),\n"
            "        mirror=traffic.mirror,\n"
            '        requires=("mirror",) if traffic.mirror else (),\n',
        ),
    ],
    "deployer.rollout.checkpoint": [
        ("    lost: bool = False\n", "    lost: bool = False\n    mirrored: int = 7\n"),
    ],
}
"""By module: each text of it that is replaced, and by what."""


class _Changed(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        text = self.get_data(self.path).decode()
        for before, after in CHANGES[fullname]:
            if text.count(before) != 1:
                raise ImportError(f"{fullname} has {before!r} {text.count(before)} times: adapt {__file__}")
            text = text.replace(before, after)
        return compile(text, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path, target) if fullname in CHANGES else None
        if found is not None and found.origin is not None:
            found.loader = _Changed(fullname, found.origin)
        return found


sys.meta_path.insert(0, _Finder())
