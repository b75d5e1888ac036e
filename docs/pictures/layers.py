"""The layers: both programs' folders by the import contracts and the imports that there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import grimp

from docs.pictures.contracts import ROOT, Contracts, read_contracts
from docs.pictures.svg import FAINT, FRAME, IMPURE, MARGIN, PURE, WRONG, Svg, lines, swatches


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

    @property
    def inside(self) -> tuple[float, float]:
        """A point within, where an arrow against the order begins or ends."""
        return self.x + self.width / 2, self.y + self.height / 2


PROGRAMS = ("deployer", "gateway", "protos")
DEPLOYER, DATA_PATH, PARENT, SHARED = range(4)
MANY = 6
"""Names that a box has room for."""


def layers() -> str:
    """The picture of both programs' folders, which are pure, and who imports whom."""
    contracts = read_contracts()
    graph = grimp.build_graph(*PROGRAMS, cache_dir=None)
    found, beside = boxes(graph, contracts)
    edges = imports(graph, found)
    for box in found:
        users = {found[a].program for a, b in edges if found[b] is box} - {box.program}
        uses = [found[b] for a, b in edges if found[a] is box]
        if box.program != "deployer" and "deployer" in users and all(other.program == "protos" for other in uses):
            box.column = SHARED
    return drawn(found, *ranked(found, edges, contracts), beside)


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


WIDTH, TOP, GAP, APART = 1040, 120, 44, 14
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
        edge = max(COLUMNS[found[a].column][1], COLUMNS[found[b].column][1]) + 30
        picture.wrong(*found[a].inside, *found[b].inside, edge)
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
    x = swatches(picture, WIDTH - 664)
    picture.line(x, 27, x + 26, 27)
    picture.text(x + 32, 32, "imports (implied ones left out)", colour=FAINT, at="start")


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
