"""Charts of a report as inline SVG: scores of seeds, learning curves, statistics by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from ._colors import style

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 12, 40
_DOTS = 230


def dots(scores: Sequence[float], deviation: float, low: float, high: float, index: int, label: str) -> str:
    """Return an SVG of one dot per seed, the mean, and a line of one standard deviation to either side."""

    def x(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return 8 + (_DOTS - 16) * min(max(share, 0.0), 1.0)

    mean = math.fsum(scores) / len(scores)
    circles = "".join(f'<circle cx="{x(score):.1f}" cy="11" r="3" class="seed"/>' for score in scores)
    line = f'<line x1="{x(mean - deviation):.1f}" x2="{x(mean + deviation):.1f}" y1="11" y2="11" class="sd"/>'
    body = f'{line}{circles}<circle cx="{x(mean):.1f}" cy="11" r="4.5" class="mean"/>'
    return f'<svg viewBox="0 0 {_DOTS} 22" class="dots" role="img" aria-label="{escape(label)}" style="{style(index)}">{body}</svg>'


class Chart:
    """A line chart over integers, with bands, a grid and tick labels.

    Parameters
    ----------
    label : str
        The text alternative.
    x_label, y_label : str
        The labels of the axes.
    logarithmic : bool
        Whether the vertical axis is logarithmic.
    show : function of float
        Formats a number on the vertical axis.
    ends : (float, float), optional
        The ends of the horizontal axis, of any numbers; None: those of the points, which are whole numbers.
    """

    def __init__(
        self,
        label: str,
        x_label: str,
        y_label: str,
        show: Callable[[float], str],
        logarithmic: bool = False,
        ends: tuple[float, float] | None = None,
    ) -> None:
        self.label, self.x_label, self.y_label, self.show, self.logarithmic = label, x_label, y_label, show, logarithmic
        self.ends = ends
        self.reference: Points = ()
        """A dashed line."""
        self.values: tuple[float, ...] = ()
        """Numbers that the vertical axis covers besides those of the points."""
        self._lines: list[tuple[int, list[tuple[float, float]], list[tuple[float, float, float]]]] = []

    def add(self, index: int, points: Points, band: Sequence[tuple[float, float, float]] = ()) -> None:
        """Add a line in the colour of an entry, and a band (x, low, high)."""
        usable = [(x, y) for x, y in points if self._fits(y)]
        self._lines.append((index, usable, [one for one in band if self._fits(one[1]) and self._fits(one[2])]))

    def _fits(self, y: float) -> bool:
        return math.isfinite(y) and (y > 0 or not self.logarithmic)

    def _value(self, y: float) -> float:
        return math.log10(y) if self.logarithmic else y

    def svg(self) -> str:
        """Return the chart, or an empty string if there are no points."""
        values = [self._value(y) for _, points, band in self._lines for y in [*(p[1] for p in points), *(v for b in band for v in b[1:])]]
        xs = [x for _, points, _ in self._lines for x, _ in points]
        if not values:
            return ""
        values += [self._value(y) for y in (*self.values, *(y for _, y in self.reference))]
        ticks = _decades(min(values), max(values)) if self.logarithmic else _ticks(min(values), max(values))
        low, high = min(*values, ticks[0]), max(*values, ticks[-1])
        left, right = self.ends or (min(xs), max(xs))

        def place(x: float, y: float) -> tuple[float, float]:
            across = (x - left) / (right - left) if right > left else 0.5
            up = (self._value(y) - low) / (high - low) if high > low else 0.5
            return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

        parts = [self._axes(ticks, low, high, left, right)]
        if self.reference:
            parts.append(f'<polyline points="{_path([place(x, y) for x, y in self.reference])}" class="reference"/>')
        for index, _, band in self._lines:
            if len(band) == 1:
                (x, top), (_, bottom) = place(band[0][0], band[0][2]), place(band[0][0], band[0][1])
                box = f'x="{x - 16:.1f}" y="{top:.1f}" width="32" height="{bottom - top:.1f}"'
                parts.append(f'<rect {box} class="band" style="{style(index)}"/>')
            if len(band) > 1:
                edge = [*(place(x, b) for x, _, b in band), *(place(x, a) for x, a, _ in reversed(band))]
                parts.append(f'<polygon points="{_path(edge)}" class="band" style="{style(index)}"/>')
        for index, points, _ in self._lines:
            drawn = [place(x, y) for x, y in points]
            if drawn:
                parts.append(f'<polyline points="{_path(drawn)}" class="line" style="{style(index)}"/>')
            if len(drawn) <= 16:
                parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="mean" style="{style(index)}"/>' for x, y in drawn]
        label = escape(self.label)
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="chart" role="img" aria-label="{label}">{"".join(parts)}</svg>'

    def _axes(self, ticks: Sequence[float], low: float, high: float, left: float, right: float) -> str:
        parts = []
        for tick in ticks:
            y = HEIGHT - _BOTTOM - ((tick - low) / (high - low) if high > low else 0.5) * (HEIGHT - _TOP - _BOTTOM)
            text = escape(self.show(10**tick if self.logarithmic else tick))
            parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="tick end">{text}</text>')
        for x in _whole_ticks(left, right) if self.ends is None else _ticks(left, right):
            across = (x - left) / (right - left) if right > left else 0.5
            at = _LEFT + across * (WIDTH - _LEFT - _RIGHT)
            place, anchor = (WIDTH, "end") if at > WIDTH - 2 * _RIGHT and x >= 100 else (at, "middle")  # three digits need more room
            parts.append(f'<text x="{place:.1f}" y="{HEIGHT - _BOTTOM + 16}" class="tick {anchor}">{x:g}</text>')
        middle = _LEFT + (WIDTH - _LEFT - _RIGHT) / 2
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 6}" class="tick middle">{escape(self.x_label)}</text>')
        upright = _TOP + (HEIGHT - _TOP - _BOTTOM) / 2
        parts.append(
            f'<text x="12" y="{upright:.1f}" class="tick middle" transform="rotate(-90 12 {upright:.1f})">{escape(self.y_label)}</text>'
        )
        return "".join(parts)


def _path(points: Points) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers that enclose the interval."""
    span = high - low or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (factor * step) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, max(last, first + 1) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Return at most seven powers of ten that enclose the interval, as exponents."""
    first, last = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
    step = max(1, math.ceil((last - first) / 6))
    return [float(k) for k in range(first, last + step, step)]


def _whole_ticks(low: float, high: float) -> list[float]:
    step = max(1, round((high - low) / 6))
    return [low + k * step for k in range(int((high - low) / step) + 1)]
