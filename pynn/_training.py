"""The training loop that all nets share."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from . import _core, io, optim
from ._layer import Array, Builder, Layer, real_array
from ._loss import Loss
from ._objective import Objective, Scores
from ._optimizer import Optimizer
from ._random import draw_seed
from .activation_layers import by_name as activation_layers
from .layers import Linear

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


class Net(Layer, abstract=True):
    """A layer made of others, with a training loop that runs in C: the base of `Sequential` and `Model`."""

    def __init__(self) -> None:
        super().__init__()
        self._fitted: Objective | None = None
        self._lock = threading.RLock()
        self.history: History | None = None

    def _forget(self) -> None:
        super()._forget()
        self._predictor: _core.Predictor | None = None
        self._predictor_key: object = None

    def summary(self, shape: Sequence[int] | None = None) -> str:
        """Return a table of the layers: the shape of a sample's output, parameters, their bytes, and arithmetic for a sample.

        Parameters
        ----------
        shape : sequence of int, optional
            Of one sample; may be left out where the net knows it. Without it shapes and arithmetic stay unknown.

        Examples
        --------
        >>> import pynn
        >>> print(pynn.Sequential(pynn.Linear(4, 8), "relu", pynn.Linear(8, 3)).summary())
        layer                                           output  parameters  bytes  FLOP
        0      Linear(in_features=4, out_features=8, bias=True)  (8,)          40    160    64
        1      ReLU()                                            (8,)           0      0     -
        2      Linear(in_features=8, out_features=3, bias=True)  (3,)          27    108    48
        67 parameters, 67 of them trained, 268 bytes; 112 FLOP a sample
        """
        rows, end = self._table(shape)
        lines = [("layer", "", "output", "parameters", "bytes", "FLOP"), *rows]
        widths = [max(len(line[k]) for line in lines) for k in range(6)]
        table = ["  ".join(f"{text:{'<' if k < 3 else '>'}{widths[k]}}" for k, text in enumerate(line)).rstrip() for line in lines]
        return "\n".join([*table, end])

    def _table(self, shape: Sequence[int] | None) -> tuple[list[tuple[str, ...]], str]:
        """Return the cells of `summary`, and its last line."""
        shapes = [tuple(shape)] if shape is not None else self._input_shapes()
        outputs: dict[str, str] = {}
        flops: dict[str, float] = {}
        if shapes:
            builder = Builder(self.dtype or "float32", shapes)
            self._build(builder, "")
            outputs = {path: ", ".join(map(str, ends)) for path, ends in builder.made}
            for _, where, _, count, _ in _core.Plan(builder.finish(), 1, "predict").steps:
                flops[where] = flops.get(where, 0) + count
        rows: list[tuple[str, ...]] = []
        for name, layer in self._leaves():
            count, size = sum(p.data.size for p in layer.parameters()), sum(p.data.nbytes for p in layer.parameters())
            done = flops.get(f"layer {name} ({type(layer).__name__})"[:_WHERE], 0)
            rows.append((name, repr(layer), outputs.get(name, "?"), f"{count:,}", f"{size:,}", f"{done:,.0f}" if done else "-"))
        every = self.parameters()
        total, trained = sum(p.data.size for p in every), sum(p.data.size for p in every if p.requires_grad)
        end = f"{total:,} parameters, {trained:,} of them trained, {sum(p.data.nbytes for p in every):,} bytes"
        return rows, end + (f"; {sum(flops.values()):,.0f} FLOP a sample" if shapes else "")

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the table of `summary`."""
        rows, end = self._table(None)
        head = "".join(f"<th>{text}</th>" for text in ("layer", "", "output", "parameters", "bytes", "FLOP"))
        body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(type(self).__name__)}: {escape(end)}</p>"

    def apply_init(self, how: str = "auto", seed: int | None = None) -> Self:
        """Give linear and convolutional layers new initial values, and return the net.

        Parameters
        ----------
        how : str
            'auto': by the activation that follows, He's for the ReLU family, Xavier's with its gain for tanh and sigmoid, and where
            there is none, LeCun's for SELU, and zero biases. 'torch': as PyTorch starts them. Or a function of `pynn.init` without its
            underscore, such as 'orthogonal', with zero biases.
        seed : int, optional
            None draws a fresh one.

        Examples
        --------
        >>> import pynn
        >>> net = pynn.Sequential(pynn.Linear(100, 100), "relu").apply_init("auto", seed=0)
        >>> bool(abs(net[0].weight.std() - 0.1414) < 0.005)
        True
        """
        from .init import apply

        apply(self, how, seed)
        return self

    def plan_summary(self, shape: tuple[int, ...] | None = None, *, rows: int = 32, mode: str = "train") -> str:
        """Return a table of what the engine does for a batch: its steps, what is fused, arithmetic and memory.

        Parameters
        ----------
        shape : tuple of int, optional
            Of one sample; may be left out where the net knows it: a `Model`, or one that starts with a `Linear`.
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
        shapes = [shape] if shape is not None else self._input_shapes()
        if not shapes:
            raise ValueError("shape: expected the shape of one sample, which this model's first layer does not tell")
        _check_count("rows", rows, 1)
        builder = Builder(self.dtype or "float32", shapes)
        self._build(builder, "")
        plan = _core.Plan(builder.finish(), rows, mode)
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write architecture and state as a safetensors file, whole or not at all; `pynn.load` reads it, see `pynn.io.save`."""
        io.save(self, path)

    # ---- what a kind of net says of itself ------------------------------------------------------------------------
    _output_names: list[str] | None = None

    def _many_inputs(self) -> bool:
        """Tell whether data are tuples of arrays."""
        return False

    def _input_shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of one sample of each input, or nothing where the net does not know them."""
        first = next((layer for _, layer in self._leaves()), None)
        return [(first.in_features,)] if isinstance(first, Linear) else []

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

    def _objective(self, loss: Any, weights: Any, arrays: tuple[Array, ...]) -> Objective:
        """Return the losses, once it is known how many outputs there are for such arrays."""
        n = len(self._graph(arrays, frozenset()).output_shapes)
        tails = self._tails()
        return Objective(loss, weights, tails if len(tails) == n else [("", "")] * n, self._output_names)

    def _graph(self, arrays: tuple[Array, ...], skip: frozenset[str]) -> _core.Graph:
        builder = Builder(self._compute_dtype(*arrays), [a.shape[1:] for a in arrays])
        builder.skip = skip
        self._build(builder, "")
        return builder.finish()

    def _data(self, X: Any, name: str) -> tuple[Array, ...]:
        """Return the inputs as arrays of as many rows."""
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
                raise ValueError(f"{name}: inputs of {len(arrays[0])} and {len(a)} rows do not go together")
        return tuple(a if a.ndim > 1 else a.reshape(-1, 1) for a in arrays)

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        loss: str | Loss | Sequence[str | Loss] | Mapping[str, str | Loss],
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
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
        loss : str or Loss, or one for each output
            A name of `pynn.losses`, or a loss. ``"cross_entropy"`` on a net that ends in Softmax, and ``"bce"`` on one that ends
            in Sigmoid, are computed at the logits, which is the same and stable. For a net of several outputs a list, or a mapping
            by the outputs' names; `y` then is one too.
        loss_weights : sequence or mapping of float, optional
            How much each output's loss counts in their sum.
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
        batches = None if y is not None else _Batches(X)
        data = self._data(X if batches is None else batches.first[0], "X")
        objective = self._objective(loss, loss_weights, data)
        graph = self._graph(data, objective.skip)
        target = None if y is None else objective.targets(y, len(data[0]), graph, "y")
        validation = None
        if validation_data is not None:
            Xv = self._data(validation_data[0], "validation_data[0]")
            for a, b in zip(Xv, data, strict=True):
                if a.shape[1:] != b.shape[1:]:
                    raise ValueError(f"validation_data[0]: samples of shape {a.shape[1:]}, expected {b.shape[1:]} as in X")
            scorer = _core.Predictor(graph, _BLOCK)
            validation = scorer, _given(Xv), objective.targets(validation_data[1], len(Xv[0]), graph, "validation_data[1]")
        opt = optim.get(optimizer)
        if not opt.bound:
            opt.bind(self.parameters())
        strange = {p for group in opt.param_groups for p in group["params"]} - set(self.parameters())
        if strange:
            raise ValueError(f"optimizer: it updates {len(strange)} parameters that are not this model's; make it from model.parameters()")
        lock = self._enter()
        try:
            self._fitted = objective
            settings = objective.criteria, batch_size, shuffle, draw_seed(seed), opt.core_groups()
            run = _core.Fit(graph, None if batches is not None else _given(data), target, *settings)
            run.step = opt.steps

            def epoch_scores(epoch: int) -> Scores:
                opt.begin_epoch(epoch if batches is None else 0)
                return run.epoch(epoch) if batches is None else self._batches_scores(batches, run, graph, objective)

            self.history = hist = History()
            with _Progress(verbose, epochs) as progress:
                for epoch in range(epochs):
                    logs = self._epoch(run, epoch_scores, epoch, opt, objective, validation)
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
        scores: Callable[[int], Scores],
        epoch: int,
        opt: Optimizer,
        objective: Objective,
        validation: tuple[_core.Predictor, Any, Any] | None,
    ) -> dict[str, float]:
        start = time.perf_counter()
        try:
            logs = objective.logs("", scores(epoch))
        finally:
            opt.count_steps(run.step)
        logs["seconds"] = time.perf_counter() - start
        if validation is not None:
            scorer, Xv, yv = validation
            logs |= objective.logs("val_", scorer.score(Xv, yv, objective.criteria))
        opt.end_epoch(logs)
        return logs

    def _batches_scores(self, batches: _Batches, run: _core.Fit, graph: _core.Graph, objective: Objective) -> Scores:
        scores = []
        for X, y in batches:
            data = self._data(X, "X")
            if not len(data[0]):
                raise ValueError("X: a batch has no rows")
            scores.append(run.batch(_given(data), objective.targets(y, len(data[0]), graph, "y")))
        sums = (tuple(map(sum, zip(*output, strict=True))) for output in zip(*scores, strict=True))
        return [(total, divisor, int(values), int(correct), int(rows)) for total, divisor, values, correct, rows in sums]

    def evaluate(
        self,
        X: Any,
        y: Any,
        *,
        loss: str | Loss | Sequence[str | Loss] | Mapping[str, str | Loss] | None = None,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """Return ``{"loss": ..., "accuracy": ...}`` on other data; ``loss`` defaults to that of the last ``fit``."""
        data = self._data(X, "X")
        if loss is None and self._fitted is None:
            raise ValueError("loss: expected one, since this model has not been fitted")
        objective = self._fitted if loss is None and self._fitted else self._objective(loss, loss_weights, data)
        graph = self._graph(data, objective.skip)
        target = objective.targets(y, len(data[0]), graph, "y")
        if not len(data[0]):
            raise ValueError("X: expected at least one row")
        lock = self._enter()
        try:
            scores = _core.Predictor(graph, _BLOCK).score(_given(data), target, objective.criteria)
        finally:
            lock.release()
        return objective.logs("", scores)

    # ---- prediction -----------------------------------------------------------------------------------------------
    def predict(self, X: Any, *, batch_size: int = 256) -> Any:
        """Return the last layer's output, or a tuple of outputs; nothing is kept for ``backward``.

        Blocks of ``batch_size`` rows are computed on all threads, so memory stays bounded whatever the number of rows; rows are
        converted block by block, from a memory map too.
        """
        lock = self._enter()
        try:
            if self._predictor is not None and batch_size == self._predictor_key[0]:  # type: ignore[index]
                out = self._predictor.quick(X)
                if out is not None:
                    return out
            return self._ready(X, batch_size)
        finally:
            lock.release()

    def _ready(self, X: Any, batch_size: int) -> Any:
        """Predict after all checks, and keep the predictor for the next call."""
        _check_count("batch_size", batch_size, 1)
        data = self._data(X, "X")
        key = batch_size, tuple(a.shape[1:] for a in data), self._compute_dtype(*data), _core.isa()
        if self._predictor is None or key != self._predictor_key:
            self._predictor = _core.Predictor(self._graph(data, frozenset()), batch_size)
            self._predictor_key = key
        return self._predictor.predict(_given(data))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return probabilities: the output, through softmax or sigmoid where the net was fitted on logits."""
        out = self.predict(X)
        if isinstance(out, tuple):
            raise ValueError(f"predict_proba: this net has {len(out)} outputs; use predict")
        last = self._tails()[-1][1] if self._tails() else ""
        how = _PROBABILITIES.get(type(self._fitted.losses[0]).__name__) if self._fitted else None
        if last in ("Softmax", "Sigmoid"):
            return np.asarray(out)
        if last == "LogSoftmax" or how == "exp":
            return np.asarray(np.exp(out))
        if how is None:
            raise ValueError("predict_proba needs a net that ends in Softmax or Sigmoid, or was fitted with a classification loss")
        return np.asarray(activation_layers[how.lower()]()(out))

    def predict_class(self, X: ArrayLike) -> Array:
        """Return class indices: the largest output of each row, or for a single output whether its probability is over 1/2."""
        out = self.predict(X)
        if isinstance(out, tuple) or out.ndim != 2:
            got = f"{len(out)} outputs" if isinstance(out, tuple) else f"shape {out.shape}"
            raise ValueError(f"predict_class needs one row of outputs a sample, got {got}")
        if out.shape[1] > 1:
            return np.asarray(out.argmax(axis=1))
        return (self.predict_proba(X)[:, 0] > 0.5).astype(np.intp)


_WHERE = 47
"""Characters of a layer's name that the core keeps."""

_BLOCK = 256
"""Rows that validation computes at a time."""


def _given(arrays: tuple[Array, ...]) -> Any:
    """Return inputs as the core takes them: an array, or a tuple of several."""
    return arrays[0] if len(arrays) == 1 else arrays


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
