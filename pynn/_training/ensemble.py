"""Predictions of several nets for the same samples, and their mean and standard deviation."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from typing import Any, Self, TypeVar

import numpy as np

from .. import _core, io
from .._arrays import Array
from .._tables import check_count
from .._threads import get_num_threads
from .crew import joined
from .feed import Batches, as_core
from .net import Net
from .objective import Head
from .turns import has_custom_layers

_T = TypeVar("_T")


def predict_many(models: Iterable[Net], X: Any, *, n_jobs: int | None = None, batch_size: int = 256) -> list[Any]:
    """Predict the same samples with each of several models, one model per core at a time.

    Parameters
    ----------
    models : iterable of Sequential or Model
        The nets; a net may occur several times.
    X : array_like
        The samples, as in ``predict``, except batches from an iterable.
    n_jobs : int, optional
        The number of models that predict at the same time; None: `get_num_threads`. If there are fewer models, they predict one
        after the other, each on all threads.
    batch_size : int
        As in ``predict``.

    Returns
    -------
    list
        The outputs in the order of `models`, bitwise equal to those of ``predict``.

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid. An exception raised by a model has a note with the index of the model.

    Notes
    -----
    Models with layers written in Python predict in the calling thread.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> models = [pynn.Sequential(pynn.Linear(2, 3, seed=k), "tanh") for k in range(4)]
    >>> [out.shape for out in pynn.predict_many(models, np.ones((5, 2)))]
    [(5, 3), (5, 3), (5, 3), (5, 3)]
    """
    return _each(_listed(models), X, n_jobs, lambda model, data: model.predict(data, batch_size=batch_size))


class Ensemble:
    """Predict with several nets: the mean and the standard deviation of their predictions.

    Parameters
    ----------
    models : iterable of Sequential or Model
        At least one; their outputs must have the same shapes.

    Attributes
    ----------
    models : tuple of Sequential and Model
        The nets.

    Notes
    -----
    Means and standard deviations are computed in float64 and have the dtype of the outputs. The standard deviation is taken over the
    models, with divisor ``len(models)``.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> nets = [pynn.Sequential(pynn.Linear(1, 8, seed=k), "tanh", pynn.Linear(8, 1, seed=k + 9)) for k in range(5)]
    >>> histories = pynn.fit_many([pynn.Run(net, epochs=30, seed=k) for k, net in enumerate(nets)], X, X**2, loss="mse")
    >>> mean, std = pynn.Ensemble(nets).predict([[0.5], [3.0]], return_std=True)
    >>> bool(std[1] > std[0])
    True
    """

    def __init__(self, models: Iterable[Net]) -> None:
        self.models = tuple(_listed(models))
        if not self.models:
            raise ValueError("models: expected at least one")

    def predict(self, X: Any, *, return_std: bool = False, n_jobs: int | None = None) -> Any:
        """Return the mean of the outputs, or with ``return_std`` a pair of mean and standard deviation.

        Several outputs are returned as tuples, or as dicts by name, like those of the models.
        """
        return self._mean(_each(self.models, X, n_jobs, lambda model, data: model.predict(data)), return_std)

    def predict_proba(self, X: Any, *, return_std: bool = False, n_jobs: int | None = None) -> Any:
        """Return the mean of the probabilities, or with ``return_std`` a pair of mean and standard deviation."""
        return self._mean(_each(self.models, X, n_jobs, lambda model, data: model.predict_proba(data)), return_std)

    def predict_class(self, X: Any, *, multilabel: bool | None = None, n_jobs: int | None = None) -> Any:
        """Return the classes with the largest mean probability, or for multi-label nets 0 and 1 for each label, see ``predict_class``."""
        probabilities = self.predict_proba(X, n_jobs=n_jobs)
        names = self.models[0]._output_names
        heads = [_of_probabilities(head) for head in self.models[0]._heads(1 if names is None else len(names))]
        if names is None:
            return heads[0].classes(probabilities, multilabel)
        known = dict(zip(names, heads, strict=True))
        return {name: known[name].classes(found, multilabel) for name, found in probabilities.items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all models to one safetensors file, which `load` reads; an existing file is replaced atomically. See `pynn.io.save`."""
        metadata: dict[str, str] = {io.ENSEMBLE: str(len(self.models))}
        arrays: dict[str, Array] = {}
        for i, model in enumerate(self.models):
            key, prefix = _member(i)
            metadata[key] = io.describe(model)
            arrays |= {f"{prefix}{name}": a for name, a in model.state_dict().items()}
        io.save_file(arrays, path, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the ensemble from a file written by `save`, or raise ValueError if the file is invalid, as `pynn.load` does."""
        arrays, metadata = io.load_file(path)
        name = os.fspath(path)
        if io.ENSEMBLE not in metadata:
            raise ValueError(f"{name}: is not a file of an ensemble; read a single model with pynn.load")
        members = [_member(i) for i in range(sum(key.startswith(_member_key) for key in metadata))]
        if not members or metadata[io.ENSEMBLE] != str(len(members)) or any(key not in metadata for key, _ in members):
            raise ValueError(f"{name}: its metadata declare {metadata[io.ENSEMBLE][:20]!r} models, but describe {len(members)}")
        own: dict[str, dict[str, Array]] = {prefix: {} for _, prefix in members}
        for full, a in arrays.items():
            number, slash, rest = full.partition("/")
            if number + slash not in own:
                raise ValueError(f"{name}: the array {full[:80]!r} does not belong to any of its {len(members)} models")
            own[number + slash][rest] = a
        models = [io.build(metadata[key], own[prefix], f"{name}: models[{i}]") for i, (key, prefix) in enumerate(members)]
        try:
            return cls(models)  # type: ignore[arg-type]  # the constructor checks what they are
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from error

    @staticmethod
    def _mean(outputs: Sequence[Any], return_std: bool) -> Any:
        """Return the mean of outputs, and their standard deviation if requested."""
        first = outputs[0]
        if isinstance(first, dict):
            pairs = {name: _moments([out[name] for out in outputs]) for name in first}
            found: list[Any] = [{name: pair[i] for name, pair in pairs.items()} for i in range(2)]
        elif isinstance(first, tuple):
            moments = [_moments(each) for each in zip(*outputs, strict=True)]
            found = [tuple(pair[i] for pair in moments) for i in range(2)]
        else:
            found = [*_moments(outputs)]
        return (found[0], found[1]) if return_std else found[0]

    def __len__(self) -> int:
        return len(self.models)

    def __getitem__(self, i: int) -> Net:
        return self.models[i]

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self.models)}: {', '.join(repr(model) for model in self.models[:1])}{', ...' * (len(self.models) > 1)}>"


_member_key = "pynn.member."


def _member(i: int) -> tuple[str, str]:
    """Return the metadata key of a model in a file, and the prefix of the names of its arrays."""
    return f"{_member_key}{i}", f"{i}/"


def _moments(outputs: Sequence[Array]) -> tuple[Array, Array]:
    """Return the mean and standard deviation of arrays, added one at a time so that memory does not grow with their number."""
    first = outputs[0]
    for i, out in enumerate(outputs):
        if out.shape != first.shape:
            raise ValueError(f"models[{i}]: its output has shape {out.shape}, but that of models[0] has shape {first.shape}")
    mean = np.zeros(first.shape)
    for out in outputs:
        mean += out
    mean /= len(outputs)
    square = np.zeros(first.shape)
    for out in outputs:
        square += (out - mean) ** 2
    dtype = np.result_type(*(out.dtype for out in outputs))
    return mean.astype(dtype), np.sqrt(square / len(outputs)).astype(dtype)


def _of_probabilities(head: Head) -> Head:
    """Return the head of an output that has already been converted to probabilities."""
    return head._replace(to_probabilities=lambda out: out)


def _listed(models: Iterable[Net]) -> list[Net]:
    """Return the models, or raise."""
    if isinstance(models, Net) or not isinstance(models, Iterable):
        raise TypeError(f"models: expected an iterable of models, got {type(models).__name__}")
    found = [*models]
    for i, model in enumerate(found):
        if not isinstance(model, Net):
            raise TypeError(f"models[{i}]: expected a Sequential or a Model, got {model!r}")
    return found


def _rows(model: Net, X: Any, rows: slice) -> Any:
    """Return some rows of the data of a model."""
    return as_core(tuple(a[rows] for a in model._data(X, "X")))


def _each(models: Sequence[Net], X: Any, n_jobs: int | None, predict: Callable[[Net, Any], _T]) -> list[_T]:
    """Call a function of model and data for each model, and return the results in order."""
    if n_jobs is not None:
        check_count("n_jobs", n_jobs, 1)
    if Batches.only(X):
        raise TypeError(f"X: expected arrays, not batches from an iterable; got {type(X).__name__}")
    if not models:
        return []
    X = _rows(models[0], X, slice(None))
    results: dict[int, _T] = {}
    errors: dict[int, Exception] = {}
    wanted = n_jobs or get_num_threads()
    workers = wanted if 1 < wanted <= len(models) else 0
    custom = {i for i, model in enumerate(models) if has_custom_layers(model)} if workers else set()
    rest, own = deque(i for i in range(len(models)) if i not in custom), deque(sorted(custom))
    stop = np.zeros(1, np.uint8)

    def work(*queues: deque[int]) -> None:
        """Predict with the models of the queues, in turn."""
        before = _core.work(workers > 0, stop)
        try:
            for queue in queues:
                while queue and not stop[0]:
                    try:
                        i = queue.popleft()
                    except IndexError:  # another thread took the last one
                        break
                    try:
                        results[i] = predict(models[i], X)
                    except Exception as error:
                        errors[i] = error
        except KeyboardInterrupt:
            if not stop[0]:
                raise
        finally:
            _core.work(*before)

    threads = [
        threading.Thread(target=copy_context().run, args=(work, rest), name=f"pynn-{i}", daemon=True) for i in range(workers - 1)
    ]
    try:
        for thread in threads:
            thread.start()
        work(own, rest)
    except BaseException:
        stop[0] = 1
        raise
    finally:
        again = joined(threads)
    if again is not None:
        raise again
    if errors:
        first = min(errors)
        errors[first].add_note(f"in models[{first}]")
        raise errors[first]
    return [results[i] for i in range(len(models))]
