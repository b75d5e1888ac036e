"""One request's way, by where its steps are defined."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from docs.pictures.contracts import ROOT, read_contracts
from docs.pictures.svg import FAINT, FRAME, IMPURE, MARGIN, PURE, Svg, swatches

STEPS: Sequence[tuple[str, str, Sequence[str]]] = (
    ("Listen", "A socket for each worker; the kernel spreads connections over them", ("open_listeners",)),
    ("Tell apart", "HTTP/2's preface means gRPC, everything else HTTP/1.1", ("Listener",)),
    ("Read", "Bytes in, events out; the request is gathered whole, under limits", ("RequestReader", "Connection")),
    ("Address", "Which deployment, which version if pinned; tensors are skipped", ("Address",)),
    ("Choose the version", "Pin, match, inherited, or the split by chance or sticky key", ("Assignment",)),
    ("Choose the endpoint", "The better of two random ones; ejected ones are left out", ("Upstreams", "pick")),
    ("Send", "The same bytes, on a kept connection or a stream; retried within a budget", ("RestPool", "GrpcPool")),
    ("Answer", "Streamed back as it comes, marked with the version that made it", ("RestCall", "GrpcCall")),
    ("Count", "The metrics, and apart from them the evidence of the split", ("Counters", "EvidenceSlot")),
)
"""What happens, in words, and the classes and functions of the gateway that do it."""


def request() -> str:
    """The picture of one request's way. Raises SystemExit where a step's class or function is not there."""
    contracts = read_contracts()
    where = _defined(ROOT / "gateway")
    picture = Svg("One request's way through the gateway", 860)
    picture.text(MARGIN, 32, "One request's way", size=18, bold=True, at="start")
    swatches(picture, 450)
    left, width, y, high, gap = 150, 690, 60.0, 52, 18
    middle = left + width / 2
    picture.rect(MARGIN, y, 90, high * 2 + gap, FRAME)
    picture.text(MARGIN + 45, y + high + 4, "a caller", size=13, bold=True)
    picture.text(MARGIN + 45, y + high + 22, "REST, gRPC", size=11, colour=FAINT)
    picture.line(MARGIN + 92, y + high / 2, left - 3, y + high / 2)
    for number, (title, text, names) in enumerate(STEPS, 1):
        absent = [name for name in names if len(where.get(name, ())) != 1]
        if absent:
            raise SystemExit(f"docs/pictures/request.py: gateway/ has not exactly one {', '.join(absent)}; mend STEPS")
        files = sorted({where[name][0] for name in names})
        is_pure = all(contracts.holds_pure(file.removesuffix(".py").replace("/", ".")) for file in files)
        picture.rect(left, y, width, high, PURE if is_pure else IMPURE)
        picture.text(left + 16, y + 22, f"{number}  {title}", size=14, bold=True, at="start")
        picture.text(left + 16, y + 41, text, colour=FAINT, at="start")
        for line, file in enumerate(files):
            picture.text(left + width - 14, y + (31 if len(files) == 1 else 22 + 19 * line), file, size=11, at="end")
        if number < len(STEPS):
            picture.line(middle, y + high, middle, y + high + gap - 2)
        if title == "Send":
            picture.rect(MARGIN, y, 90, high, FRAME)
            picture.text(MARGIN + 45, y + 22, "a server", size=13, bold=True)
            picture.text(MARGIN + 45, y + 40, "of the version", size=11, colour=FAINT)
            picture.line(left, y + high / 2, MARGIN + 93, y + high / 2)
            picture.line(MARGIN + 45, y + high, left - 4, y + high * 1.5 + gap - 6)
        if title == "Answer":
            picture.line(left, y + high - 12, MARGIN + 45, y + high - 12)
            picture.text(MARGIN + 45, y + high + 6, "to the caller", size=11, colour=FAINT)
        y += high + gap
    return picture.written(y + 4)


def _defined(folder: Path) -> dict[str, list[str]]:
    """The files in which each class and function at the top of a module is defined."""
    where: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                where.setdefault(node.name, []).append(str(file.relative_to(ROOT)))
    return where
