"""Prediction intervals of regressors: quantile nets, or an ensemble with residuals of rows that its members have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state

from .._training.many import fit_many
from ..losses import QuantileLoss
from ._fitting import Data

Array = NDArray[Any]

KINDS = ("quantile", "ensemble")
_MEMBERS = 10
"""The number of nets of an ensemble. A row is left out of the sample of one net with probability 0.37, of all but one in 1e-2."""


def train_all(estimators: Sequence[Any], data: Data, rows: Sequence[Any], n_jobs: int | None) -> None:
    """Train estimators on rows of the same data, one net per core at a time."""
    trainings = [one._prepare(data, part) for one, part in zip(estimators, rows, strict=True)]
    first = trainings[0]
    histories: list[Any]
    if all(one.is_shareable for one in trainings) and n_jobs != 1:
        runs = [one.run for one in trainings]
        found = fit_many(runs, first.X, first.y, loss=first.run.loss, sample_weight=first.weight, health=False, verbose=False)
        histories = [*found]
    else:
        histories = [one.train() for one in trainings]
    for estimator, training, history in zip(estimators, trainings, histories, strict=True):
        estimator._finish(training, history)


class Quantiles:
    """Nets that predict the two ends of an interval.

    Parameters
    ----------
    estimator : MLPRegressor
        The settings of the nets.
    data : Data
        The data.
    rows : array_like of int, optional
        The rows to train on; None: all.
    coverage : float
        The share of targets that lie within the interval.
    """

    def __init__(self, estimator: Any, data: Data, rows: Any, coverage: float) -> None:
        self.coverage = coverage
        levels = (1 - coverage) / 2, (1 + coverage) / 2
        self.nets = [clone(estimator).set_params(loss=QuantileLoss(q), interval=None) for q in levels]
        train_all(self.nets, data, [rows, rows], estimator.n_jobs)

    def predict(self, X: Any, coverage: float) -> Array:
        """Return the ends, with shape (2, rows) or (2, rows, outputs)."""
        if coverage != self.coverage:
            trained = f"the quantiles were trained for {self.coverage}"
            raise ValueError(f"coverage: {trained}; set it before fit, or use interval='ensemble', got {coverage}")
        return np.sort([net.predict(X) for net in self.nets], axis=0)


class Ensembled:
    """Nets trained on bootstrap samples of the rows.

    The interval is the mean of the nets plus and minus a multiple of ``sqrt(s**2 + r**2)``, where ``s`` is their standard deviation
    and ``r`` the root mean square of the residuals of rows that were left out of the samples. The multiple is the quantile that
    covers the share of those residuals.

    Parameters
    ----------
    estimator, data, rows
        As in `Quantiles`.
    """

    def __init__(self, estimator: Any, data: Data, rows: Any) -> None:
        random, n = check_random_state(estimator.random_state), data.X.shape[0]
        given = np.arange(n) if rows is None else np.asarray(rows)
        samples = [given[random.randint(len(given), size=len(given))] for _ in range(_MEMBERS)]
        seeds = random.randint(np.iinfo(np.int32).max, size=_MEMBERS)
        self.nets = [clone(estimator).set_params(random_state=int(seed), interval=None) for seed in seeds]
        train_all(self.nets, data, samples, estimator.n_jobs)
        unseen = np.zeros((_MEMBERS, n), bool)
        unseen[:, given] = True
        for one, sample in zip(unseen, samples, strict=True):
            one[sample] = False
        used = unseen.any(axis=0)
        every = np.stack([np.asarray(net._outputs(data.X), np.float64) for net in self.nets])
        self.linked = self.nets[0]._target.linked
        every = np.where(unseen[:, :, None], self.linked(every), np.nan)[:, used]
        residuals = data.target[used] - np.nanmean(every, axis=0)
        spread = np.nanstd(every, axis=0)
        self.noise = np.sqrt((residuals**2).mean(axis=0))
        self.ratios = np.sort(np.abs(residuals) / np.sqrt(spread**2 + self.noise**2 + np.finfo(float).tiny), axis=0)

    def predict(self, X: Any, coverage: float) -> Array:
        """Return the ends, with shape (2, rows) or (2, rows, outputs)."""
        every = np.stack([self.linked(np.asarray(net._outputs(X), np.float64)) for net in self.nets])
        n = len(self.ratios)
        factor = self.ratios[min(n - 1, int(np.ceil(coverage * (n + 1))) - 1)]
        middle, half = every.mean(axis=0), factor * np.sqrt(every.std(axis=0) ** 2 + self.noise**2)
        ends = np.stack([middle - half, middle + half])
        return ends[:, :, 0] if ends.shape[2] == 1 else ends
