"""Plots: bars, and as inline SVG a grid of counts and two lines. Plain shapes, coloured by the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_NAME, _CELL = 190, 30
_LABEL = 26
"""Characters of a name that are shown; the whole name is its tooltip."""


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """One horizontal bar per (name, share from 0 to 1, note), as wide as the page allows."""
    return '<div class="bars">' + "".join(
        f'<b>{escape(name)}</b><i><u style="width:{100 * share:.1f}%"></u></i><s>{escape(note)}</s>'
        for name, share, note in rows) + "</div>"


def grid(names: Sequence[str], columns: Sequence[str], counts: dict[tuple[str, str], int], title: str) -> str:
    """Rows of `names` against `columns`; a cell is the darker the higher its count."""
    most = max(counts.values(), default=1)
    top, parts = 160, []
    for number, name in enumerate(columns):
        x = _NAME + number * _CELL + 19
        parts.append(f'<text class="up" transform="translate({x},{top - 6}) rotate(-50)">{_label(name)}</text>')
    for row, name in enumerate(names):
        y = top + row * _CELL
        parts.append(f'<text class="name" x="{_NAME - 8}" y="{y + 19}">{_label(name)}</text>')
        for number, column in enumerate(columns):
            parts.append(_cell(_NAME + number * _CELL, y, counts.get((name, column), 0), most,
                               f"{name} → {column}"))
    return _svg(_NAME + _CELL * len(columns) + 110, top + _CELL * len(names) + 6, "".join(parts), title)


def lines(points: Sequence[tuple[float, float, float]], names: tuple[str, str], mark: float, title: str) -> str:
    """Two lines over a common axis from 0 to 1, with a mark at one place of it."""
    wide, high, left, top = 520, 220, 76, 40
    parts = [f'<line class="grid" x1="{left}" x2="{left + wide}" y1="{top + high * (1 - tick / 4):.0f}" '
             f'y2="{top + high * (1 - tick / 4):.0f}"/><text class="tick" x="{left - 6}" '
             f'y="{top + high * (1 - tick / 4) + 4:.0f}">{tick * 25} %</text>' for tick in range(5)]
    parts += [f'<text class="under" x="{left + wide * tick / 5:.0f}" y="{top + high + 22}">{tick / 5:g}</text>'
              for tick in range(6)]
    for number, name in enumerate(names, start=1):
        path = " ".join(f"{left + wide * point[0]:.1f},{top + high * (1 - point[number]):.1f}" for point in points)
        parts.append(f'<polyline class="line{number}" points="{path}"/>'
                     f'<text class="key{number}" x="{left + (number - 1) * wide / 2:.0f}" y="18">{escape(name)}</text>')
    at = left + wide * mark
    parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + high}"/>'
                 f'<text class="under" x="{at:.1f}" y="{top + high + 44}">now {mark:g}</text>')
    return _svg(left + wide + 24, top + high + 54, "".join(parts), title, "wide")


def _cell(x: int, y: int, count: int, most: int, what: str) -> str:
    if not count:
        return f'<rect class="empty" x="{x}" y="{y}" width="{_CELL - 2}" height="{_CELL - 2}" rx="3"/>'
    strength = 0.15 + 0.45 * count / most  # the number stays readable in the darkest cell
    return (f'<rect class="full" style="fill-opacity:{strength:.2f}" x="{x}" y="{y}" width="{_CELL - 2}" '
            f'height="{_CELL - 2}" rx="3"><title>{escape(what)}: {count}</title></rect>'
            f'<text class="count" x="{x + _CELL / 2 - 1:.0f}" y="{y + 19}">{count}</text>')


def _label(name: str) -> str:
    short = name if len(name) <= _LABEL else name[:_LABEL - 1] + "…"
    return f"{escape(short)}<title>{escape(name)}</title>"


def _svg(width: float, height: float, inside: str, title: str, kind: str = "") -> str:
    return (f'<svg class="{kind}" role="img" aria-label="{escape(title)}" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}">{inside}</svg>')
