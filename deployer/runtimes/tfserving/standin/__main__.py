"""Started as a file, by a Python that knows nothing of Turnout: `python -I …/standin/__main__.py --port=… …`.

The package is loaded by its place and not through `sys.path`, where the folder that holds Turnout would also offer
Turnout's own dependencies, in versions that TensorFlow can't live with.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        "standin", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["standin"] = package
    spec.loader.exec_module(package)
    # The flags first: whoever mistyped one need not wait until TensorFlow is imported.
    flags = importlib.import_module("standin.flags").parse(sys.argv[1:])
    sys.exit(importlib.import_module("standin.server").main(flags))
