"""Learning-rate range test: a short training run with an increasing rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .._arrays import Array
from .._tables import check_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEMORY = 0.9
"""The weight of the previous value in the running mean of losses."""

_START = 10
"""The number of first steps that give the initial loss."""

_LOST = 4.0
"""The ratio of the running mean to its minimum so far that ends the sweep."""


class LRSweep:
    """The result of ``find_lr``: the learning rate and loss of each step.

    Attributes
    ----------
    lr, loss : numpy.ndarray
        The rate of each step, and the loss of its batch before the step.
    smoothed : numpy.ndarray
        The running mean of the losses, taken forward and then backward so that it does not lag behind. Losses above the
        largest of the first ten steps count as that one, so that the increase at the end does not affect earlier steps.
    suggestion : float
        The rate where ``smoothed`` falls most steeply over the logarithm of the rate, after the first ten steps and before its minimum; NaN
        if it does not fall.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> found = pynn.Sequential(pynn.Linear(1, 1, seed=0)).find_lr(X, 3 * X, loss="mse", seed=0)
    >>> len(found.lr) == len(found.loss)
    True
    """

    def __init__(self, lr: Array, loss: Array) -> None:
        self.lr, self.loss = lr, loss
        self.smoothed = _running(_running(np.minimum(loss, loss[:_START].max()))[::-1])[::-1] if len(loss) else loss
        self.suggestion = self._steepest()

    def _steepest(self) -> float:
        first, until = min(_START, len(self.lr) // 4), int(np.argmin(self.smoothed)) + 1 if len(self.lr) else 0
        if until < first + 2:
            return math.nan
        return float(self.lr[first + np.argmin(np.gradient(self.smoothed, np.log(self.lr))[first:until])])

    def __repr__(self) -> str:
        if not len(self.lr):
            return "<LRSweep: the first loss was not finite>"
        return f"<LRSweep: {len(self.lr)} steps from {self.lr[0]:.3g} to {self.lr[-1]:.3g}, suggestion={self.suggestion:.3g}>"

    def _repr_html_(self) -> str:
        """Return HTML for a notebook: the suggestion, and some of the rates with their losses."""
        from .html import html_table

        if not len(self.lr):
            return "<p>LRSweep: the first loss was not finite</p>"
        shown = range(0, len(self.lr), max(len(self.lr) // 10, 1))
        table = html_table(["lr", "loss, smoothed"], [[f"{self.lr[i]:.3g}", f"{self.smoothed[i]:.4g}"] for i in shown], texts=0)
        return f"<p>LRSweep: suggestion {self.suggestion:.3g}</p>{table}"

    def plot(self) -> Figure:
        """Plot the losses over the rates, with the suggestion.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are no steps to plot.
        """
        from ..plot import lr_sweep

        return lr_sweep(self)


def _running(values: Array) -> Array:
    """Return the running mean of values, corrected for its start at 0."""
    mean, out = 0.0, np.empty(len(values))
    for i, value in enumerate(values):
        mean = _MEMORY * mean + (1 - _MEMORY) * value
        out[i] = mean / (1 - _MEMORY ** (i + 1))
    return out


def rates(lr_min: float, lr_max: float, steps: int) -> Array:
    """Return the learning rates of a sweep, a geometric sequence."""
    for name, rate in (("lr_min", lr_min), ("lr_max", lr_max)):
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0 < rate < math.inf:
            raise ValueError(f"{name}: expected a finite number over 0, got {rate!r}")
    if not lr_min < lr_max:
        raise ValueError(f"lr_min: expected less than lr_max, got {lr_min} and {lr_max}")
    check_count("steps", steps, 2)
    return np.geomspace(lr_min, lr_max, steps)


def sweep(rates: Array, step: Callable[[int, float], float]) -> LRSweep:
    """Take a step at each rate until the loss grows too large; ``step`` returns the loss before the step."""
    losses: list[float] = []
    mean, least = 0.0, math.inf
    for i, rate in enumerate(rates):
        loss = step(i, float(rate))
        if not math.isfinite(loss):
            break
        losses.append(loss)
        mean = _MEMORY * mean + (1 - _MEMORY) * loss
        running = mean / (1 - _MEMORY ** (i + 1))
        least = min(least, running)
        if running - min(least, 0) > _LOST * abs(least):
            break
    return LRSweep(rates[: len(losses)], np.array(losses))
