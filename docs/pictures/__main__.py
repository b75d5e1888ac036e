"""Draws the pictures of docs/: `make docs`. What a picture says is read from the code, so it can't say otherwise."""

from __future__ import annotations

from docs.pictures.contracts import ROOT
from docs.pictures.layers import layers
from docs.pictures.request import request

PICTURES = {"layers.svg": layers, "request.svg": request}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (ROOT / "docs" / name).write_text(draw())
        print(f"docs/{name}")
