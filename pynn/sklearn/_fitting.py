"""One training of an estimator: checked data, and what `pynn.fit_many` or a single call of ``fit`` needs to train on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._training.fit import Options, Part, fit
from .._training.prepare import Goal

if TYPE_CHECKING:
    from .._training.history import History
    from .._training.many import Run
    from ._stopping import Stopping

Array = NDArray[Any]

_MOST_CONVERTED = 2**26
"""Data of at most this many numbers are converted to float32 at once, larger ones batch by batch."""
_LARGEST = 1e6
"""Numbers up to this magnitude are accurate enough in float32 to train on."""


class Data:
    """Checked data of an estimator. Several estimators with equal labels may share them.

    Attributes
    ----------
    X : ndarray or sparse matrix of shape (rows, ...)
        The samples.
    target : ndarray
        The targets of the loss.
    y : ndarray
        The targets as given, for scores.
    weight : ndarray or None
        The weights of the rows.
    labels : Labels or None
        The labels of a classifier.
    names : ndarray or None
        The names of the features.
    """

    def __init__(self, X: Any, target: Array, y: Any, weight: Array | None, labels: Any, names: Any) -> None:
        self.X, self.target, self.y, self.weight, self.labels, self.names = X, target, y, weight, labels, names
        self._narrow: Array | None = None
        self._fits: bool | None = None
        self._targets: dict[str, Array] = {}

    @property
    def is_sparse(self) -> bool:
        """Whether the samples are a sparse matrix."""
        return not isinstance(self.X, np.ndarray)

    @property
    def fits_float32(self) -> bool:
        """Whether all numbers are of a magnitude for which float32 suffices."""
        if self._fits is None:
            X = self.X.data if self.is_sparse else self.X
            arrays = [a for a in (X, self.target) if a.size and a.dtype.kind == "f"]
            self._fits = all(float(a.max()) <= _LARGEST and float(a.min()) >= -_LARGEST for a in arrays)
        return self._fits

    def samples(self, dtype: str) -> Any:
        """Return the samples, converted if training in this dtype is faster on a converted copy."""
        if dtype != "float32" or self.X.dtype == np.float32 or self.is_sparse or self.X.size > _MOST_CONVERTED:
            return self.X
        if self._narrow is None:
            self._narrow = self.X.astype(np.float32)
        return self._narrow

    def targets(self, dtype: str) -> Array:
        """Return the targets, in this dtype unless they are class indices; always the same array, which trainings share."""
        if self.target.dtype.kind != "f" or self.target.dtype == dtype:
            return self.target
        if dtype not in self._targets:
            self._targets[dtype] = self.target.astype(dtype)
        return self._targets[dtype]


class Batches:
    """The batches of a sparse matrix, made dense one at a time; each pass has a new order."""

    def __init__(self, data: Data, rows: NDArray[np.intp] | None, size: int, order: Any) -> None:
        self.X, self.target, self.weight, self.size, self.order = data.X.tocsr(), data.target, data.weight, size, order
        self.rows = np.arange(self.X.shape[0]) if rows is None else rows

    def __call__(self) -> Iterator[tuple[Array, Array, Array | None]]:
        """Yield the batches of one pass."""
        rows = self.rows if self.order is None else self.rows[self.order(len(self.rows))]
        for start in range(0, len(rows), self.size):
            batch = rows[start : start + self.size]
            yield self.X[batch].toarray(), self.target[batch], None if self.weight is None else self.weight[batch]


class Fitting(NamedTuple):
    """A training that is ready to run, made by ``estimator._prepare``.

    Either ``history = train()`` runs it, or ``pynn.fit_many([fitting.run, ...], fitting.X, fitting.y, loss=fitting.run.loss,
    sample_weight=fitting.weight, health=False)`` runs several that have the same `X`, `y` and `weight`. ``estimator._finish(fitting,
    history)`` then sets the attributes of the estimator.
    """

    run: Run
    """The net, which need not be that of the estimator, and how to train it."""
    X: Any
    """The samples; for a sparse matrix a function that returns the batches, which only `train` supports."""
    y: Array | None
    weight: Array | None
    stopping: Stopping | None
    data: Data
    incremental: bool = False
    rows: Any = None
    """The rows that `_prepare` was given; ``run.rows`` has fewer with early stopping."""

    @property
    def is_shareable(self) -> bool:
        """Whether `pynn.fit_many` can run it."""
        return not callable(self.X)

    def train(self) -> History:
        """Run the training."""
        run = self.run
        options = Options(
            Goal(run.loss, run.loss_weights, run.metrics),
            optimizer=run.optimizer,
            epochs=run.epochs,
            batch_size=run.batch_size,
            drop_last=run.drop_last,
            shuffle=run.shuffle,
            callbacks=run.callbacks,
            seed=run.seed,
            sample_weight=self.weight,
            verbose=False,
            health=False,
        )._replace(**run._options)
        part = Part(*(None if rows is None else np.asarray(rows, np.intp) for rows in (run.rows, run.validation_rows)))
        run.history = fit(run.model, self.X, self.y, options, part)
        return run.history
