"""The data of a comparison: kinds of targets, splits and scaling."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import Array, plain_array, real_array
from .._frames import is_column, is_table
from .._tables import unknown_name
from ..datasets import train_test_split
from ..datasets._table_columns import encoded_frame, has_labels
from ..datasets._target import check_task, counted, distinct_numbers, is_classes
from ..datasets._words import Sentence

MISSING = ("error", "mean")
SCALES = ("auto", "columns", "together", "none")
Rows = NDArray[np.intp]


class Target(NamedTuple):
    """The target of one output of the nets."""

    task: str
    """'classes', 'multilabel' or 'quantity'."""
    y: Array
    """Class indices of shape (n,), or zeros and ones, or numbers, of shape (n, k)."""
    outputs: int
    labels: tuple[str, ...]
    """The name of each class."""
    why: Sentence
    """How the target was interpreted."""

    @property
    def loss(self) -> str:
        """The name of its loss."""
        return {"classes": "cross_entropy", "multilabel": "bce_with_logits", "quantity": "mse"}[self.task]


def read_target(y: Any, task: str, name: str = "y") -> Target:
    """Interpret a target by its values, or as ``task`` says."""
    a = _target_array(y, name)
    if a.ndim == 2 and a.shape[1] == 1:
        a = a[:, 0]
    if a.ndim not in (1, 2):
        raise ValueError(f"{name}: expected one target per row, shape (n,), or several, shape (n, k); got shape {a.shape}")
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        raise ValueError(f"{name} must be finite; it holds nan or infinity")
    return _columns(a, task, name) if a.ndim == 2 else _column(a, task, name)


def _column(a: Array, task: str, name: str) -> Target:
    if task == "multilabel":
        raise ValueError(f"task: 'multilabel' needs {name} of shape (n, k) with columns of 0 and 1, got shape {a.shape}")
    values, index = np.unique(a, return_inverse=True)
    count, number = len(values), a.dtype.kind in "iuf"
    if task == "quantity" or (task == "auto" and not is_classes(values, len(a))):
        if not number:
            raise ValueError(f"task: 'quantity' needs numbers, but {name} holds {a.dtype}")
        if count < 2:
            raise ValueError(f"{name}: every value is {values[0]!r}, so there is nothing to predict")
        return Target("quantity", a.astype(np.float64)[:, None], 1, (), distinct_numbers(values))
    if count < 2:
        raise ValueError(f"{name} must hold at least two classes; it holds {values.tolist()}")
    counts = np.bincount(index.reshape(-1))
    labels = tuple(str(int(v)) if number else str(v) for v in values)
    return Target("classes", index.reshape(-1).astype(np.int64), count, labels, counted(labels, counts))


def _columns(a: Array, task: str, name: str) -> Target:
    if a.dtype.kind not in "iufb":
        raise TypeError(f"{name}: several columns must be numbers, got dtype {a.dtype}")
    binary = bool(np.isin(a, (0, 1)).all())
    width = a.shape[1]
    if task in ("auto", "classes") and binary and bool((a.sum(axis=1) == 1).all()):
        labels = tuple(map(str, range(width)))
        return Target("classes", a.argmax(axis=1).astype(np.int64), width, labels, Sentence("one-hot", n=width))
    if task == "classes":
        raise ValueError(f"task: 'classes' needs one label per row or one-hot rows, got {name} of shape {a.shape}")
    if task == "multilabel" and not binary:
        raise ValueError(f"task: 'multilabel' needs columns of 0 and 1, but {name} holds other numbers")
    if task != "quantity" and binary:
        return Target("multilabel", a.astype(np.float32), width, (), Sentence("labels", n=width))
    constant = np.flatnonzero(a.min(axis=0) == a.max(axis=0))
    if constant.size:
        raise ValueError(f"{name}: column {constant[0]} is constant, so there is nothing to predict")
    return Target("quantity", a.astype(np.float64), width, (), Sentence("quantities", n=width))


def _input_array(x: Any, name: str, missing: str) -> Array:
    """Return inputs as an array, NaN where missing; columns of text and categories of a table are one-hot encoded."""
    if not is_table(x) or not has_labels(x):
        return real_array(x, name)
    inputs = encoded_frame(x, name, missing)
    return inputs.X if inputs.filled is None else np.where(inputs.filled, np.nan, inputs.X)


def _target_array(y: Any, name: str) -> Array:
    """Return targets as an array; text, categories and objects remain labels."""
    if is_table(y) and len(y.columns) == 1:
        y = y.iloc[:, 0] if hasattr(y, "iloc") else y.get_columns()[0]
    missing = y.isna() if hasattr(y, "isna") else y.is_null() if hasattr(y, "is_null") else None
    if missing is not None and np.asarray(missing).any():
        raise ValueError(f"{name}: {int(np.asarray(missing).sum())} values are missing; drop those rows")
    is_text = is_column(y) and getattr(y.dtype, "kind", "O") not in "fiub"
    a = np.asarray(y.to_numpy()) if is_text else plain_array(y, name)
    if a.dtype.kind == "O":
        found = a.reshape(-1).tolist()
        if any(value is None or value != value for value in found):
            raise ValueError(f"{name}: values are missing; drop those rows")
        if all(isinstance(value, (int, float, np.number)) and not isinstance(value, bool) for value in found):
            return a.astype(np.float64)
        return np.array([str(value) for value in found]).reshape(a.shape)
    if a.dtype.kind not in "fiubUS":
        raise TypeError(f"{name}: expected numbers, booleans or text, got dtype {a.dtype}")
    return a


class Part(NamedTuple):
    """The scaled training and validation rows of one seed."""

    X: Any
    y: Any
    train: Rows
    validation: Rows


class Data:
    """Inputs and targets, and their splits.

    Parameters
    ----------
    X, y
        As in `compare`.
    task, scale, missing, test_size, validation_size, seed
        As in `compare`.
    has_model : bool
        Whether ``model=`` builds the nets, which may then need integers unchanged.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        *,
        task: str,
        scale: str,
        test_size: float,
        validation_size: float,
        seed: int,
        has_model: bool,
        missing: str = "error",
    ) -> None:
        task = check_task(task)
        if missing not in MISSING:
            raise unknown_name("missing", missing, MISSING)
        if scale not in SCALES:
            raise ValueError(f"scale: expected {', '.join(map(repr, SCALES[:-1]))} or {SCALES[-1]!r}, got {scale!r}")
        self.several_inputs = isinstance(X, tuple) and has_model
        arrays = [_input_array(x, f"X[{i}]", missing) for i, x in enumerate(X)] if self.several_inputs else [_input_array(X, "X", missing)]
        self.inputs = [a[:, None] if a.ndim == 1 else a for a in arrays]
        for i, a in enumerate(self.inputs):
            where = f"X[{i}]" if self.several_inputs else "X"
            if a.dtype.kind == "f" and not (np.isfinite(a) | (np.isnan(a) if missing == "mean" else False)).all():
                remedy = "" if np.isinf(a).any() else "; missing='mean' fills nan with the mean of the training rows"
                raise ValueError(f"{where} must be finite; it holds nan or infinity{remedy}")
        self.has_gaps = [a.dtype.kind == "f" and bool(np.isnan(a).any()) for a in self.inputs]
        self.keys, given = _several(y, has_model)
        self.targets = [read_target(one, task, f"y[{key!r}]" if self.keys else "y") for key, one in given]
        self.rows = len(self.inputs[0])
        for a in [*self.inputs, *(t.y for t in self.targets)]:
            if len(a) != self.rows:
                raise ValueError(f"X and y must hold the same number of rows; got {self.rows} and {len(a)}")
        self.scales = [self._scale(a, scale, has_model) for a in self.inputs]
        self.test_size, self.validation_size, self.seed = test_size, validation_size, seed
        for name, value in (("test_size", test_size), ("validation_size", validation_size)):
            if not 0 < value < 1:
                raise ValueError(f"{name}: expected a number between 0 and 1, got {value!r}")
        if test_size + validation_size >= 1:
            sizes = f"got {test_size} and {validation_size}"
            raise ValueError(f"test_size, validation_size: their sum must be below 1 to leave rows to train on, {sizes}")
        self.validation = self._validation_rows()
        self.test_reads = 0

    @staticmethod
    def _scale(a: Array, scale: str, has_model: bool) -> str:
        if scale != "auto":
            return scale
        if has_model and a.dtype.kind in "iub" and a.dtype != np.uint8:
            return "none"
        return "columns" if a.ndim == 2 else "together"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample of the first input."""
        return self.inputs[0].shape[1:]

    @property
    def outputs(self) -> int:
        """The number of outputs of a net for one target."""
        return self.targets[0].outputs

    @property
    def metric(self) -> str:
        """'accuracy', 'R2', or 'score' if both occur."""
        kinds = {"R2" if t.task == "quantity" else "accuracy" for t in self.targets}
        return kinds.pop() if len(kinds) == 1 else "score"

    def loss(self) -> Any:
        """Return the loss, or one for each output."""
        each = [t.loss for t in self.targets]
        return dict(zip(self.keys, each, strict=True)) if self.keys and isinstance(self.keys[0], str) else each if self.keys else each[0]

    @property
    def digest(self) -> str:
        """The SHA-256 hash of the arrays, their dtypes and shapes."""
        made = hashlib.sha256()
        for a in (*self.inputs, *(t.y for t in self.targets)):
            made.update(f"{a.dtype.str}{a.shape}".encode())
            for start in range(0, len(a), 4096):
                made.update(np.ascontiguousarray(a[start : start + 4096]).tobytes())
        return made.hexdigest()

    # ---- splits ----------------------------------------------------------------------------------------------------
    def _drawn(self, rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
        """Split rows into the rest and a given share, stratified by class."""
        target = self.targets[0]
        alike = len(self.targets) == 1 and target.task == "classes"
        kept, drawn, _, _ = train_test_split(rows, target.y[rows] if alike else rows, test_size=share, seed=seed, stratify=alike)
        return kept, drawn

    def _validation_rows(self) -> Rows:
        drawn = np.random.SeedSequence([self.seed, 1]).generate_state(1)[0]
        return self._drawn(np.arange(self.rows), self.validation_size, int(drawn))[1]

    def split(self, seed: int) -> tuple[Rows, Rows]:
        """Return the training and test rows of a seed; the validation rows, which are the same for all seeds, are in neither."""
        rest = np.setdiff1d(np.arange(self.rows), self.validation)
        return self._drawn(rest, self.test_size * self.rows / len(rest), seed)

    def part(self, seed: int) -> Part:
        """Return the rows to train and validate on for a seed, scaled by the statistics of the training rows."""
        train, _ = self.split(seed)
        rows = np.concatenate([train, self.validation])
        X, y = self._scaled(rows, train)
        return Part(X, y, np.arange(len(train)), np.arange(len(train), len(rows)))

    def test_part(self, seed: int) -> tuple[Any, Any]:
        """Return the rows to test on for a seed, scaled by the statistics of the training rows."""
        self.test_reads += 1
        train, test = self.split(seed)
        return self._scaled(test, train)

    def _scaled(self, rows: Rows, train: Rows) -> tuple[Any, Any]:
        known = [_filled(a, train) if gaps else a for a, gaps in zip(self.inputs, self.has_gaps, strict=True)]
        X = tuple(_standardised(a, rows, train, how) for a, how in zip(known, self.scales, strict=True))
        y = [_standardised(t.y, rows, train, "columns").astype(np.float32) if t.task == "quantity" else t.y[rows] for t in self.targets]
        targets: Any = y[0] if not self.keys else dict(zip(self.keys, y, strict=True)) if isinstance(self.keys[0], str) else y
        return X if self.several_inputs else X[0], targets

    def baselines(self, seed: int) -> float:
        """Return the score of always predicting the most frequent class, or the mean, of the training rows."""
        train, test = self.split(seed)
        found = []
        for t in self.targets:
            if t.task == "classes":
                found.append(float((t.y[test] == np.bincount(t.y[train]).argmax()).mean()))
            elif t.task == "multilabel":
                found.append(float((t.y[test] == (t.y[train].mean(axis=0) > 0.5)).mean()))
            else:
                found.append(r2(t.y[test], np.broadcast_to(t.y[train].mean(axis=0), t.y[test].shape)))
        return float(np.mean(found))


def r2(y: Array, predicted: Array) -> float:
    """Return R2, the fraction of the variance that is explained, as a mean over columns."""
    y, predicted = np.asarray(y, np.float64), np.asarray(predicted, np.float64).reshape(y.shape)
    left, spread = ((y - predicted) ** 2).mean(axis=0), y.var(axis=0)
    return float(np.mean(1 - left / np.where(spread > 0, spread, 1.0)))


def _several(y: Any, has_model: bool) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Return the keys of several targets, or no keys for a single one, and the targets."""
    if isinstance(y, Mapping):
        found = [*y.items()]
    elif isinstance(y, (list, tuple)) and y and all(isinstance(one, np.ndarray) or is_column(one) or is_table(one) for one in y):
        found = [*enumerate(y)]
    else:
        return [], [("y", y)]
    if not has_model:
        wanted = "pass model=, a function (activation, seed) that builds it"
        raise ValueError(f"y: {len(found)} targets need a net with as many outputs; {wanted}")
    return [key for key, _ in found], found


def _filled(a: Array, train: Rows) -> Array:
    """Return rows with the mean of the training rows for NaN; 0 where all of those are NaN."""
    lost = np.isnan(a[train])
    total = np.where(lost, 0, a[train]).sum(axis=0, dtype=np.float64)
    return np.where(np.isnan(a), total / np.maximum((~lost).sum(axis=0), 1), a).astype(a.dtype)


def _standardised(a: Array, rows: Rows, train: Rows, how: str) -> Array:
    """Return rows scaled to mean 0 and deviation 1 on the training rows; constants become 0."""
    if how == "none":
        return a[rows]
    axis = None if how == "together" else (0, *range(2, a.ndim))  # by column, or by channel for images
    known = a[train]
    mean, low, high = known.mean(axis=axis, dtype=np.float64, keepdims=True), known.min(axis=axis), known.max(axis=axis)
    deviation = known.std(axis=axis, dtype=np.float64, keepdims=True)
    deviation = np.where((low == high).reshape(deviation.shape), 1.0, deviation)
    return np.asarray(((a[rows] - mean) / deviation).astype(np.float32))
