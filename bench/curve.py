"""Draws latency and memory over time as SVG, by hand: two panels over one time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.report import percentile

WIDTH, LEFT, RIGHT = 860, 76, 96
TOP, LATENCY, GAP, MEMORY, BOTTOM = 72, 220, 44, 90, 44
HEIGHT = TOP + LATENCY + GAP + MEMORY + BOTTOM
INK, FAINT, RULE = "#1f2328", "#59636e", "#d9dee3"
COLOURS = {"p99": "#b3400e", "p95": "#a87600", "p50": "#0b62b5", "memory": "#3d6b35"}


@dataclass(frozen=True)
class Second:
    """What was due in one second of the run: percentiles in ms, None where nothing was; memory in MiB."""

    at: int
    p50: float | None
    p95: float | None
    p99: float | None
    memory: float


def seconds_of(answered: Sequence[tuple[float, float]], memory: Sequence[float]) -> list[Second]:
    """The curve of a run, second by second, for as long as requests were due."""
    by_second: dict[int, list[float]] = {}
    for at, ms in answered:
        by_second.setdefault(int(at), []).append(ms)
    rows = []
    for at in range(max(by_second, default=-1) + 1):
        due = by_second.get(at)
        p50, p95, p99 = ([percentile(due, share) for share in (0.5, 0.95, 0.99)] if due else (None, None, None))
        rows.append(Second(at, p50, p95, p99, memory[min(at, len(memory) - 1)]))
    return rows


def draw(seconds: Sequence[Second], rate: float, sessions: int, place: str = "") -> str:
    """A picture of the run that needs nothing but a browser; `place` says where it ran."""
    last = max(1, seconds[-1].at) if seconds else 1

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / last

    parts = [_text(LEFT, 24, "Latency over time", size=16, weight="600"),
             _text(LEFT, 42, f"{rate:,.0f} requests a second over {sessions:,} sessions, channel api; percentiles of "
                             "each second, counted from the time a request was due", colour=FAINT),
             _text(LEFT, 58, place, colour=FAINT),
             *_latency(seconds, x), *_memory(seconds, x), *_time_axis(last, x)]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" role="img" font-family="system-ui, sans-serif">\n'
            "<title>Latency and memory of the server over time</title>\n"
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n")


def _latency(seconds: Sequence[Second], x: Callable[[float], float]) -> list[str]:
    most = _round_up(max((one.p99 or 0.0 for one in seconds), default=1.0))
    parts = _panel(TOP, LATENCY, most, "ms")
    labels: list[float] = []
    for name in ("p50", "p95", "p99"):
        points = [(x(one.at), _y(TOP, LATENCY, value, most)) for one in seconds
                  if (value := getattr(one, name)) is not None]
        parts.append(_line(points, COLOURS[name]))
        if points:
            at = points[-1][1] if not labels else min(points[-1][1], labels[-1] - 14)
            labels.append(at)
            parts.append(_text(WIDTH - RIGHT + 8, at + 4, name, colour=COLOURS[name], weight="600"))
    return parts


def _memory(seconds: Sequence[Second], x: Callable[[float], float]) -> list[str]:
    top, most = TOP + LATENCY + GAP, _round_up(max((one.memory for one in seconds), default=1.0))
    points = [(x(one.at), _y(top, MEMORY, one.memory, most)) for one in seconds]
    parts = [*_panel(top, MEMORY, most, "MiB", lines=2), _line(points, COLOURS["memory"])]
    if points:
        parts.append(_text(WIDTH - RIGHT + 8, points[-1][1] + 4, "memory", colour=COLOURS["memory"], weight="600"))
    return parts


def _panel(top: int, height: int, most: float, unit: str, lines: int = 4) -> list[str]:
    parts = []
    for step in range(lines + 1):
        y, value = top + height - height * step / lines, most * step / lines
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{RULE}"/>')
        shown = f"{value:,.4g} {unit}" if step == lines else f"{value:,.4g}"
        parts.append(_text(LEFT - 8, y + 4, shown, anchor="end", colour=FAINT))
    return parts


def _time_axis(last: int, x: Callable[[float], float]) -> list[str]:
    step = next(size for size in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 3600, last) if last / size <= 8)
    y = TOP + LATENCY + GAP + MEMORY + 20
    parts = [_text(x(at), y, str(at), anchor="middle", colour=FAINT) for at in range(0, last + 1, step)]
    return [*parts, _text(WIDTH - RIGHT, y + 18, "seconds since the load began", anchor="end", colour=FAINT)]


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = INK, size: int = 12,
          weight: str = "400") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
            f'text-anchor="{anchor}">{text}</text>')


def _y(top: int, height: int, value: float, most: float) -> float:
    return top + height - height * min(value, most) / most


def _round_up(value: float) -> float:
    """The next 1, 2, 3, 4, 5, 6 or 8 times a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= value) if value > 0 else 1.0
