"""Small pictures of functions as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

_WIDTH, _HEIGHT, _SAMPLES = 132, 88, 264


def draw(f: Function, df: Function, window: float) -> str:
    """Return a picture of a function and its derivative between ``-window`` and ``window``.

    The height fits the values; what exceeds the larger of ``window`` and 1 is cut off.
    """
    x = np.linspace(-window, window, _SAMPLES + 1)
    with np.errstate(all="ignore"):
        y, slope = f(x), df(x)
    seen = y[np.isfinite(y) & (abs(y) <= max(window, 1.0))]
    low, high = (min(seen.min(), 0.0), max(seen.max(), 0.0)) if len(seen) else (-1.0, 1.0)
    low, high = low - 0.06 * (high - low) - 1e-9, high + 0.06 * (high - low) + 1e-9

    def rows(values: Array) -> Array:
        return np.round((high - values) / (high - low) * _HEIGHT, 1)

    columns = np.round((x + window) / (2 * window) * _WIDTH, 1)
    zero = f"{rows(np.zeros(1))[0]:g}"
    curves = [
        f'<path d="{" ".join(_path(columns, rows(values), slopes, window, high - low))}" stroke="{colour}" stroke-width="{width}"/>'
        for values, slopes, colour, width in ((slope, None, "#e08a1e", 1), (y, slope, "#2f6fde", 1.8))
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" fill="none">'
        f'<path d="M0 {zero}H{_WIDTH}M{_WIDTH // 2} 0V{_HEIGHT}" stroke="#999" stroke-width=".5"/>{"".join(curves)}</svg>\n'
    )


def _path(columns: Array, rows: Array, slopes: Array | None, window: float, height: float) -> Iterator[str]:
    """Yield the commands of a path, with a new piece after each jump and where the curve leaves the picture."""
    # a step of one sample that is much larger than the slopes on its sides explain is a jump
    step = abs(np.diff(rows))
    if slopes is None:
        allowed = np.full(len(step), 0.12 * _HEIGHT)
    else:
        rise = np.fmax(abs(slopes[1:]), abs(slopes[:-1])) * 2 * window / _SAMPLES * _HEIGHT / height
        allowed = 3 * np.nan_to_num(rise, nan=0.0, posinf=1e9) + 1
    visible = np.isfinite(rows) & (rows > -_HEIGHT) & (rows < 2 * _HEIGHT)
    piece: list[tuple[float, float]] = []
    for i, (column, row) in enumerate(zip(columns.tolist(), rows.tolist(), strict=True)):
        if not visible[i] or (i and visible[i - 1] and step[i - 1] > allowed[i - 1]):
            yield from _commands(piece)
            piece = []
        if visible[i]:
            piece.append((column, row))
    yield from _commands(piece)


def _commands(points: list[tuple[float, float]]) -> Iterator[str]:
    kept = _thinned(points)
    if len(kept) > 1:
        yield "M" + "L".join(f"{x:g} {y:g}" for x, y in kept)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out points that lie within a quarter of a pixel of the line between those that stay."""
    if len(points) < 3:
        return points
    (x0, y0), (x1, y1) = points[0], points[-1]
    distances = [abs((y1 - y0) * (x - x0) - (x1 - x0) * (y - y0)) for x, y in points[1:-1]]
    largest = max(distances)
    if largest <= 0.25 * float(np.hypot(x1 - x0, y1 - y0)):
        return [points[0], points[-1]]
    middle = distances.index(largest) + 1
    return _thinned(points[: middle + 1])[:-1] + _thinned(points[middle:])
