"""The curves of one training as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from ._colors import style
from ._html import styled
from ._svg import Chart

if TYPE_CHECKING:
    from .._training.history import History

_MOST_POINTS = 400
"""The largest number of points of a curve."""


def fragment(history: History) -> str:
    """Return HTML for a notebook: the last numbers, and a chart for each quantity with its validation."""
    epochs = len(history.epoch)
    if not epochs:
        return styled("<p>History: no epoch has finished.</p>")
    seconds = sum(history.history.get("seconds", ()))
    how = "" if history.status in ("training", "finished") else f", {history.status}"
    head = f'<p class="lead">{epochs} epoch{"s" * (epochs != 1)} in {seconds:.3g} s{how}</p>'
    names = dict.fromkeys(name.removeprefix("val_") for name in history.history if name != "seconds")
    return styled(f'{head}<div class="grids">{"".join(_figure(history, name) for name in names)}</div>')


def _figure(history: History, name: str) -> str:
    """Return the chart of one quantity."""
    shown = [(i, one) for i, one in enumerate((name, f"val_{name}")) if one in history.history]
    text = ", ".join(f"{one} {history.history[one][-1]:.4g} at the end" for _, one in shown)
    chart = Chart(f"{name} by epoch: {text}", "epoch", name, lambda value: f"{value:.3g}")
    for i, one in shown:
        chart.add(i, _thinned([(epoch + 1.0, value) for epoch, value in zip(history.epochs_of(one), history.history[one], strict=True)]))
    keys = " ".join(f'<span class="name" style="{style(i)}">{escape(one)} {history.history[one][-1]:.4g}</span>' for i, one in shown)
    return f"<figure><figcaption>{keys}</figcaption>{chart.svg()}</figure>"


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most `_MOST_POINTS` points, the last one included."""
    step = -(-len(points) // _MOST_POINTS)
    return [*points[::-1][::step]][::-1]
