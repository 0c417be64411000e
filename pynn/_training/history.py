"""The numbers that were reported in each epoch of training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .health import Health

_MOST_ROWS = 20
"""The largest number of epochs in a table, which shows the first and the last ones."""


class History:
    """The numbers that ``fit`` reported in each epoch.

    It is printed as a table, and shown in notebooks as curves with the last numbers.

    Attributes
    ----------
    history : dict of str to list of float
        The numbers by name.
    epoch : list of int
        The finished epochs, from 0, or from ``initial_epoch``.
    health : list of Health
        The health of the layers in each epoch, with a `HealthMonitor`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", epochs=2, seed=0)
    >>> len(hist.history["loss"]), hist.epoch
    (2, [0, 1])
    """

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self.history: dict[str, list[float]] = {}
        self.reported: dict[str, list[int]] = {}  # for numbers that some epochs did not report: the epochs that did
        self.health: list[Health] = []
        self.status = "training"
        self.error: Exception | None = None

    @property
    def epoch(self) -> list[int]:
        """The numbers of the finished epochs, from 0, or from ``initial_epoch``."""
        return list(range(self.first, self.first + len(self.history.get("loss", []))))

    def add(self, logs: Mapping[str, float]) -> None:
        """Add the numbers of one epoch."""
        done = len(self.history.get("loss", ()))
        for name, value in logs.items():
            values = self.history.setdefault(name, [])
            if len(values) != done:
                self.reported.setdefault(name, self.epochs_of(name)).append(self.first + done)
            values.append(value)

    def epochs_of(self, name: str) -> list[int]:
        """Return the epochs that reported a number, from 0: some are missing with ``validation_freq``."""
        values = self.history[name]
        known = self.reported.get(name, [])
        return known if len(known) == len(values) else list(range(self.first, self.first + len(values)))

    def _columns(self) -> dict[str, dict[int, float]]:
        """Return each number by epoch."""
        return {name: dict(zip(self.epochs_of(name), values, strict=True)) for name, values in self.history.items()}

    def __repr__(self) -> str:
        last = ", ".join(f"{k}={v[-1]:.4g}" for k, v in self.history.items())
        return f"<History: {len(self.epoch)} epochs{': ' + last if last else ''}>"

    def _shown(self) -> list[int | None]:
        """Return the epochs to show in the table, with None in place of those omitted."""
        epochs = self.epoch
        if len(epochs) <= _MOST_ROWS:
            return [*epochs]
        return [*epochs[: _MOST_ROWS // 2], None, *epochs[-_MOST_ROWS // 2 :]]

    def _rows(self) -> list[list[str]]:
        columns = self._columns()
        gap = ["..."] * (len(columns) + 1)
        shown = [
            gap if i is None else [str(i + 1), *(f"{values[i]:.4g}" if i in values else "-" for values in columns.values())]
            for i in self._shown()
        ]
        return [["epoch", *columns], *shown]

    def __str__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)

    def _repr_html_(self) -> str:
        """Return the curves of a training with their last numbers."""
        from ..lab._history import fragment

        return fragment(self)

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame with a row for each epoch, counted from 1, and a column for each number.

        Returns
        -------
        pandas.DataFrame
            NaN where an epoch did not report a number.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise ImportError("History.to_pandas needs pandas: pip install pandas") from error
        table = {name: [values.get(epoch, math.nan) for epoch in self.epoch] for name, values in self._columns().items()}
        return pandas.DataFrame(table, index=pandas.RangeIndex(self.first + 1, self.first + len(self.epoch) + 1, name="epoch"))

    def plot(self, names: Iterable[str] | None = None) -> Figure:
        """Plot each number over the epochs, with its validation in the same panel.

        Parameters
        ----------
        names : iterable of str, optional
            What to plot, without ``val_``; default: all but ``seconds``.

        Returns
        -------
        matplotlib.figure.Figure
            A panel for each name.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If a name is unknown, or no epoch has finished.
        """
        from ..plot import history

        return history(self.history, names, {name: [epoch + 1 for epoch in self.epochs_of(name)] for name in self.history})
