"""Weights of rows, and the split into rows to train on and rows to validate on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import Array, real_array
from ..losses._base import Loss, check_finite_weights
from ..metrics import is_one_hot
from .objective import Objective, Weights, one_each


def sample_weights(
    given: Any, rows: int, objective: Objective, outputs: Sequence[tuple[int, ...]], name: str, *, may_be_0: bool = False
) -> Weights:
    """Check weights of rows, or of the values of each row.

    Parameters
    ----------
    given : array_like, sequence or mapping of those, or None
        One array for all losses, or one for each.
    rows : int
        The number of rows.
    objective : Objective
        The losses.
    outputs : sequence of tuple of int
        The shape of one sample of each output.
    name : str
        The name of the weights in errors.
    may_be_0 : bool
        Whether all weights may be 0.

    Returns
    -------
    ndarray, tuple of those and None, or None
        In double precision, of shape (rows,) or (rows, ...); a tuple has one for each loss.
    """
    if given is None:
        return None
    n = len(objective.losses)
    values = [loss.values_shape(outputs[at[0]]) for loss, at in zip(objective.losses, objective.takes, strict=True)]
    listed = isinstance(given, (tuple, list)) and len(given) == n > 1 and all(one is None or np.ndim(one) for one in given)
    if listed or isinstance(given, Mapping):
        each = one_each(given, n, objective.keys, name, left_out=None)
        found = tuple(None if one is None else _checked(one, rows, shape, name) for one, shape in zip(each, values, strict=True))
    else:
        found = (_checked(given, rows, values[0] if n == 1 else (), name),)
    if rows and not may_be_0 and not any(w is not None and w.any() for w in found):
        raise ValueError(f"{name}: expected at least one number other than 0")
    return found if len(found) > 1 else found[0]


def _checked(given: Any, rows: int, values: tuple[int, ...], name: str) -> Array:
    w = real_array(given, name)
    if w.shape == (rows, 1):
        w = w.reshape(rows)
    if w.shape not in ((rows,), (rows, *values)):
        more = f", or {(rows, *values)}, one per value" if values else ""
        raise ValueError(f"{name}: shape {w.shape} does not fit; expected {(rows,)}, one per row{more}")
    w = w.astype(np.float64)
    check_finite_weights(w, name)
    return w


def labels(y: Any, loss: Loss) -> NDArray[np.int64] | None:
    """Return the class of each row, or None if the targets are not classes."""
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.dtype.kind in "fiub" and is_one_hot(y):
        return np.asarray(y.argmax(1), np.int64)
    by_class = loss._row["target"] in "cp" and y.dtype.kind in "iu"
    yes_or_no = loss._row["metric"] in "lp" and bool(((y == 0) | (y == 1)).all())
    return y.astype(np.int64) if y.ndim == 1 and (by_class or yes_or_no) else None


def class_weights(given: Any, y: Any, losses: list[Loss], classes: int) -> Array | None:
    """Return the weight of each row by its class: from a mapping (1 for others), one number for each class, or 'balanced'."""
    if given is None:
        return None
    if len(losses) != 1:
        cure = "use sample_weight, or losses with class weights"
        raise ValueError(f"class_weight: only a net of one loss supports it, this one has {len(losses)}; {cure}")
    found = labels(y, losses[0])
    if found is None:
        raise ValueError(f"class_weight: the targets of {type(losses[0]).__name__} here are not classes")
    n = max(classes, 2)
    known = (found >= 0) & (found < n)  # False for labels that the loss ignores
    table = _table(given, n, np.bincount(found[known], minlength=n))
    return np.where(known, table[np.where(known, found, 0)], 1.0)


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
            raise ValueError(f"class_weight: shape {table.shape} does not fit; expected {(n,)}, one number per class")
    if not (np.isfinite(table) & (table >= 0)).all():
        raise ValueError(f"class_weight: expected finite numbers of 0 or more, got {given!r}")
    return table


def combined(weights: Weights, classes: Array | None) -> Weights:
    """Return the product of the weights of rows, or of their values, and of their classes; only a single loss has class weights."""
    if weights is None or classes is None or isinstance(weights, tuple):
        return classes if weights is None else weights
    return weights * classes.reshape(classes.shape + (1,) * (weights.ndim - 1))


def split(
    share: float, rows: int, y: Any, losses: list[Loss], seed: int, shuffle: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to train on and those to validate on: the same share of each class of a single output, or the last rows."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ValueError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    from ..datasets import train_test_split

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
