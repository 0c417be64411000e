"""Prediction: the part of a net that needs no training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._arrays import Array, real_array
from .._graph import Builder
from .._tables import check_count
from .feed import Batches, as_core
from .objective import Head, Objective
from .summary import Described


class _Ready(NamedTuple):
    """A predictor, valid as long as ``made_from`` is the net's token of its layers."""

    batch_size: int
    made_from: object
    predictor: _core.Predictor
    key: Any


class _Known(NamedTuple):
    """The heads of the outputs; valid while the net's token and its objective are the same."""

    made_from: object
    objective: Objective | None
    heads: list[Head]


class Predicting(Described, abstract=True):
    """A layer made of others that predicts: the base of `Net`."""

    def _drop_plans(self, seen: bool = True) -> None:
        super()._drop_plans(seen)
        self._predictor: _Ready | None = None
        self._known_heads: _Known | None = None
        self._made_from = object()

    _fitted: Objective | None
    """What the net was last fitted for; also None before the first prediction of a net from a file."""
    _goal: tuple[Any, Any] | None
    """The losses that it was fitted for, and their weights, as they were given."""

    def _objective_seen(self) -> Objective | None:
        """Return what the net was last fitted for, for samples of the shapes that it predicted last."""
        raise NotImplementedError

    # ---- inputs and graphs ----------------------------------------------------------------------------------------
    _output_names: list[str] | None = None

    def _many_inputs(self) -> bool:
        """Return whether inputs are tuples of arrays."""
        return False

    def _graph(self, arrays: tuple[Array, ...], skip: frozenset[str]) -> _core.Graph:
        """Return a graph that predicts such arrays."""
        return self._built(arrays, skip, writes=False)[0]

    def _built(
        self, arrays: tuple[Array, ...], skip: frozenset[str], training: bool = True, writes: bool = True
    ) -> tuple[_core.Graph, Mapping[int, tuple[str, str]], frozenset[str]]:
        """Return the graph for such arrays, the name and class of the layer of each node, and which layers of ``skip`` were left out."""
        builder = Builder(self._compute_dtype(*arrays), [a.shape[1:] for a in arrays], training=training, writes=writes)
        builder.skip = skip
        self._build(builder, "")
        self._seen = tuple(a.shape[1:] for a in arrays)
        return builder.finish(), builder.owners, frozenset(builder.skipped)

    def _data(self, X: Any, name: str) -> tuple[Array, ...]:
        """Return the inputs as arrays with equal numbers of rows, or raise."""
        if self._many_inputs():
            if not isinstance(X, (tuple, list)):
                raise TypeError(f"{name}: expected a tuple of arrays, one for each input, got {type(X).__name__}")
            arrays = tuple(real_array(x, f"{name}[{i}]") for i, x in enumerate(X))
        else:
            arrays = (real_array(X, name),)
        for a in arrays:
            if a.ndim < 1:
                raise ValueError(f"{name}: expected rows of samples, got a single number")
            if len(a) != len(arrays[0]):
                raise ValueError(f"{name}: inputs have different row counts: {len(arrays[0])} and {len(a)}")
        return tuple(a if a.ndim > 1 else a.reshape(-1, 1) for a in arrays)

    # ---- prediction -----------------------------------------------------------------------------------------------
    def predict(self, X: Any, *, batch_size: int = 256) -> Any:
        """Return the output of the last layer.

        Blocks of ``batch_size`` rows are computed on all threads, so memory use does not grow with the number of rows. Rows are
        converted block by block, also from a memory map. Nothing is kept for ``backward``.

        Any number of threads may predict with one model, also while another thread trains it: a call waits for the current step, uses the
        parameters after it, and delays the next step until it returns. Calls of nets with custom layers run one at a time.

        Parameters
        ----------
        X : array_like, or an iterable of batches ``X`` or ``(X, y)``
            The samples, as in `fit`.
        batch_size : int
            The number of rows of a block.

        Returns
        -------
        ndarray, tuple or dict
            A tuple for several outputs, a dict for named outputs.

        Raises
        ------
        ValueError, TypeError
            If the shape or the dtype of `X` does not fit.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> pynn.Sequential(pynn.Linear(2, 3, seed=0), "softmax").predict(np.eye(2)).shape
        (2, 3)
        """
        ready = self._predictor
        if ready is not None and batch_size == ready.batch_size and ready.made_from is self._made_from:
            out = ready.predictor.quick(X)
            if out is not None:
                return out if self._output_names is None else self._by_name(out)
        if Batches.only(X):
            return self._by_name(self._of_batches(X, batch_size))
        return self._by_name(self._ready(X, batch_size))

    def _by_name(self, out: Any) -> Any:
        """Return the outputs as a dict if they have names."""
        if self._output_names is None:
            return out
        return dict(zip(self._output_names, out if isinstance(out, tuple) else (out,), strict=True))

    def _ready(self, X: Any, batch_size: int) -> Any:
        """Predict after all checks, and keep the predictor for the next call."""
        check_count("batch_size", batch_size, 1)
        made_from, ready, data = self._made_from, self._predictor, self._data(X, "X")
        key = tuple(a.shape[1:] for a in data), self._compute_dtype(*data), _core.isa(), _core.moves()
        if ready is None or (ready.batch_size, ready.made_from, ready.key) != (batch_size, made_from, key):
            predictor = _core.Predictor(self._graph(data, frozenset()), batch_size)
            ready = self._predictor = _Ready(batch_size, made_from, predictor, key)
        return ready.predictor.predict(as_core(data))

    def _of_batches(self, source: Any, batch_size: int) -> Any:
        """Predict the batches of an iterable, and join them; of a batch (X, y) only X is used."""
        many = self._many_inputs()
        parts = []
        for batch in Batches.each(source, "X"):
            pair = isinstance(batch, (tuple, list)) and 1 <= len(batch) <= 3
            if many:
                pair = pair and isinstance(batch[0], (tuple, list))
            elif isinstance(batch, list):  # of arrays it is a pair too, as from a DataLoader; of rows it is X itself
                pair = pair and all(hasattr(part, "__array__") for part in batch)
            parts.append(self._ready(batch[0] if pair else batch, batch_size))
        if not parts:
            raise ValueError("X: the iterable gave no batch")
        if isinstance(parts[0], tuple):
            return tuple(np.concatenate(each) for each in zip(*parts, strict=True))
        return np.concatenate(parts)

    def _heads(self, outputs: int) -> list[Head]:
        """Return the head of each output, cached until the layers or the objective change.

        Threads may call this at the same time: the cache is replaced in one assignment, together with the state that it belongs to.
        """
        made_from, known = self._made_from, self._known_heads
        is_fitted = self._fitted is not None or self._goal is None
        if known is not None and known.made_from is made_from and known.objective is self._fitted and is_fitted:
            return known.heads
        layers, objective = [layer for _, layer in self._output_layers()], self._objective_seen()
        lasts = layers if len(layers) == outputs else [None if outputs > 1 or not layers else layers[-1]] * outputs
        heads = [Head.of(last, objective, k) for k, last in enumerate(lasts)]
        self._known_heads = _Known(made_from, objective, heads)
        return heads

    def _answers(self, X: Any, what: str, one: Callable[[Head, Array], Array]) -> Any:
        """Return something of an output, or by name of those outputs that have it."""
        found = self.predict(X)
        if self._output_names is None:
            heads = self._heads(len(found) if isinstance(found, tuple) else 1)
            if len(heads) > 1:
                raise ValueError(f"{what} needs one row of outputs per sample, got {len(heads)} outputs; name them in Model or use predict")
            return one(heads[0], found)
        heads = self._heads(len(found))
        named = {
            name: one(head, out)
            for (name, out), head in zip(found.items(), heads, strict=True)
            if len(heads) == 1 or head.classifies
        }
        if not named:
            raise ValueError(f"{what}: none of the outputs {', '.join(self._output_names)} is of classes; use predict")
        return named

    def predict_proba(self, X: Any) -> Any:
        """Return probabilities.

        Parameters
        ----------
        X : array_like, or batches
            As in `predict`.

        Returns
        -------
        ndarray or dict
            The output, after softmax or sigmoid if the net was fitted on logits. For named outputs a dict of those that are of classes.

        Raises
        ------
        ValueError
            If the output is not known to be of classes.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> model = pynn.Sequential(pynn.Linear(2, 3, seed=0))
        >>> hist = model.fit(np.eye(2), [0, 2], loss="cross_entropy", seed=0)
        >>> model.predict_proba(np.eye(2)).sum(1).round(4).tolist()
        [1.0, 1.0]
        """
        return self._answers(X, "predict_proba", Head.probabilities)

    def predict_class(self, X: Any, *, multilabel: bool | None = None) -> Any:
        """Return class indices, or 0 and 1 for each label of a multi-label net.

        Parameters
        ----------
        X : array_like, or batches
            As in `predict`.
        multilabel : bool, optional
            True: 0 and 1 for each column, an array of shape (rows, labels): whether its probability is over 1/2. False: the class
            with the largest output, or for a single output whether its probability is over 1/2. None: True if the net was trained
            on targets of 0 and 1 in several columns that are not one-hot, see `pynn.metrics`.

        Returns
        -------
        ndarray or dict
            For named outputs a dict of those that are of classes.

        Raises
        ------
        ValueError
            If the output is not of classes.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> X, y = np.eye(3), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
        >>> model = pynn.Sequential(pynn.Linear(3, 3, seed=0))
        >>> hist = model.fit(X, y, loss="bce_with_logits", optimizer=pynn.optim.Adam(lr=0.1), epochs=100, seed=0)
        >>> model.predict_class(X).tolist()
        [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
        """
        return self._answers(X, "predict_class", Head.classes if multilabel is None else lambda head, out: head.classes(out, multilabel))
