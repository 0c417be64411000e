"""What rows weigh, and which of them are kept for validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._layer import Array, real_array
from .._loss import Loss
from ..datasets import train_test_split
from ..metrics import is_one_hot

_YES_OR_NO = ("BCELoss", "BCEWithLogitsLoss")


def sample_weights(given: Any, rows: int, name: str) -> Array | None:
    """Check weights of rows."""
    if given is None:
        return None
    w = real_array(given, name)
    if w.shape not in ((rows,), (rows, 1)):
        raise ValueError(f"{name}: shape {w.shape} does not fit; expected {(rows,)}, one a row")
    w = w.reshape(rows).astype(np.float64)
    strange = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if strange.size:
        raise ValueError(f"{name}: {w[strange[0]]} in row {strange[0]} is not a finite number of 0 or more")
    if rows and not w.any():
        raise ValueError(f"{name}: expected at least one number over 0")
    return w


def labels(y: Any, loss: Loss) -> NDArray[np.int64] | None:
    """Return the class of each row, or None where targets are no classes."""
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.dtype.kind in "fiub" and is_one_hot(y):
        return np.asarray(y.argmax(1), np.int64)
    by_class = loss._row["target"] in "cp" and y.dtype.kind in "iu"
    yes_or_no = type(loss).__name__ in _YES_OR_NO and bool(((y == 0) | (y == 1)).all())
    return y.astype(np.int64) if y.ndim == 1 and (by_class or yes_or_no) else None


def class_weights(given: Any, y: Any, losses: list[Loss], classes: int) -> Array | None:
    """Return the weight of each row by its class: from a mapping (1 where it is silent), one number a class, or "balanced"."""
    if given is None:
        return None
    if len(losses) != 1:
        raise ValueError(f"class_weight: this net has {len(losses)} outputs; give sample_weight, or losses with weights of their own")
    found = labels(y, losses[0])
    if found is None:
        raise ValueError(f"class_weight: the targets of {type(losses[0]).__name__} here are not classes")
    n = max(classes, 2)
    own = (found >= 0) & (found < n)  # all but those that the loss ignores
    table = _table(given, n, np.bincount(found[own], minlength=n))
    return np.where(own, table[np.where(own, found, 0)], 1.0)


def _table(given: Any, n: int, counts: NDArray[np.int64]) -> Array:
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f"class_weight: expected 'balanced', a mapping or {n} numbers, got {given!r}")
        seen = counts > 0
        return np.where(seen, counts.sum() / (seen.sum() * np.maximum(counts, 1)), 0.0)
    table = np.ones(n)
    if isinstance(given, Mapping):
        for k, w in given.items():
            if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 0 <= k < n:
                raise ValueError(f"class_weight: {k!r} is not a class in 0..{n - 1}")
            table[k] = w
    else:
        table = real_array(given, "class_weight").astype(np.float64)
        if table.shape != (n,):
            raise ValueError(f"class_weight: shape {table.shape} does not fit; expected {(n,)}, one number a class")
    if not (np.isfinite(table) & (table >= 0)).all():
        raise ValueError(f"class_weight: expected finite numbers of 0 or more, got {given!r}")
    return table


def combined(a: Array | None, b: Array | None) -> Array | None:
    """Return the product of weights."""
    return b if a is None else a if b is None else a * b


def split(
    share: float, rows: int, y: Any, losses: list[Loss], seed: int, shuffle: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to train on and those to validate on: of one output's classes the same share of each, or the last rows."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ValueError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    place = np.arange(rows)
    found = labels(y, losses[0]) if shuffle and len(losses) == 1 else None
    first = rows - round(rows * share)
    try:
        if not shuffle and 0 < first < rows:
            return place[:first], place[first:]
        by = place if found is None else found
        train, held, _, _ = train_test_split(place, by, test_size=share, seed=seed, stratify=found is not None)
    except ValueError as error:
        raise ValueError(f"validation_split: {share} of {rows} rows leaves one of the two parts empty") from error
    return train, held
