"""The import contracts in pyproject.toml, as far as pictures go by them."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Contracts:
    """The import contracts in pyproject.toml, as far as pictures go by them."""

    def __init__(self, listed: Sequence[Mapping[str, Any]]) -> None:
        pure = next(c for c in listed if c["type"] == "forbidden" and "time" in c["forbidden_modules"])
        layers = next(c for c in listed if c["type"] == "layers")
        self.layers = [[name.strip() for name in layer.split("|")] for layer in layers["layers"]]
        self._pure = pure["source_modules"]
        self._not = [line.split(" -> ")[0] for line in pure.get("ignore_imports", ()) if line.endswith("-> *")]
        top = self.layers[0][0]
        self.parent = next(
            c["source_modules"]
            for c in listed
            if c["type"] == "forbidden" and top in c["forbidden_modules"] and "deployer" not in c["forbidden_modules"]
        )
        """What looks after the data path: it may not import the uppermost layer."""

    def holds_pure(self, module: str) -> bool:
        if any(fnmatch.fnmatch(module, pattern.replace(".**", "*")) for pattern in self._not):
            return False
        return any(module == name or module.startswith(f"{name}.") for name in self._pure)


def read_contracts() -> Contracts:
    return Contracts(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"])
