"""Input of a training: rows of arrays, batches from an iterable, and validation data."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Number
from typing import Any, TypeAlias

import numpy as np

from .. import _core
from .._arrays import Array, plain_array
from .divergence import too_large
from .events import Events
from .messages import warn
from .objective import Objective, Scores, Weights

_BLOCK = 256
"""The number of rows that validation computes at a time."""


def as_core(arrays: tuple[Array, ...]) -> Any:
    """Return inputs in the form that the core accepts: an array, or a tuple of several."""
    return arrays[0] if len(arrays) == 1 else arrays


def rows_of(arrays: Any, rows: Any) -> Any:
    """Return some rows of an array, or of each array of a tuple; None stays None."""
    if isinstance(arrays, tuple):
        return tuple(rows_of(a, rows) for a in arrays)
    return None if arrays is None else arrays[rows]


def class_places(y: Any, classes: Array) -> Array:
    """Return the index of each label in the sorted classes."""
    given = plain_array(y, "y")
    invalid = ~np.isin(given, classes)
    if invalid.any():
        raise ValueError(f"y: {given[invalid].flat[0]!r} is not one of the classes {classes.tolist()}")
    return np.searchsorted(classes, given)


def first_not_finite(X: Any, dtype: str, rows: Any = None) -> int | None:
    """Return the first row of inputs that holds NaN or infinity in that dtype, or None. Blocks of rows are read one at a time."""
    arrays = X if isinstance(X, tuple) else (X,)
    for start in range(0, len(arrays[0] if rows is None else rows), _BLOCK):
        block = slice(start, start + _BLOCK) if rows is None else rows[start : start + _BLOCK]
        with np.errstate(over="ignore"):
            parts = [part.astype(dtype) if (part := a[block]).dtype == np.float64 else part for a in arrays]
        good = [np.isfinite(part).reshape(len(part), -1).all(1) for part in parts]
        bad = np.flatnonzero(~np.logical_and.reduce(good))
        if bad.size:
            return start + int(bad[0]) if rows is None else int(rows[start + bad[0]])
    return None


def copied(arrays: Any) -> Any:
    """Return copies of an array, or of each array of a tuple: an iterable may reuse its arrays for the next batch."""
    if isinstance(arrays, (tuple, list)):
        return type(arrays)(map(copied, arrays))
    return np.array(arrays) if hasattr(arrays, "__array__") else arrays


Rows: TypeAlias = tuple[tuple[Array, ...], Any, Weights]
"""Checked rows: inputs, targets and weights."""


class Validation:
    """Data that are scored repeatedly; ``batches`` is called each time and returns them."""

    def __init__(
        self, graph: _core.Graph, objective: Objective, batches: Callable[[], Iterable[Rows]], many: bool, part: Any = None
    ) -> None:
        self.batches, self.many, self.warned, self.part = batches, many, False, part
        self.renew(graph, objective)

    def renew(self, graph: _core.Graph, objective: Objective) -> None:
        """Use another graph of the same net."""
        self.scorer, self.dtype, self.objective = _core.Predictor(graph, _BLOCK), graph.dtype, objective

    def _parts(self) -> Iterator[Rows]:
        """Yield the batches, or blocks of rows of arrays."""
        for data, target, weight in self.batches():
            rows = len(data[0]) if self.part is None else len(self.part)
            for start in range(0, rows, rows if self.many else _BLOCK):
                block = slice(start, None if self.many else start + _BLOCK)
                part = block if self.part is None else self.part[block]
                yield rows_of(data, part), rows_of(target, part), rows_of(weight, part)

    def logs(self, prefix: str, events: Events) -> dict[str, float]:
        """Return the loss and the metrics, and warn once if the loss is not finite. Metrics also need predictions."""
        total: Scores | None = None
        targets, predicted = [], []
        part = None if events.test else self.part
        events.call("on_test_begin", {})
        for number, (data, target, weight) in enumerate(self._parts() if events.test else self.batches()):
            if events.test:
                events.call("on_test_batch_begin", number, {})
            X = as_core(data)
            weights, units = self.objective.core_weights(weight, self.dtype)
            score = self.objective.in_units(self.scorer.score(X, target, self.objective.criteria, weights, part), units)
            total = score if total is None else summed(total, score)
            if not self.warned and not all(math.isfinite(one[0]) for one in score):
                self.warned = True
                row = first_not_finite(X, self.dtype, part)
                where = f"in row {row}" + (f" of batch {number}" if self.many else "")
                why = "outputs are not finite" if row is None else f"X holds NaN or infinity {where}"
                large = None if row is None else too_large(data, row, self.dtype)
                why = why if large is None else large % where.removeprefix("in ")
                warn(f"{prefix}loss is not finite: of the data to score, {why}", RuntimeWarning)
            if self.objective.measures:
                targets.append(copied(target) if self.many else target if part is None else rows_of(target, part))
                predicted.append(self.scorer.predict(X, part))
            if events.test:
                events.call("on_test_batch_end", number, self.objective.logs("", total))
        assert total is not None
        logs = joined_logs(self.objective, "", total, targets, predicted)
        events.call("on_test_end", logs)
        return {prefix + name: value for name, value in logs.items()}


def summed(a: Scores, b: Scores) -> Scores:
    """Return the sum of the scores of two sets of rows."""
    return tuple(tuple(map(sum, zip(x, y, strict=True))) for x, y in zip(a, b, strict=True))  # type: ignore[misc]


def joined_logs(objective: Objective, prefix: str, scores: Scores, targets: Sequence[Any], predicted: Sequence[Any]) -> dict[str, float]:
    """Return the logs of several batches together; targets and predictions are needed for metrics."""
    return objective.logs(prefix, scores, _joined(targets), _joined(predicted))


def _joined(parts: Sequence[Any]) -> tuple[Any, ...]:
    """Join the arrays of batches, or of each of their tuples."""
    each = zip(*(part if isinstance(part, tuple) else (part,) for part in parts), strict=True)
    return tuple(one[0] if len(one) == 1 or one[0] is None else np.concatenate(one) for one in each)


_ONCE = ("builtins", "itertools")
"""Modules whose iterators cannot be restarted: generators, zip, map, islice and so on."""
_PLAIN = ("builtins", "collections")
"""Modules whose other iterables are data: lists, ranges, deques."""
_END = object()


def _is_iterable(source: Any) -> bool:
    """Return whether a for loop accepts an object, by ``__iter__`` or by ``__getitem__`` and ``__len__``."""
    return isinstance(source, Iterable) or (hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, type))


def _in_order(source: Any) -> Iterator[Any]:
    """Yield the items 0 to ``len(source) - 1``, then call ``on_epoch_end`` if it exists, as Keras does."""
    for number in range(len(source)):
        try:
            batch = source[number]
        except IndexError:
            return
        yield batch
    if callable(done := getattr(source, "on_epoch_end", None)):
        done()


class Batches:
    """Batches that can be read repeatedly.

    Parameters
    ----------
    source : iterable or callable
        Batches, or a function that returns a new iterable of them.
    name : str
        The name of the source in errors.
    epochs : int
        The number of passes.
    steps : int, optional
        The number of batches of an epoch; the source continues across epochs.
    most : int, optional
        Each pass takes this many batches from the beginning of the source.

    Attributes
    ----------
    first : tuple
        The first batch: inputs, targets, weights.
    """

    def __init__(self, source: Any, name: str, epochs: int, steps: int | None = None, most: int | None = None) -> None:
        endless = steps is not None or most is not None
        if isinstance(source, Iterator) and type(source).__module__ in _ONCE and not endless and epochs > 1:
            once = f"{name}: a {type(source).__name__} is exhausted after one epoch, and there are {epochs}"
            how = "" if name != "X" else ", or say where an epoch ends: steps_per_epoch"
            raise ValueError(f"{once}; give the function that makes it, or a list{how}")
        self.source, self.name, self.steps, self.most = source, name, steps, most
        ahead = self._begun()
        first = next(ahead, _END)
        if first is _END:
            raise ValueError(f"{name}: the iterable gave no batch")
        if isinstance(first, (tuple, list)) and not isinstance(source, (tuple, list)):
            first = copied(first)
        self.first = self._pair(first, 0)
        self.ahead: Iterator[Any] | None = itertools.chain([first], ahead)

    @staticmethod
    def are(source: Any) -> bool:
        """Return whether an object may be an iterable of batches, or a function that returns one."""
        no_data = not hasattr(source, "__array__") and not isinstance(source, (str, bytes))
        return no_data and (callable(source) or _is_iterable(source))

    @staticmethod
    def only(source: Any) -> bool:
        """Return whether an object can only be batches or a function that returns them, and not data that NumPy converts to an array."""
        if not Batches.are(source) or isinstance(source, Mapping) or hasattr(source, "__array_interface__"):
            return False
        try:
            memoryview(source)
        except TypeError:
            return callable(source) or isinstance(source, Iterator) or type(source).__module__ not in _PLAIN
        return False

    @staticmethod
    def each(source: Any, name: str) -> Iterator[Any]:
        """Return an iterator over an iterable of batches, or over the one that a function returns."""
        given = source if _is_iterable(source) else source()
        if not _is_iterable(given):
            raise TypeError(f"{name}: the function gave {type(given).__name__}, expected an iterable of batches")
        return iter(given) if isinstance(given, Iterable) else _in_order(given)

    def _begun(self) -> Iterator[Any]:
        return self.each(self.source, self.name)

    def _pair(self, batch: Any, number: int) -> tuple[Any, Any, Any]:
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            expected = "each batch must be a pair (X, y), or with sample_weight a third"
            raise TypeError(f"{self.name}: {expected}; batch {number} is of type {type(batch).__name__}")
        if isinstance(batch[1], Number) or getattr(batch[1], "ndim", 1) == 0:
            single = f"{self.name}: batch {number} is a single sample, whose y is {batch[1]!r}"
            raise ValueError(f"{single}; give batches of samples, such as torch.utils.data.DataLoader(dataset, batch_size=32)")
        return batch[0], batch[1], batch[2] if len(batch) == 3 else None

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        """Yield the batches of an epoch; with ``steps`` they continue where the previous epoch ended."""
        number = -1
        given = self._all() if self.steps is None else self._so_many(self.steps)
        for number, batch in enumerate(itertools.islice(given, self.most)):
            yield self._pair(batch, number)
        if self.most is not None and 0 <= number + 1 < self.most:
            raise ValueError(f"{self.name}: the iterable gave {number + 1} batches, and validation_steps is {self.most}")
        if number < 0:
            once = f"{self.name}: the iterable is exhausted after one epoch"
            raise ValueError(f"{once}; give a list, or an object whose __iter__ starts over")

    def _all(self) -> Iterator[Any]:
        ahead, self.ahead = self._begun() if self.ahead is None else self.ahead, None
        return ahead

    def _so_many(self, steps: int) -> Iterator[Any]:
        for number in range(steps):
            batch = _END if self.ahead is None else next(self.ahead, _END)
            if batch is _END:
                self.ahead = self._begun()
                batch = next(self.ahead, _END)
            if batch is _END:
                short = f"{self.name}: the iterable is exhausted after {number} of the {steps} batches of an epoch"
                raise ValueError(f"{short}; give one that is endless, a list, or the function that makes it, or a smaller steps_per_epoch")
            yield batch

    def leave_out(self, epochs: int) -> None:
        """Skip the batches of this many epochs."""
        for _ in range(epochs if self.steps is not None else 0):
            deque(self, 0)
