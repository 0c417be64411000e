"""What a training reads: rows of arrays, batches that come one by one, and data to be scored on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .. import _core
from .._layer import Array
from .objective import Objective

_BLOCK = 256
"""Rows that validation computes at a time."""


def as_core(arrays: tuple[Array, ...]) -> Any:
    """Return inputs as the core takes them: an array, or a tuple of several."""
    return arrays[0] if len(arrays) == 1 else arrays


def rows_of(arrays: Any, rows: Any) -> Any:
    """Return those rows of an array, or of each of a tuple; nothing of nothing."""
    if isinstance(arrays, tuple):
        return tuple(rows_of(a, rows) for a in arrays)
    return None if arrays is None else arrays[rows]


def class_places(y: Any, classes: Array) -> Array:
    """Return where labels stand among the classes."""
    given = np.asarray(y)
    strange = ~np.isin(given, classes)
    if strange.any():
        raise ValueError(f"y: {given[strange].flat[0]!r} is not one of the classes {classes.tolist()}")
    return np.searchsorted(classes, given)


def first_not_finite(X: Any) -> int | None:
    """Return the first row of inputs that holds NaN or infinity; as many rows at a time as `Validation` has, so that a map stays one."""
    arrays = X if isinstance(X, tuple) else (X,)
    for start in range(0, len(arrays[0]), _BLOCK):
        good = [np.isfinite(a[start : start + _BLOCK]).reshape(len(a[start : start + _BLOCK]), -1).all(1) for a in arrays]
        bad = np.flatnonzero(~np.logical_and.reduce(good))
        if bad.size:
            return start + int(bad[0])
    return None


class Validation:
    """Data that are scored again and again."""

    def __init__(self, graph: _core.Graph, objective: Objective, X: tuple[Array, ...], target: Any, weight: Array | None) -> None:
        self.scorer, self.objective = _core.Predictor(graph, _BLOCK), objective
        self.X, self.target, self.weight, self.warned = as_core(X), target, weight, False

    def logs(self, prefix: str = "val_") -> dict[str, float]:
        """Return the loss and the metrics, or warn once of a loss that is not finite; with metrics the net predicts once more, for them."""
        scores = self.scorer.score(self.X, self.target, self.objective.criteria, self.weight)
        if not self.warned and not all(math.isfinite(score[0]) for score in scores):
            self.warned = True
            row = first_not_finite(self.X)
            why = "outputs are not finite" if row is None else f"X holds NaN or infinity in row {row}"
            warnings.warn(f"{prefix}loss is not finite: of the data to score, {why}", RuntimeWarning, stacklevel=4 if prefix else 3)
        if not self.objective.measures:
            return self.objective.logs(prefix, scores)
        out = self.scorer.predict(self.X)
        return self.objective.logs(prefix, scores, self.target, out if isinstance(out, tuple) else (out,))


class Batches:
    """Batches that can be gone through again and again, and the first of them."""

    def __init__(self, source: Any) -> None:
        if hasattr(source, "__array__") or isinstance(source, (str, bytes)) or not isinstance(source, Iterable):
            raise TypeError(f"y: expected a target, unless X is an iterable of batches (X, y); got X of type {type(source).__name__}")
        self.source = source
        self.ahead: Iterator[Any] | None = iter(source)
        first = next(self._checked(self.ahead), None)
        if first is None:
            raise ValueError("X: the iterable gave no batch")
        self.first: tuple[Any, Any, Any] = first

    @staticmethod
    def _checked(batches: Iterator[Any]) -> Iterator[tuple[Any, Any, Any]]:
        for batch in batches:
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                raise TypeError(
                    f"X: without y, each batch must be a pair (X, y), or with sample_weight a third, got {type(batch).__name__}"
                )
            yield batch[0], batch[1], batch[2] if len(batch) == 3 else None

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        """Go through the batches once; the first pass begins with the one that was looked at."""
        if self.ahead is not None:
            ahead, self.ahead = self.ahead, None
            yield self.first
            yield from self._checked(ahead)
            return
        empty = True
        for batch in self._checked(iter(self.source)):
            empty = False
            yield batch
        if empty:
            raise ValueError("X: the iterable is exhausted after one epoch; give a list, or an object whose __iter__ starts over")
