"""What a picture is drawn with, in the colours that all of them have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise

# Colours that hold on a background of their own, so that it matters to nobody whether a page is light or dark.
PAPER, INK, FAINT, LINE, WRONG = "#ffffff", "#1f2933", "#5b6875", "#8a97a5", "#b3372b"
PURE, IMPURE, FRAME = ("#e3f3e6", "#2f7d4a"), ("#e4eefa", "#3a6ea8"), ("#f6f8fa", "#d5dbe1")
MARGIN = 20


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

    def wrong(self, x1: float, y1: float, x2: float, y2: float, edge: float) -> None:
        """An arrow that goes up, by way of the edge of a column."""
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
            "<!-- Made by docs/pictures/: make docs -->\n"
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


def swatches(picture: Svg, x: float) -> float:
    """Draw what the colours of boxes mean, from `x` on. Returns where that ends."""
    for colours, text, width in (
        (PURE, "pure: no clock, chance, socket, process", 268),
        (IMPURE, "input and output", 134),
    ):
        picture.rect(x, 19, 16, 16, colours, 3)
        picture.text(x + 22, 32, text, colour=FAINT, at="start")
        x += width
    return x
