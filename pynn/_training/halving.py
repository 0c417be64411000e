"""Successive halving of many runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .._tables import check_count
from ..metrics import rises_by_name


class Halving:
    """The budget of successive halving for `fit_many`: runs pause after some epochs, and only the best continue.

    All runs train for ``first`` epochs, then the best of every ``factor`` runs train up to ``factor * first`` epochs, and so on. Pausing
    does not change results: runs that continue are bitwise equal to runs without a budget.

    Parameters
    ----------
    metric : str
        The name of the number in the history by which runs are ranked, taken from the last epoch.
    factor : int
        One of every ``factor`` runs continues, rounded up.
    first : int
        The number of epochs before the first pause.
    mode : {'auto', 'min', 'max'}
        Whether a smaller or a greater number is better; 'auto': the direction of the metric.

    Notes
    -----
    Runs compete within their ``group``. Runs that diverged or whose number is NaN rank last. A run that has already ended, because a
    callback stopped it or because it has fewer epochs, stays in the ranking. Ties are resolved by the order of the runs. Dropped runs
    have the status 'pruned' in their history, which holds the epochs up to then.

    References
    ----------
    Jamieson, K. & Talwalkar, A. (2016). Non-stochastic best arm identification and hyperparameter optimization. AISTATS.

    Examples
    --------
    >>> import pynn
    >>> pynn.Halving(first=3).rungs(60)
    [3, 9, 27]
    >>> pynn.Halving(first=3).survivors(10)
    4
    """

    def __init__(self, metric: str = "val_loss", *, factor: int = 3, first: int = 5, mode: str = "auto") -> None:
        if not isinstance(metric, str):
            raise TypeError(f"metric: expected the name of a number in the history, got {metric!r}")
        check_count("factor", factor, 2)
        check_count("first", first, 1)
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode: expected 'auto', 'min' or 'max', got {mode!r}")
        self.metric, self.factor, self.first, self.mode = metric, int(factor), int(first), mode

    def rungs(self, epochs: int) -> list[int]:
        """Return the numbers of epochs after which runs of the given length pause."""
        found, rung = [], self.first
        while rung < epochs:
            found.append(rung)
            rung *= self.factor
        return found

    def survivors(self, runs: int) -> int:
        """Return how many of the given number of runs continue."""
        return math.ceil(runs / self.factor)

    def best(self, values: Sequence[float], rises: bool) -> list[int]:
        """Return the indices of the values of the runs that continue, in order; NaN ranks last."""

        def rank(i: int) -> tuple[bool, float, int]:
            value = values[i]
            return (True, 0.0, i) if math.isnan(value) else (False, -value if rises else value, i)

        return sorted(sorted(range(len(values)), key=rank)[: self.survivors(len(values))])

    def direction(self, known: Mapping[str, bool | None]) -> bool:
        """Return whether a greater number is better, or raise if a run does not report the metric."""
        if self.metric not in known and any(name.removeprefix("val_") == self.metric.removeprefix("val_") for name in known):
            raise ValueError(f"budget: {self.metric!r} is not reported; set validation_rows of the run; known: {', '.join(known)}")
        if self.metric not in known:
            raise ValueError(f"budget: {self.metric!r} is not reported; known: {', '.join(known)}")
        rises = known[self.metric] if self.mode == "auto" else self.mode == "max"
        if rises is None:
            rises = rises_by_name(self.metric.removeprefix("val_"))
        if rises is None:
            unknown = f"whether a greater or a smaller {self.metric!r} is better is not known"
            raise ValueError(f"budget: {unknown}; give mode='min' or mode='max'")
        return rises

    def __repr__(self) -> str:
        return f"Halving({self.metric!r}, factor={self.factor}, first={self.first}, mode={self.mode!r})"
