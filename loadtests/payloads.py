"""What the bench sends and what the stand-in for a model answers: one 28 by 28 image, ten scores.

The load generators and the upstream read these from files, so that neither has to encode anything while it is timed.
"""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

from protos import tfs_pb2

MODEL = "digits"
PIXELS = 784
SCORES = {"v1": 0.125, "v2": 0.25}
"""The versions, and a score that tells their answers apart; the answers are equally long."""


def write(folder: Path) -> None:
    """Writes request.json and request.pb, and for each version its answers, v1.json and v1.pb."""
    source = random.Random(0)
    image = [round(source.random(), 3) for _ in range(PIXELS)]
    (folder / "request.json").write_text(json.dumps({"instances": [image]}, separators=(",", ":")))
    spec = tfs_pb2.ModelSpec(name=MODEL)
    request = tfs_pb2.PredictRequest(model_spec=spec, inputs={"images": _tensor(image)})
    (folder / "request.pb").write_bytes(request.SerializeToString())
    for version, score in SCORES.items():
        scores = [score] * 10
        (folder / f"{version}.json").write_text(json.dumps({"predictions": [scores]}))
        answer = tfs_pb2.PredictResponse(model_spec=spec, outputs={"scores": _tensor(scores)})
        (folder / f"{version}.pb").write_bytes(answer.SerializeToString())


def _tensor(row: list[float]) -> tfs_pb2.TensorProto:
    """A row of float32."""
    dimensions = [tfs_pb2.TensorShapeProto.Dim(size=1), tfs_pb2.TensorShapeProto.Dim(size=len(row))]
    return tfs_pb2.TensorProto(
        dtype=tfs_pb2.DT_FLOAT,
        tensor_shape=tfs_pb2.TensorShapeProto(dim=dimensions),
        tensor_content=struct.pack(f"<{len(row)}f", *row),
    )
