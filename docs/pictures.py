"""Draws the pictures of docs/: `make docs`. The layers, by the import contracts and the imports that there are; and one
request's way, by where its steps are defined. What a picture says is read from the code, so it can't say otherwise."""

from __future__ import annotations

import ast
import fnmatch
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import grimp

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

# Colours that hold on a background of their own, so that it matters to nobody whether a page is light or dark.
PAPER, INK, FAINT, LINE, WRONG = "#ffffff", "#1f2933", "#5b6875", "#8a97a5", "#b3372b"
PURE, IMPURE, FRAME = ("#e3f3e6", "#2f7d4a"), ("#e4eefa", "#3a6ea8"), ("#f6f8fa", "#d5dbe1")


# --- SVG


class Svg:
    """A picture that is drawn from back to front. Lengths are whole pixels."""

    def __init__(self, title: str, width: int) -> None:
        self._title = title
        self._width = width
        self._parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, colours: tuple[str, str], radius: int = 6) -> None:
        fill, stroke = colours
        self._parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="{radius}" '
            f'fill="{fill}" stroke="{stroke}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 12,
        colour: str = INK,
        bold: bool = False,
        at: str = "middle",
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}" text-anchor="{at}"{weight}>'
            f"{escape(text)}</text>"
        )

    def arrow(self, points: Sequence[tuple[float, float]], *, colour: str = LINE) -> None:
        """A curve that goes straight up or down at each of the points."""
        path = f"M{points[0][0]:.0f},{points[0][1]:.0f}"
        for (x1, y1), (x2, y2) in pairwise(points):
            half = (y1 + y2) / 2
            path += f" C{x1:.0f},{half:.0f} {x2:.0f},{half:.0f} {x2:.0f},{y2:.0f}"
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4" marker-end="url(#end)"/>'
        )

    def wrong(self, a: Box, b: Box, edge: float) -> None:
        """An arrow that goes up, from one box to another, by way of the edge of their column."""
        x1, x2 = a.x + a.width / 2, b.x + b.width / 2
        y1, y2 = a.y + a.height / 2, b.y + b.height / 2
        self._parts.append(
            f'<path d="M{x1:.0f},{y1:.0f} C{edge:.0f},{y1:.0f} {edge:.0f},{y2:.0f} {x2:.0f},{y2:.0f}" fill="none" '
            f'stroke="{WRONG}" stroke-width="1.6" stroke-dasharray="5 3" marker-end="url(#wrong)"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """A straight arrow."""
        self._parts.append(
            f'<path d="M{x1:.0f},{y1:.0f} L{x2:.0f},{y2:.0f}" fill="none" stroke="{LINE}" stroke-width="1.4" '
            f'marker-end="url(#end)"/>'
        )

    def written(self, height: float) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width} {height:.0f}" width="{self._width}" '
            f'height="{height:.0f}" font-family="Helvetica, Arial, DejaVu Sans, sans-serif" role="img">\n'
            f"<title>{escape(self._title)}</title>\n"
            "<!-- Made by docs/pictures.py: make docs -->\n"
            f"<defs>{_head('end', LINE)}{_head('wrong', WRONG)}</defs>\n"
            f'<rect width="100%" height="100%" rx="10" fill="{PAPER}" stroke="{FRAME[1]}"/>\n'
        )
        return head + "\n".join(self._parts) + "\n</svg>\n"


def _head(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
    )


def lines(words: Iterable[str], width: int) -> list[str]:
    """Words, set apart by commas, in lines of so many characters at most."""
    done: list[str] = []
    for word in words:
        if done and len(done[-1]) + len(word) + 2 <= width:
            done[-1] += f", {word}"
        else:
            if done:
                done[-1] += ","
            done.append(word)
    return done


# --- The layers


@dataclass
class Box:
    """A folder, or files that stand together in the layers. `rank`: its row, from above."""

    modules: tuple[str, ...]
    is_folder: bool
    column: int
    notes: list[str] = field(default_factory=list)
    is_pure: bool = False
    rank: int = 0
    x: float = 0
    y: float = 0
    width: float = 0

    @property
    def program(self) -> str:
        return self.modules[0].split(".")[0]

    @property
    def label(self) -> str:
        names = [module.rpartition(".")[2] for module in self.modules]
        return f"{names[0]}/" if self.is_folder else " · ".join(names)

    @property
    def height(self) -> float:
        return 34 + 14 * len(self.notes) + (4 if self.notes else 0)


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


PROGRAMS = ("deployer", "gateway", "protos")
DEPLOYER, DATA_PATH, PARENT, SHARED = range(4)
MANY = 6
"""Names that a box has room for."""


def layers() -> str:
    """The picture of both programs' folders, which are pure, and who imports whom."""
    contracts = _contracts()
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph(*PROGRAMS, cache_dir=None)
    found, beside = boxes(graph, contracts)
    edges = imports(graph, found)
    for box in found:
        users = {found[a].program for a, b in edges if found[b] is box} - {box.program}
        uses = [found[b] for a, b in edges if found[a] is box]
        if box.program != "deployer" and "deployer" in users and all(other.program == "protos" for other in uses):
            box.column = SHARED
    return drawn(found, *ranked(found, edges, contracts), beside)


def _contracts() -> Contracts:
    return Contracts(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"])


def boxes(graph: grimp.ImportGraph, contracts: Contracts) -> tuple[list[Box], dict[str, list[str]]]:
    """The boxes; and by program the files that have none."""
    found = [Box(("protos",), True, SHARED, is_pure=True)]
    beside: dict[str, list[str]] = {}
    layered = {name: number for number, layer in enumerate(contracts.layers) for name in layer}
    by_deployer = {
        imported
        for module in graph.modules
        if module.startswith("deployer.")
        for imported in graph.find_modules_directly_imported_by(module)
    }
    for program in ("deployer", "gateway"):
        files: list[str] = []
        for name in sorted(graph.find_children(program)):
            inside = sorted(graph.find_descendants(name))
            if not (ROOT / name.replace(".", "/")).is_dir():
                files.append(name)
                continue
            is_parents = any(_holds(Box((name,), True, PARENT), one) for one in contracts.parent)
            is_parents = is_parents and not any(one in layered for one in (name, *inside))
            column = DEPLOYER if program == "deployer" else PARENT if is_parents else DATA_PATH
            box = Box((name,), True, column)
            pure = {one for one in inside or [name] if contracts.holds_pure(one)}
            folders = sorted(graph.find_children(name))
            folders = [one for one in folders if (ROOT / one.replace(".", "/")).is_dir()]
            box.is_pure = len(pure) == len(inside or [name])
            box.notes = lines([one.rpartition(".")[2] + "/" for one in folders], 24)
            if pure and not box.is_pure:
                parts = graph.find_children(name)
                held = {one for one in parts if pure >= (graph.find_descendants(one) or {one})}
                if len(held) * 2 > len(parts) and len(parts - held) <= MANY:
                    box.notes = ["pure but for:", *_named(parts - held, folders)]
                elif held & set(folders) and len(held) <= MANY:
                    box.notes = ["pure inside:", *_named(held, folders)]
                else:
                    box.notes = [f"{len(pure)} of {len(inside)} files are pure"]
            found.append(box)
        together: dict[int, list[str]] = {}
        for name in sorted(files, key=lambda name: layered.get(name, -1)):
            if name not in layered:
                beside.setdefault(program, []).append(name.rpartition(".")[2])
            elif name in by_deployer or len(contracts.layers[layered[name]]) > 1:
                found.append(Box((name,), False, DATA_PATH, is_pure=contracts.holds_pure(name)))
            else:
                together.setdefault(layered[name], []).append(name)
        run: list[str] = []
        for number in range(len(contracts.layers) + 1):
            names = together.get(number, [])
            joins = bool(run) and contracts.holds_pure(run[0]) == all(map(contracts.holds_pure, names))
            if run and (not names or not joins):
                found.append(Box(tuple(run), False, DATA_PATH, is_pure=contracts.holds_pure(run[0])))
                run = []
            run += names
    return found, beside


def _named(modules: Iterable[str], folders: Sequence[str]) -> list[str]:
    return lines([one.rpartition(".")[2] + "/" * (one in folders) for one in sorted(modules)], 24)


def imports(graph: grimp.ImportGraph, found: Sequence[Box]) -> dict[tuple[int, int], int]:
    """Who imports whom how often, by the boxes' numbers."""
    home: dict[str, int] = {}
    for number, box in enumerate(found):
        for module in box.modules:
            home[module] = number
            home.update(dict.fromkeys(graph.find_descendants(module), number))
    counts: dict[tuple[int, int], int] = {}
    for module in graph.modules & home.keys():
        for other in graph.find_modules_directly_imported_by(module) & home.keys():
            if home[module] != home[other]:
                edge = home[module], home[other]
                counts[edge] = counts.get(edge, 0) + 1
    return counts


def ranked(
    found: Sequence[Box], edges: Mapping[tuple[int, int], int], contracts: Contracts
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Gives each box its row: the layers' order goes before what follows from imports, and many imports before few.

    Returns the arrows to draw: those down that no others imply, and those that go against the order.
    """
    place = {
        number: min(rows)
        for number, box in enumerate(found)
        if (rows := [row for row, layer in enumerate(contracts.layers) for name in layer if _holds(box, name)])
    }
    below = {a: {b for b in place if a in place and place[a] < place[b]} for a in range(len(found))}
    down: dict[int, set[int]] = {a: set() for a in range(len(found))}
    against = []
    for a, b in sorted(edges, key=lambda edge: (-edges[edge], edge)):
        if a in _reached(b, down, below):
            against.append((a, b))
        else:
            down[a].add(b)
    for _ in found:
        for a in range(len(found)):
            for b in down[a] | below[a]:
                found[b].rank = max(found[b].rank, found[a].rank + 1)
    last = max(box.rank for box in found if box.column != SHARED) + 1
    for box in found:
        if box.column == SHARED:
            box.rank = last
    direct = [(a, b) for a in down for b in down[a] if not any(b in _reached(other, down) for other in down[a] - {b})]
    return sorted(direct), sorted(against)


def _reached(start: int, *ways: Mapping[int, set[int]]) -> set[int]:
    """The boxes that the ways lead to from `start`, itself among them."""
    found, new = {start}, [start]
    while new:
        box = new.pop()
        for way in ways:
            new += way[box] - found
            found |= way[box]
    return found


def _holds(box: Box, module: str) -> bool:
    return any(module == own or module.startswith(f"{own}.") for own in box.modules)


WIDTH, MARGIN, TOP, GAP, APART = 1040, 20, 120, 44, 14
COLUMNS = {DEPLOYER: (36, 356), DATA_PATH: (420, 832), PARENT: (860, 1004), SHARED: (300, 740)}


def drawn(
    found: Sequence[Box],
    edges: Sequence[tuple[int, int]],
    against: Sequence[tuple[int, int]],
    beside: Mapping[str, Sequence[str]],
) -> str:
    rows = [[box for box in found if box.rank == rank] for rank in sorted({box.rank for box in found})]
    for number, row in enumerate(rows):
        for box in row:
            box.rank = number
    y = float(TOP)
    for number, row in enumerate(rows):
        if number == len(rows) - 1:
            bottom = y - GAP + 20
            y = bottom + 60
        for column in COLUMNS:
            _spread(sorted((box for box in row if box.column == column), key=lambda box: box.modules), column, y)
        y += max(box.height for box in row) + GAP
    picture = Svg("The layers: which folders there are, which are pure, and who imports whom", WIDTH)
    picture.text(MARGIN, 32, "Layers", size=18, bold=True, at="start")
    _legend(picture)
    frames = {"deployer": (MARGIN, 372, "deployer"), "gateway": (404, WIDTH - MARGIN, "gateway")}
    for name, (left, right, title) in frames.items():
        picture.rect(left, 48, right - left, bottom - 48, FRAME, 10)
        picture.text(left + 14, 70, title, size=15, bold=True, at="start")
        others = lines(beside.get(name, ()), 52 if name == "deployer" else 84)
        if len(others) > 2:
            others = [f"and {len(beside[name])} files beside them"]
        elif others:
            others[0] = f"beside them: {others[0]}"
        for number, line in enumerate(others):
            picture.text(left + 14, 88 + 14 * number, line, size=11, colour=FAINT, at="start")
    picture.text(COLUMNS[DATA_PATH][0] + 206, 70, "carries requests", size=12, colour=FAINT)
    picture.text(sum(COLUMNS[PARENT]) / 2, 70, "looks after it", size=12, colour=FAINT)
    left, right = COLUMNS[SHARED]
    picture.rect(left, bottom + 30, right - left, y - GAP - bottom, FRAME, 10)
    picture.text((left + right) / 2, y - GAP + 20, "what both programs know", size=12, colour=FAINT)
    ports = _ports(found, edges)
    taken: dict[int, list[float]] = {}
    for a, b in edges:
        picture.arrow(_way(rows, found[a], found[b], *ports[a, b], taken))
    for a, b in against:
        picture.wrong(found[a], found[b], max(COLUMNS[found[a].column][1], COLUMNS[found[b].column][1]) + 30)
    if against:
        picture.text(110, 32, "dashed: against the order", colour=WRONG, at="start")
    for box in found:
        colours = PURE if box.is_pure else IMPURE
        picture.rect(box.x - box.width / 2, box.y, box.width, box.height, colours)
        picture.text(box.x, box.y + 22, box.label, size=14 if box.is_folder else 12, bold=True)
        for number, note in enumerate(box.notes):
            picture.text(box.x, box.y + 39 + 14 * number, note, size=11, colour=FAINT)
    return picture.written(y - GAP + 48)


def _legend(picture: Svg) -> None:
    x = _swatches(picture, WIDTH - 664)
    picture.line(x, 27, x + 26, 27)
    picture.text(x + 32, 32, "imports (implied ones left out)", colour=FAINT, at="start")


def _swatches(picture: Svg, x: float) -> float:
    """What the colours mean, from `x` on; gives back where it ends."""
    for colours, text, width in (
        (PURE, "pure: no clock, chance, socket, process", 268),
        (IMPURE, "input and output", 134),
    ):
        picture.rect(x, 19, 16, 16, colours, 3)
        picture.text(x + 22, 32, text, colour=FAINT, at="start")
        x += width
    return x


def _spread(row: Sequence[Box], column: int, y: float) -> None:
    left, right = COLUMNS[column]
    for box in row:
        widest = max([len(box.label) * 8.6, *(len(note) * 6.1 for note in box.notes)])
        box.width = max(96, widest + 20)
    room = (right - left - sum(box.width for box in row)) / (len(row) + 1) if row else 0
    x = left + room
    for box in row:
        box.x, box.y = x + box.width / 2, y
        x += box.width + room


def _ports(found: Sequence[Box], edges: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[float, float]]:
    """Where each arrow leaves and arrives: spread over the boxes' edges, in the order of the other ends."""
    ports: dict[tuple[int, int], list[float]] = {edge: [0, 0] for edge in edges}
    for end in (0, 1):
        for number, box in enumerate(found):
            ours = sorted((edge for edge in edges if edge[end] == number), key=lambda edge: found[edge[1 - end]].x)
            for place, edge in enumerate(ours, 1):
                ports[edge][end] = box.x - box.width / 2 + box.width * place / (len(ours) + 1)
    return {edge: (start, stop) for edge, (start, stop) in ports.items()}


def _way(
    rows: Sequence[Sequence[Box]], a: Box, b: Box, start: float, stop: float, taken: dict[int, list[float]]
) -> list[tuple[float, float]]:
    """The points of an arrow, which goes straight down beside the boxes of the rows between, and not upon another."""
    points = [(start, a.y + a.height)]
    for rank in range(a.rank + 1, b.rank):
        row, others = rows[rank], taken.setdefault(rank, [])
        x = points[-1][0]
        places = [x + 10 * step for step in range(-60, 61)]
        clear = [
            place
            for place in places
            if all(abs(place - box.x) >= box.width / 2 + APART for box in row)
            and all(abs(place - other) >= 9 for other in others)
        ]
        x = min(clear, key=lambda place: (abs(place - x) + abs(place - stop) / 4, place))
        others.append(x)
        points += [(x, row[0].y - 4), (x, row[0].y + max(box.height for box in row) + 4)]
    return [*points, (stop, b.y)]


# --- One request's way


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
    contracts = _contracts()
    where = _defined(ROOT / "gateway")
    picture = Svg("One request's way through the gateway", 860)
    picture.text(MARGIN, 32, "One request's way", size=18, bold=True, at="start")
    _swatches(picture, 450)
    left, width, y, high, gap = 150, 690, 60.0, 52, 18
    middle = left + width / 2
    picture.rect(MARGIN, y, 90, high * 2 + gap, FRAME)
    picture.text(MARGIN + 45, y + high + 4, "a caller", size=13, bold=True)
    picture.text(MARGIN + 45, y + high + 22, "REST, gRPC", size=11, colour=FAINT)
    picture.line(MARGIN + 92, y + high / 2, left - 3, y + high / 2)
    for number, (title, text, names) in enumerate(STEPS, 1):
        absent = [name for name in names if len(where.get(name, ())) != 1]
        if absent:
            raise SystemExit(f"docs/pictures.py: gateway/ has not exactly one {', '.join(absent)}; mend STEPS")
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


PICTURES = {"layers.svg": layers, "request.svg": request}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (DOCS / name).write_text(draw())
        print(f"docs/{name}")
