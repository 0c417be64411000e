"""Nets: layers in a row, and the training loop."""

from __future__ import annotations

import math
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from . import _core, losses, optim
from ._layer import Array, Builder, Layer, Parameter, layer_from_config, real_array
from ._loss import Loss
from ._optimizer import Optimizer
from ._random import draw_seed
from ._tables import unknown_name
from .activation_layers import by_name as activation_layers
from .layers import Linear

_FUSED = {("cross_entropy", "Softmax"): "cross_entropy", ("bce", "Sigmoid"): "bce_with_logits"}
"""Loss name and last layer that become one stable loss at the logits."""

_DOUBLED = {("CrossEntropyLoss", "Softmax"), ("BCEWithLogitsLoss", "Sigmoid")}
"""Losses on logits that a last layer turns into something else."""

_PROBABILITIES = {"CrossEntropyLoss": "Softmax", "BCEWithLogitsLoss": "Sigmoid", "NLLLoss": "exp"}

Callback = Callable[[int, dict[str, float]], None]


class History:
    """What ``fit`` saw: ``history["loss"]`` and its kin, a number an epoch."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}

    @property
    def epoch(self) -> list[int]:
        """The numbers of the finished epochs, from 0."""
        return list(range(len(self.history.get("loss", []))))

    def add(self, logs: Mapping[str, float]) -> None:
        """Add one epoch."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        last = ", ".join(f"{k}={v[-1]:.4g}" for k, v in self.history.items())
        return f"<History: {len(self.epoch)} epochs{': ' + last if last else ''}>"


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}: expected an integer of {least} or more, got {value!r}")


def _as_layer(layer: Layer | str) -> Layer:
    if isinstance(layer, Layer):
        return layer
    if not isinstance(layer, str):
        raise TypeError(f"layers: expected a pynn.Layer or an activation's name, got {layer!r}")
    if layer not in activation_layers:
        raise unknown_name("activation", layer, activation_layers)
    return activation_layers[layer]()


class Sequential(Layer):
    """Layers in a row, with a training loop that runs in C.

    Parameters
    ----------
    *layers : Layer or str
        The layers; a name such as ``"relu"`` stands for the activation. Sequentials nest.

    Raises
    ------
    ValueError
        If layers compute in different dtypes, or a name is unknown.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]); y = np.array([0, 1, 1, 0])
    >>> model = pynn.Sequential(pynn.Linear(2, 16, seed=1), "tanh", pynn.Linear(16, 2, seed=2))
    >>> hist = model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=0.05), epochs=200, seed=0)
    >>> model.predict_class(X)
    array([0, 1, 1, 0])
    """

    def __init__(self, *layers: Layer | str) -> None:
        super().__init__()
        self._layers: list[Layer] = []
        self._replace([_as_layer(layer) for layer in layers])
        self._fitted: tuple[Loss, bool] | None = None
        self._lock = threading.RLock()
        self.history: History | None = None

    # ---- structure ------------------------------------------------------------------------------------------------
    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers; `append`, `insert`, ``model[i] = layer`` and ``del model[i]`` change them."""
        return tuple(self._layers)

    def _replace(self, layers: list[Layer]) -> None:
        """Take these layers, all or none."""
        before, self._layers = self._layers, layers
        found = {layer.dtype: name for name, layer in self._leaves() if layer.dtype}
        if len(found) > 1:
            self._layers = before
            raise ValueError("layers: all must compute in one dtype, got " + ", ".join(f"{d} in layer {n}" for d, n in found.items()))
        self.dtype = next(iter(found), None)
        for layer in layers:
            layer._owners.add(self)
        self._forget()

    def _forget(self) -> None:
        super()._forget()
        self._predictor: _core.Predictor | None = None
        self._predictor_key: object = None

    def _leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Sequential):
                yield from layer._leaves(f"{prefix}{i}.")
            else:
                yield f"{prefix}{i}", layer

    def _all_parameters(self) -> dict[str, Parameter]:
        return {f"{name}.{own}": p for name, layer in self._leaves() for own, p in layer._all_parameters().items()}

    def _build(self, builder: Builder, where: str, drop_last: bool = False) -> None:
        leaves = list(self._leaves())
        for name, layer in leaves[: len(leaves) - drop_last]:
            layer._build(builder, f"layer {name} ({type(layer).__name__})")

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        """Return a layer, or for a slice a Sequential that shares its layers."""
        return Sequential(*self._layers[index]) if isinstance(index, slice) else self._layers[index]

    def __setitem__(self, index: int, layer: Layer | str) -> None:
        """Put another layer in the place of one, as a new head on a trained body."""
        layers = self._layers.copy()
        layers[index] = _as_layer(layer)
        self._replace(layers)

    def __delitem__(self, index: int | slice) -> None:
        """Take layers out."""
        layers = self._layers.copy()
        del layers[index]
        self._replace(layers)

    def append(self, layer: Layer | str) -> Self:
        """Add a layer at the end."""
        return self.insert(len(self), layer)

    def insert(self, index: int, layer: Layer | str) -> Self:
        """Add a layer before the one at ``index``."""
        layers = self._layers.copy()
        layers.insert(index, _as_layer(layer))
        self._replace(layers)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode in every layer."""
        for layer in self.layers:
            layer.train(mode)
        return super().train(mode)

    def get_config(self) -> dict[str, Any]:
        return {"layers": [{"class": type(layer).__name__, **layer.get_config()} for layer in self.layers]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(*(layer_from_config(layer) for layer in config["layers"]))

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"

    def summary(self) -> str:
        """Return a table of the layers and their parameters."""
        rows = [(name, repr(layer), f"{sum(p.data.size for p in layer.parameters()):,}") for name, layer in self._leaves()]
        width = max((len(text) for _, text, _ in rows), default=5)
        lines = [f"{name:>5}  {text:<{width}}  {count:>12}" for name, text, count in [("", "layer", "parameters"), *rows]]
        total = sum(p.data.size for p in self.parameters())
        trained = sum(p.data.size for p in self.parameters() if p.requires_grad)
        return "\n".join([*lines, f"{total:,} parameters, {trained:,} of them trained"])

    def plan_summary(self, shape: tuple[int, ...] | None = None, *, rows: int = 32, mode: str = "train") -> str:
        """Return a table of what the engine does for a batch: its steps, what is fused, arithmetic and memory.

        Parameters
        ----------
        shape : tuple of int, optional
            Of one sample; may be left out where the first layer is a `Linear`, which knows it.
        rows : int
            Samples in the batch.
        mode : {'train', 'backward', 'predict'}
            A step of `fit` (without its loss and update), a call that keeps what ``backward`` needs, or `predict`.

        Examples
        --------
        >>> import pynn
        >>> print(pynn.Sequential(pynn.Linear(4, 8), "relu", pynn.Linear(8, 3)).plan_summary(rows=10, mode="predict"))
        step                 layer             FLOP
        linear + activation  layer 0 (Linear)   640
        linear               layer 2 (Linear)   480
        2 steps, 1,120 FLOP; ... bytes of memory for buffers that would take ... if none shared its place
        """
        first = next((layer for _, layer in self._leaves()), None)
        if shape is None and isinstance(first, Linear):
            shape = (first.in_features,)
        if shape is None:
            raise ValueError("shape: expected the shape of one sample, which this model's first layer does not tell")
        _check_count("rows", rows, 1)
        builder = Builder(self.dtype or "float32", [shape])
        self._build(builder, "")
        plan = _core.Plan(builder.graph, rows, mode)
        lines = [("step", "layer", "FLOP"), *((what, where, f"{flops:,.0f}" if flops else "") for what, where, _, flops, _ in plan.steps)]
        widths = [max(len(line[k]) for line in lines) for k in range(3)]
        table = [f"{what:<{widths[0]}}  {where:<{widths[1]}}  {flops:>{widths[2]}}" for what, where, flops in lines]
        total = sum(step[3] for step in plan.steps)
        memory = f"{plan.bytes:,} bytes of memory for buffers that would take {plan.bytes_apart:,} if none shared its place"
        return "\n".join([*(line.rstrip() for line in table), f"{len(plan.steps)} steps, {total:,.0f} FLOP; {memory}"])

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k not in ("_lock", "_predictor", "_predictor_key")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._lock = threading.RLock()
        for layer in self._layers:
            layer._owners.add(self)

    # ---- training -------------------------------------------------------------------------------------------------
    def _enter(self) -> threading.RLock:
        if not self._lock.acquire(False):
            raise RuntimeError("this model is in use by another thread; give each thread a copy of its own")
        return self._lock

    def __call__(self, *xs: ArrayLike) -> Any:
        lock = self._enter()
        try:
            return super().__call__(*xs)
        finally:
            lock.release()

    def _last_class(self) -> str:
        leaves = list(self._leaves())
        return type(leaves[-1][1]).__name__ if leaves else ""

    def _resolve_loss(self, loss: str | Loss) -> tuple[Loss, bool]:
        """Return the loss, and whether it takes the place of the last layer too."""
        last = self._last_class()
        if isinstance(loss, str) and (loss, last) in _FUSED:
            return losses.get(_FUSED[loss, last]), True
        found = losses.get(loss)
        if found.reduction == "none":
            raise ValueError("loss: fit needs one number; use reduction='mean' or 'sum'")
        if (type(found).__name__, last) in _DOUBLED:
            warnings.warn(
                f"{type(found).__name__} takes logits, but the last layer is {last}: remove it, or name the loss as a string",
                UserWarning,
                stacklevel=3,
            )
        return found, False

    def _graph(self, X: Array, drop_last: bool) -> _core.Graph:
        builder = Builder(self._compute_dtype(X), [X.shape[1:]])
        self._build(builder, "", drop_last)
        return builder.graph

    @staticmethod
    def _data(X: ArrayLike, name: str) -> Array:
        a = real_array(X, name)
        if a.ndim < 1:
            raise ValueError(f"{name}: expected rows of samples, got a single number")
        return a if a.ndim > 1 else a.reshape(-1, 1)

    @staticmethod
    def _target(y: ArrayLike, rows: int, graph: _core.Graph, loss: Loss, name: str) -> Array:
        """Check a target, all of it, against the model's output."""
        a, output = np.asarray(y), graph.output_shape
        if a.dtype.kind not in "fiub":
            raise TypeError(f"{name}: dtype {a.dtype} is not allowed; expected numbers")
        if a.shape[:1] != (rows,):
            raise ValueError(f"{name}: shape {a.shape} does not go with the {rows} rows of X")
        kind = loss._row["target"]
        labels = kind == "c" or (kind == "p" and a.dtype.kind in "iu")
        if kind in "cp" and not labels and a.ndim == 1:
            raise TypeError(
                f"{name}: {type(loss).__name__} takes class indices of an integer dtype, or one row of probabilities a sample; "
                f"got {a.dtype} of shape {a.shape}"
            )
        allowed = [(), (1,)] if labels else [output, ()] if math.prod(output) == 1 else [output]
        if a.shape[1:] not in allowed:
            expected = " or ".join(str((rows, *shape)) for shape in allowed)
            raise ValueError(
                f"{name}: shape {a.shape} does not fit {type(loss).__name__} on output of shape {(rows, *output)}; expected {expected}"
            )
        _core.check_target(loss._criterion, graph.dtype, rows, math.prod(output), a, name)
        return a

    def _score(self, name: str, score: tuple[float, float, int, int, int], loss: Loss) -> dict[str, float]:
        total, divisor, values, correct, rows = score
        logs = {f"{name}loss": total / divisor if loss.reduction != "sum" else total}
        if loss._row["metric"] != "n":
            logs[f"{name}accuracy"] = correct / (values if loss._row["kind"] == "e" else rows)
        return logs

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        loss: str | Loss,
        optimizer: str | Optimizer = "adam",
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        shuffle: bool = True,
        callbacks: Iterable[Callback] = (),
        seed: int | None = None,
        verbose: bool | str = "auto",
    ) -> History:
        """Train: each epoch runs in C without the interpreter's lock.

        Parameters
        ----------
        X : array_like, shape (rows, ...), or iterable of (X, y)
            Samples; the first axis is the batch. Rows are gathered and converted batch by batch from where they are, without a
            copy of `X`: a memory map may be larger than memory, and bytes stay bytes until their turn. Without `y`, an iterable
            of batches, which each epoch goes through anew: a list, or an object whose ``__iter__`` starts over.
        y : array_like
            The loss's target: class indices (integers) of shape (rows,), or numbers like the output.
        loss : str or Loss
            A name of `pynn.losses`, or a loss. ``"cross_entropy"`` on a net that ends in Softmax, and ``"bce"`` on one that ends
            in Sigmoid, are computed at the logits, which is the same and stable.
        optimizer : str or Optimizer
            A name of `pynn.optim`, or an optimizer; one made without parameters is given this model's.
        epochs, batch_size : int
            How often to see all rows, and how many at a time. The last batch may be smaller; batches that come from an iterable
            are as large as they are.
        validation_data : (X, y), optional
            Scored after each epoch as ``val_loss`` and ``val_accuracy``.
        shuffle : bool
            Whether each epoch takes the rows in an order of its own, which ``seed`` decides.
        callbacks : iterable of callable
            Called after each epoch as ``callback(epoch, logs)``.
        seed : int, optional
            None draws a fresh one.
        verbose : bool or 'auto'
            A progress line on standard error; 'auto': if that is a terminal.

        Returns
        -------
        History
            ``.history["loss"]`` (the mean over the epoch, each batch before its update), ``"accuracy"`` where the loss has one,
            ``"seconds"``, and the validation's. It is also ``model.history``, which a KeyboardInterrupt leaves in place.

        Raises
        ------
        ValueError, TypeError
            If a shape, a dtype, a label or a name does not fit; nothing has been trained then.

        Warns
        -----
        RuntimeWarning
            In the first epoch whose loss is NaN.
        """
        _check_count("epochs", epochs, 0)
        _check_count("batch_size", batch_size, 1)
        criterion, fused = self._resolve_loss(loss)
        batches = None if y is not None else _Batches(X)
        data = self._data(X if batches is None else batches.first[0], "X")
        graph = self._graph(data, fused)
        target = None if y is None else self._target(y, len(data), graph, criterion, "y")
        validation = None
        if validation_data is not None:
            Xv = self._data(validation_data[0], "validation_data[0]")
            if Xv.shape[1:] != data.shape[1:]:
                raise ValueError(f"validation_data[0]: samples of shape {Xv.shape[1:]}, expected {data.shape[1:]} as in X")
            scorer = _core.Predictor(graph, _BLOCK)
            validation = scorer, Xv, self._target(validation_data[1], len(Xv), graph, criterion, "validation_data[1]")
        opt = optim.get(optimizer)
        if not opt.bound:
            opt.bind(self.parameters())
        strange = {p for group in opt.param_groups for p in group["params"]} - set(self.parameters())
        if strange:
            raise ValueError(f"optimizer: it updates {len(strange)} parameters that are not this model's; make it from model.parameters()")
        lock = self._enter()
        try:
            self._fitted = criterion, fused
            settings = _criteria(criterion), batch_size, shuffle, draw_seed(seed), opt.core_groups()
            run = _core.Fit(graph, None if batches is not None else data, target, *settings)
            run.step = opt.steps

            def epoch_score(epoch: int) -> tuple[float, float, int, int, int]:
                opt.begin_epoch(epoch if batches is None else 0)
                return run.epoch(epoch)[0] if batches is None else self._batches_score(batches, run, graph, criterion)

            self.history = hist = History()
            with _Progress(verbose, epochs) as progress:
                for epoch in range(epochs):
                    logs = self._epoch(run, epoch_score, epoch, opt, criterion, validation)
                    if math.isnan(logs["loss"]) and not any(map(math.isnan, hist.history.get("loss", []))):
                        warnings.warn(
                            f"the loss is NaN in epoch {epoch}: X holds NaN or infinity, or the learning rate is too high",
                            RuntimeWarning,
                            stacklevel=2,
                        )
                    hist.add(logs)
                    progress.show(epoch, logs)
                    for callback in callbacks:
                        callback(epoch, logs)
            return hist
        finally:
            lock.release()

    def _epoch(
        self,
        run: _core.Fit,
        score: Callable[[int], tuple[float, float, int, int, int]],
        epoch: int,
        opt: Optimizer,
        loss: Loss,
        validation: tuple[_core.Predictor, Array, Array] | None,
    ) -> dict[str, float]:
        start = time.perf_counter()
        try:
            logs = self._score("", score(epoch), loss)
        finally:
            opt.count_steps(run.step)
        logs["seconds"] = time.perf_counter() - start
        if validation is not None:
            scorer, Xv, yv = validation
            logs |= self._score("val_", scorer.score(Xv, yv, _criteria(loss))[0], loss)
        opt.end_epoch(logs)
        return logs

    def _batches_score(self, batches: _Batches, run: _core.Fit, graph: _core.Graph, loss: Loss) -> tuple[float, float, int, int, int]:
        scores = []
        for X, y in batches:
            data = self._data(X, "X")
            if not len(data):
                raise ValueError("X: a batch has no rows")
            scores.append(run.batch(data, self._target(y, len(data), graph, loss, "y"))[0])
        total, divisor, values, correct, rows = (sum(column) for column in zip(*scores, strict=True))
        return total, divisor, int(values), int(correct), int(rows)

    def evaluate(self, X: ArrayLike, y: ArrayLike, *, loss: str | Loss | None = None) -> dict[str, float]:
        """Return ``{"loss": ..., "accuracy": ...}`` on other data; ``loss`` defaults to that of the last ``fit``."""
        resolved = self._fitted if loss is None else self._resolve_loss(loss)
        if resolved is None:
            raise ValueError("loss: expected one, since this model has not been fitted")
        data, (criterion, fused) = self._data(X, "X"), resolved
        graph = self._graph(data, fused)
        target = self._target(y, len(data), graph, criterion, "y")
        if not len(data):
            raise ValueError("X: expected at least one row")
        lock = self._enter()
        try:
            score = _core.Predictor(graph, _BLOCK).score(data, target, _criteria(criterion))[0]
        finally:
            lock.release()
        return self._score("", score, criterion)

    # ---- prediction -----------------------------------------------------------------------------------------------
    def predict(self, X: ArrayLike, *, batch_size: int = 256) -> Array:
        """Return the last layer's output; nothing is kept for ``backward``.

        Blocks of ``batch_size`` rows are computed on all threads, so memory stays bounded whatever the number of rows; rows are
        converted block by block, from a memory map too.
        """
        lock = self._enter()
        try:
            if self._predictor is not None and batch_size == self._predictor_key[0]:  # type: ignore[index]
                out = self._predictor.quick(X)
                if out is not None:
                    return out  # type: ignore[no-any-return]
            return self._ready(X, batch_size)
        finally:
            lock.release()

    def _ready(self, X: ArrayLike, batch_size: int) -> Array:
        """Predict after all checks, and keep the predictor for the next call."""
        _check_count("batch_size", batch_size, 1)
        data = self._data(X, "X")
        key = batch_size, data.shape[1:], self._compute_dtype(data), _core.isa()
        if self._predictor is None or key != self._predictor_key:
            self._predictor = _core.Predictor(self._graph(data, False), batch_size)
            self._predictor_key = key
        return np.asarray(self._predictor.predict(data))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return probabilities: the output, through softmax or sigmoid where the net was fitted on logits."""
        out = self.predict(X)
        last = self._last_class()
        how = _PROBABILITIES.get(type(self._fitted[0]).__name__) if self._fitted else None
        if last in ("Softmax", "Sigmoid"):
            return out
        if last == "LogSoftmax" or how == "exp":
            return np.asarray(np.exp(out))
        if how is None:
            raise ValueError("predict_proba needs a net that ends in Softmax or Sigmoid, or was fitted with a classification loss")
        return np.asarray(activation_layers[how.lower()]()(out))

    def predict_class(self, X: ArrayLike) -> Array:
        """Return class indices: the largest output of each row, or for a single output whether its probability is over 1/2."""
        out = self.predict(X)
        if out.ndim != 2:
            raise ValueError(f"predict_class needs one row of outputs a sample, got shape {out.shape}")
        if out.shape[1] > 1:
            return np.asarray(out.argmax(axis=1))
        return (self.predict_proba(X)[:, 0] > 0.5).astype(np.intp)


_BLOCK = 256
"""Rows that validation computes at a time."""


def _criteria(loss: Loss) -> tuple[tuple[Any, float], ...]:
    """Return what the core needs to know of the loss of the one output."""
    return ((loss._criterion, 1.0),)


class _Batches:
    """Batches that can be gone through again and again, and the first of them."""

    def __init__(self, source: Any) -> None:
        if isinstance(source, np.ndarray) or not isinstance(source, Iterable):
            raise TypeError(f"y: expected a target, unless X is an iterable of batches (X, y); got X of type {type(source).__name__}")
        self.source = source
        self.ahead: Iterator[Any] | None = iter(source)
        first = next(self._checked(self.ahead), None)
        if first is None:
            raise ValueError("X: the iterable gave no batch")
        self.first: tuple[Any, Any] = first

    @staticmethod
    def _checked(batches: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        for batch in batches:
            if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                raise TypeError(f"X: without y, each batch must be a pair (X, y), got {type(batch).__name__}")
            yield batch[0], batch[1]

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
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


class _Progress:
    """One line on standard error that is written over, or nothing."""

    def __init__(self, verbose: bool | str, epochs: int) -> None:
        if verbose not in (True, False, "auto"):
            raise ValueError(f"verbose: expected True, False or 'auto', got {verbose!r}")
        self.on = sys.stderr is not None and sys.stderr.isatty() if verbose == "auto" else bool(verbose)
        self.epochs = epochs
        self.width = 0

    def __enter__(self) -> Self:
        return self

    def show(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the line of one epoch."""
        if self.on:
            line = f"epoch {epoch + 1}/{self.epochs}  " + "  ".join(f"{k} {v:.4f}" for k, v in logs.items())
            self.width = max(self.width, len(line))
            print(f"\r{line:<{self.width}}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.width:
            print(file=sys.stderr)
