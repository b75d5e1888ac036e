"""`python -m protos.compile [FOLDER]` makes `*_pb2.py` and `*_pb2.pyi` of the .proto files, here or in FOLDER."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(output: Path) -> None:
    """Writes to `output`/protos. Raises CalledProcessError where protoc refuses a file; it has said why."""
    # protoc's own stubs (--pyi_out) have bare generics, which mypy's strict mode refuses.
    stubs = Path(sys.executable).parent / "protoc-gen-mypy"
    sources = [f"protos/{source.name}" for source in sorted(HERE.glob("*.proto"))]
    options = [f"-I{HERE.parent}", f"--plugin={stubs}", f"--python_out={output}", f"--mypy_out=quiet:{output}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, *sources], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent)
