"""The training loop that all nets share."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .. import _core, io, optim
from .._arrays import Array, real_array
from .._graph import Builder, Parameter
from .._random import draw_seed
from .._tables import check_count
from ..callbacks import Callback, listed
from ..optim._base import Optimizer
from . import optimizer_file
from .checkpoint import Training, seed_of
from .divergence import Guard, check_step
from .events import Events
from .feed import Batches, Prepared, Validation, as_core, class_places, rows_of
from .find_lr import LRSweep, rates, sweep
from .health import Health, Watch, measure
from .history import History
from .loop import Loop, Setup, validated_epochs
from .objective import TRIED_ROWS, Head, Losses, Objective, OneLoss, Weights, checked_readings, losses_of, plain_losses
from .progress import Progress
from .rows import class_weights, combined, sample_weights, split
from .scale import Observed, scale_matters
from .summary import Described
from .turns import Parts, gates_of, turn

SampleWeight: TypeAlias = ArrayLike | Sequence[ArrayLike | None] | Mapping[Any, ArrayLike] | None
"""What `fit` takes as sample_weight."""

_Shapes: TypeAlias = tuple[Sequence[tuple[int, ...]], str]
"""Those of a sample of each input, and what has them."""

_OneCallback: TypeAlias = Callback | Callable[[int, dict[str, float]], Any]
Callbacks: TypeAlias = Iterable[_OneCallback] | _OneCallback | None
"""What `fit` takes as its callbacks."""


class _Ready(NamedTuple):
    """What predicts until the layers change: ``made_from`` is the net's token of their state."""

    batch_size: int
    made_from: object
    predictor: _core.Predictor
    key: Any


class Net(Described, abstract=True):
    """A layer made of others, with a training loop that runs in C: the base of `Sequential` and `Model`."""

    def __init__(self) -> None:
        super().__init__()
        self._fitted: Objective | None = None
        self._readings: list[int | None] = []
        self._goal: tuple[Any, Any] | None = None
        self.optimizer: Optimizer | None = None
        self._lost_optimizer: str | None = None
        self.stop_training = False
        self.classes_: Array | None = None
        self._trained_by: tuple[str, int] | None = None
        self.history: History | None = None
        self._watch: Watch | None = None
        self._health: Health | None = None

    __setattr__ = object.__setattr__  # type: ignore[assignment]  # none of a net's attributes is a setting

    def _drop_plans(self, seen: bool = True) -> None:
        super()._drop_plans(seen)
        self._kept_parts: Parts | None = None
        self._predictor: _Ready | None = None
        self._made_from = object()

    def apply_init(self, how: str | Callable[[Parameter], Any] = "auto", seed: int | None = None) -> Self:
        """Give linear and convolutional layers new initial values, and return the net.

        Parameters
        ----------
        how : str or callable
            'auto': by the activation that follows, He's for the ReLU family (what lets large numbers pass and small ones hardly), LeCun's
            for SELU, Xavier's for the rest, with tanh's gain, and where there is none; zero biases. 'torch': as PyTorch starts them.
            Or a function of `pynn.init` without its underscore, such as 'orthogonal', with zero biases. Or a function that is given
            each weight, as ``lambda w: pynn.init.sparse_(w, 0.9)``, and a ``seed=`` where it takes one, with zero biases.
        seed : int, optional
            None draws a fresh one.

        Examples
        --------
        >>> import pynn
        >>> net = pynn.Sequential(pynn.Linear(100, 100), "relu").apply_init("auto", seed=0)
        >>> bool(abs(net[0].weight.std() - 0.1414) < 0.005)
        True
        """
        from ..init import apply

        apply(self, how, seed)
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = {k: v for k, v in super().__getstate__().items() if k not in ("_predictor", "_made_from", "_kept_parts")}
        return state | {"_watch": None, "_trained_by": None}

    def save(self, path: str | os.PathLike[str], *, optimizer: bool = False) -> None:
        """Write architecture and state as a safetensors file, whole or not at all; `pynn.load` reads it, see `pynn.io.save`."""
        io.save(self, path, optimizer=optimizer)

    def _extra_state(self) -> dict[str, Any]:
        """Return what it was fitted for: the losses, how much each counts, the classes, and the optimizer."""
        loss, counts = self._goal if self._goal is not None else (None, None)
        plain, counts = plain_losses(loss), counts if self._fitted is None else self._fitted.weights
        fitted = {} if plain is None else {"loss": plain, "loss_weights": counts, "targets": self._known_readings()}
        fitted |= {} if self.classes_ is None else {"classes": self.classes_.tolist()}
        return {"fitted": fitted} | ({} if self.optimizer is None else {"optimizer": optimizer_file.describe(self.optimizer, self)})

    def _extra_arrays(self) -> dict[str, Array]:
        found = {} if self.optimizer is None else optimizer_file.arrays_of(self.optimizer)
        return {f"{io.OPTIMIZER}{name}": a for name, a in found.items()}

    def _load_extra(self, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        if "optimizer" in facts:
            state = {name.removeprefix(io.OPTIMIZER): a for name, a in arrays.items() if name.startswith(io.OPTIMIZER)}
            found = optimizer_file.build(facts["optimizer"], state, self)
            self.optimizer, self._lost_optimizer = (None, found) if isinstance(found, str) else (found, None)
        fitted = facts.get("fitted", {})
        if "loss" in fitted:
            counts = fitted["loss_weights"]
            self._goal = losses_of(fitted["loss"]), None if counts is None else [float(w) for w in counts]
            self._readings = checked_readings(fitted.get("targets", []))
        if "classes" in fitted:
            self.classes_ = np.unique(np.asarray(fitted["classes"]))
            if self.classes_.dtype.kind not in "biufU":
                raise ValueError("its classes are neither numbers nor text")

    def _last_optimizer(self, given: str | Optimizer | None) -> str | Optimizer:
        """Return the optimizer of a call that goes on with the training: the one given, or that of the call before.

        A name continues with the optimizer that an earlier call made from the same name.
        """
        last = self.optimizer
        if isinstance(given, str):
            fresh = optim.get(given)
            return last if last is not None and last.made_by_name and type(last) is type(fresh) else fresh
        if given is not None:
            return given
        if last is None and self._lost_optimizer is not None:
            text = f"optimizer: this model was trained with {self._lost_optimizer}, which its file could not hold; pass optimizer="
            raise ValueError(f"{text} to go on")
        if last is not None and last.lacks_state:
            text = f"this model was saved without the state of its optimizer: {last!r} goes on with empty averages and momentum"
            warnings.warn(f"{text}; model.save(path, optimizer=True) keeps them", UserWarning, stacklevel=3)
            last.lacks_state = False
        return "adam" if last is None else last

    def _warn_if_frozen(self, opt: Optimizer, what: str) -> None:
        if not any(p.requires_grad for group in opt.param_groups for p in group["params"]) and self.parameters():
            text = f"every parameter that {what} would train is frozen, so none will change; unfreeze() the model, or a part of it"
            warnings.warn(text, UserWarning, stacklevel=3)

    def _objective_of(self, X: Any) -> Objective | None:
        """Return what the net was last fitted for, also before it was saved; None of a net that never was."""
        if self._fitted is None and self._goal is not None:
            self._fitted = self._objective(*self._goal, self._data(X, "X"))
            self._fitted.take_readings(self._readings)
        return self._fitted

    def _objective_seen(self) -> Objective | None:
        """Return what the net was last fitted for, for samples of the shapes that it predicted last."""
        none = tuple(np.empty((0, *shape), self.dtype) for shape in self._seen)
        return self._objective_of(none if self._many_inputs() else none[0])

    def _known_readings(self) -> list[int | None]:
        return self._readings if self._fitted is None else self._fitted.readings

    # ---- what a kind of net says of itself ------------------------------------------------------------------------
    _output_names: list[str] | None = None

    def _many_inputs(self) -> bool:
        """Tell whether data are tuples of arrays."""
        return False

    def _scale_matters(self, inputs: int) -> list[bool]:
        """Return for each of so many inputs whether its scale matters to the first layers that read it."""
        return [bool(scale_matters(self))] * inputs

    # ---- training -------------------------------------------------------------------------------------------------
    def _objective(self, loss: Any, weights: Any, arrays: tuple[Array, ...], metrics: Any = None) -> Objective:
        """Return the losses, once it is known how many outputs there are for such arrays."""
        return self._objective_for(self._graph(arrays, frozenset()), loss, weights, metrics)

    def _objective_for(self, graph: _core.Graph, loss: Any, weights: Any, metrics: Any) -> Objective:
        shapes, tails = graph.output_shapes, self._output_layers()
        tails = tails if len(tails) == len(shapes) else [("", "")] * len(shapes)
        return Objective(loss, weights, tails, shapes, self._output_names, metrics)

    def _trainable(
        self, loss: Any, weights: Any, arrays: tuple[Array, ...], metrics: Any = None
    ) -> tuple[Objective, _core.Graph, dict[int, tuple[str, str]]]:
        """Return the losses, and the graph that trains on such arrays with the owners of its nodes."""
        graph, owners = self._built(arrays, frozenset())
        objective = self._objective_for(graph, loss, weights, metrics)
        if objective.skip:
            graph, owners = self._built(arrays, objective.skip)
        return objective, graph, owners

    def _graph(self, arrays: tuple[Array, ...], skip: frozenset[str]) -> _core.Graph:
        """Return a graph that predicts such arrays."""
        return self._built(arrays, skip, writes=False)[0]

    def _built(
        self, arrays: tuple[Array, ...], skip: frozenset[str], training: bool = True, writes: bool = True
    ) -> tuple[_core.Graph, dict[int, tuple[str, str]]]:
        """Return the graph for such arrays, and the name and class of the layer that each of its nodes belongs to."""
        builder = Builder(self._compute_dtype(*arrays), [a.shape[1:] for a in arrays], training=training, writes=writes)
        builder.skip = skip
        self._build(builder, "")
        self._seen = tuple(a.shape[1:] for a in arrays)
        return builder.finish(), builder.owners

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
        y: Any = None,
        *,
        loss: Losses,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        optimizer: str | Optimizer = "adam",
        epochs: int = 1,
        batch_size: int | None = None,
        steps_per_epoch: int | None = None,
        drop_last: bool = False,
        initial_epoch: int = 0,
        validation_data: Iterable[Any] | Callable[[], Iterable[Any]] | None = None,
        validation_split: float | None = None,
        validation_steps: int | None = None,
        validation_freq: int | Iterable[int] = 1,
        sample_weight: SampleWeight = None,
        class_weight: str | Mapping[int, float] | ArrayLike | None = None,
        metrics: Any = None,
        shuffle: bool = True,
        callbacks: Callbacks = None,
        seed: int | None = None,
        verbose: int | str = "auto",
        on_nan: str = "raise",
        health: bool = True,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train: each epoch runs in C without the interpreter's lock.

        Parameters
        ----------
        X : array_like, shape (rows, ...), or iterable of (X, y) or (X, y, sample_weight), or function that gives one
            Samples; the first axis is the batch. Rows are gathered and converted batch by batch from where they are, without a
            copy of `X`: a memory map may be larger than memory, and bytes stay bytes until their turn. Tables of pandas and polars
            keep their columns' order; names and indices do not matter. Without `y`, an iterable of batches, which each epoch goes
            through anew: a list, an object whose ``__iter__`` starts over, or a function that is called for a fresh one each epoch, such
            as a generator function.
        y : array_like
            The loss's target: class indices (integers) of shape (rows,), for outputs (classes, d1, ...) a sample of shape
            (rows, d1, ...); or numbers like the output; for a `FunctionLoss` any array of as many rows. Of a net of several outputs
            one for each loss, as a list, or a mapping with the keys of `loss`. None where the loss has no target: then a list or a tuple
            is `X` itself, and batches, which bring ``(X, None)``, come from another iterable or a function.
        loss : str, Loss or function, or one for each output
            A name of `pynn.losses`, a loss, or a function of yours, see `pynn.losses.FunctionLoss`. ``"cross_entropy"`` on a net that
            ends in Softmax, and ``"bce"`` on one that ends in Sigmoid, are computed at the logits, which is the same and stable. For a
            net of several outputs a list, or a mapping by the outputs' names. A loss of several inputs takes as many outputs, in the
            order of its call: the next ones of the list, or those of a tuple of names, as in ``{("mean", "var"): "gaussian_nll",
            "class": "cross_entropy"}``.
        loss_weights : sequence or mapping of float, optional
            How much each loss counts in their sum.
        optimizer : str or Optimizer
            A name of `pynn.optim`, or an optimizer; one made without parameters is given this model's.
        epochs : int
            How often to see all rows; with ``initial_epoch`` the number at which to end.
        batch_size : int, optional
            How many rows at a time; None: 32, or with an optimizer that asks for the loss within its step, such as L-BFGS, all. The
            last batch may be smaller; batches that come from an iterable are as large as they are.
        steps_per_epoch : int, optional
            Ends an epoch after so many batches of an iterable, which may be endless then: the next epoch goes on where this one ended. An
            iterable that ends within an epoch begins anew.
        drop_last : bool
            Whether to leave out the last batch of an epoch where it is smaller than the others. With ``shuffle`` other rows are left out
            in each epoch.
        initial_epoch : int
            The number of the first epoch, to continue an earlier training: ``epochs=5, initial_epoch=3`` trains two epochs, and
            callbacks get 3 and 4. It decides, with ``seed``, the order of the rows.
        validation_data : (X, y) or (X, y, sample_weight), or batches of those, optional
            Scored after each epoch as ``val_loss`` and ``val_accuracy``. Batches as for `X`: a list of tuples, another iterable that
            can be gone through again, or a function that gives one. A tuple is one pair or triple of arrays.
        validation_split : float, optional
            The share of rows to validate on instead, between 0 and 1: drawn by ``seed``, of each class the same share where `y`
            are the classes of one output. With ``shuffle=False`` the last rows, so that no later row of a series is trained on. Both
            parts are copies.
        validation_steps : int, optional
            Score only the first so many batches of an iterable, which may be endless then.
        validation_freq : int or iterable of int
            Validate after every so many epochs, or after the epochs with these numbers, counted from 1. Epochs without validation
            report no ``val_`` numbers; the lists in the history are shorter then.
        sample_weight : array_like, shape (rows,), or like the loss's values; or one for each loss, optional
            How much each row's loss counts, or each value of it: each element for losses such as mse, each position for classes of
            shape (rows, d1, ...). A mean divides by the sum of the weights in a batch, of their magnitudes if some are negative, which
            push away from their targets. For several losses a list, or a mapping with the keys of `loss`, of which some may be left
            out, or an array for all. Metrics and accuracy count every
            row alike.
        class_weight : 'balanced', mapping or array_like, optional
            How much each class counts, on top of ``sample_weight``, in training alone: a number a class, or some of them (the
            others 1). 'balanced' makes all classes that occur count as much: ``rows / (classes * rows of the class)``.
        metrics : list of str and callables, or mapping of names to those, optional
            Names of `pynn.metrics` (``"top_3_accuracy"`` too), which see classes or probabilities, as `predict_proba` gives them,
            where they need them; or functions of ``(y_true, y_pred)`` that get the targets and what `predict` gives. One named
            "accuracy" takes the place of the loss's accuracy: ``{"accuracy": "binary_accuracy"}``. Targets of 0 and 1 in several columns
            are one-hot classes if each row of the whole has exactly one 1, and multi-label otherwise: see `pynn.metrics`. For several
            outputs a list of such lists, or a mapping by the outputs' names. For training data they see what the net predicted for
            each row before the step on its batch, as the loss does; that takes room for one output a row.
        shuffle : bool
            Whether each epoch takes the rows in an order of its own, which ``seed`` decides.
        callbacks : Callback or callable, or iterable of those, optional
            See `pynn.callbacks`; plain functions are called after each epoch as ``callback(epoch, logs)``.
        seed : int, optional
            None draws a fresh one.
        verbose : bool, 2 or 'auto'
            Progress on standard error. True: a bar where tqdm is installed, else one line that is written over; where that is no terminal
            or notebook, such as a log file, a line an epoch. 2: a line an epoch anywhere. 'auto': as True in a terminal or a notebook, else
            nothing.
        on_nan : {'raise', 'ignore'}
            What a loss or parameter that is not finite does: the training ends at that step with a `DivergenceError`, and the
            weights of the last good epoch are put back, of which a copy is kept; or it goes on, with one warning.
        health : bool
            Whether to keep what `health` reports, for about 1 % of the time.
        resume_from : str or path, optional
            A file that a `pynn.Checkpoint` among the callbacks of the same call wrote: go on from there, up to ``epochs`` in all.

        Returns
        -------
        History
            ``.history["loss"]`` (the mean over the epoch, each batch before its update), ``"accuracy"`` where the loss has one,
            ``"seconds"``, the metrics, and the validation's. It is also ``model.history``, which a KeyboardInterrupt leaves in
            place, as it does what the model has learnt.

        Raises
        ------
        ValueError, TypeError
            If a shape, a dtype, a label or a name does not fit; nothing has been trained then.
        RuntimeError
            If the model is being trained already, by another thread or by the `fit` that called the caller, or another thread trains a
            model that shares layers with this one.
        DivergenceError
            If the loss, a gradient or a parameter is no longer finite; it says which layer, step and row came first.

        Notes
        -----
        The model is trained in training mode, whatever `eval` set before; a layer of a model in training mode that was set to
        evaluation mode by itself stays in it. When `fit` ends, also by an exception, each layer has the mode that it had before.

        Warns
        -----
        UserWarning
            If all parameters are frozen.
        RuntimeWarning
            With ``on_nan="ignore"`` in the first epoch whose loss is NaN.
        """
        check_count("epochs", epochs, 0)
        check_count("initial_epoch", initial_epoch, 0)
        if initial_epoch > epochs:
            raise ValueError(f"initial_epoch: expected at most epochs = {epochs}, the number at which to end, got {initial_epoch}")
        if initial_epoch and resume_from is not None:
            raise ValueError("initial_epoch: resume_from continues at the epoch of its file; give one of them")
        scored = validated_epochs(validation_freq, range(initial_epoch, epochs))
        watching, guard, progress = listed(callbacks), Guard(self, on_nan), Progress(verbose, epochs, initial_epoch)
        with turn(self, "fit") as mine:
            weights = {"sample_weight": sample_weight, "class_weight": class_weight}
            given = {"validation_split": validation_split, "drop_last": drop_last or None, **weights}
            batches = _batches(X, y, loss, epochs - initial_epoch, steps_per_epoch, **given)
            if validation_data is not None and validation_split is not None:
                raise ValueError("validation_split: give it or validation_data, not both")
            data = self._data(X if batches is None else batches.first[0], "X")
            objective, graph, owners = self._trainable(loss, loss_weights, data, metrics)
            rows = len(data[0])
            target = objective.targets(y, rows, graph, "y") if batches is None else None
            if batches is None:
                objective.remember(target)
            seed = draw_seed(seed) if resume_from is None else seed_of(resume_from, seed)
            shapes = graph.output_shapes
            weight = sample_weights(sample_weight, rows, objective, shapes, "sample_weight")
            validation, train = None, None
            if validation_split is not None:
                train, held = split(validation_split, rows, target, objective.losses, seed, shuffle)
                part = rows_of(data, held), rows_of(target, held), rows_of(weight, held)
                validation = Validation(graph, objective, lambda: [part], False)
                data, target, weight = rows_of(data, train), rows_of(target, train), rows_of(weight, train)
            elif validation_data is not None:
                validation = self._validation(validation_data, data, graph, objective, len(scored), validation_steps)
            if validation_steps is not None and (validation is None or not validation.many):
                raise ValueError("validation_steps: is for validation_data that are batches from an iterable; arrays are scored as a whole")
            if validation is None and validation_freq != 1:
                raise ValueError("validation_freq: needs validation_data or validation_split")
            if batches is None:
                classes = class_weights(class_weight, target, objective.losses, math.prod(shapes[0]))
                weight = sample_weights(combined(weight, classes), len(data[0]), objective, shapes, "sample_weight and class_weight")
            if objective.measures and len(data[0]):
                seen = target if batches is None else objective.targets(batches.first[1], len(data[0]), graph, "y of batch 0")
                objective.try_metrics(_core.Predictor(graph, 1).predict(as_core(rows_of(data, slice(TRIED_ROWS)))), seen, len(data[0]))
            observed = None
            if health:
                seen = target if batches is None else objective.targets(batches.first[1], len(data[0]), graph, "y of batch 0")
                observed = Observed(self, data, seen, objective)
            opt = self._optimizer(optimizer)
            self._warn_if_frozen(opt, "fit")
            batch_size = _batch_size(batch_size, opt, len(data[0]))
            if drop_last and 0 < len(data[0]) < batch_size:
                raise ValueError(f"drop_last: {len(data[0])} rows make no batch of batch_size = {batch_size}, so none would be trained on")
            count = len(data[0]) if batches is None else None
            facts = {"rows": count, "batch_size": batch_size, "shuffle": shuffle, "loss": objective.describe()}
            facts |= {"steps_per_epoch": steps_per_epoch, "drop_last": bool(drop_last)}
            training = Training(self, opt, watching, seed, facts, resume_from, whole_epochs=batches is not None or objective.measures)
            graph = graph if resume_from is None else self._built(data, objective.skip)[0]  # layers' seeds are those of the file
            if batches is not None:
                batches.leave_out(training.epoch)
            left = range(initial_epoch if resume_from is None else training.epoch, epochs)
            goal = loss, loss_weights, metrics
            setup = Setup(
                data, target, weight, train, batches, goal, batch_size, shuffle, seed, bool(drop_last), on_nan == "raise", observed
            )
            before = self._fitted, self.optimizer, self._watch
            try:
                loop = Loop(
                    self,
                    setup,
                    objective,
                    graph,
                    owners,
                    optimizer=opt,
                    validation=validation,
                    training=training,
                    guard=guard,
                    scored=scored,
                    mine=mine,
                )
                loop.check()
            except BaseException:
                self._fitted, self.optimizer, self._watch = before
                raise
            self._goal, self.stop_training = (loss, loss_weights), False
            self.history, self._health = training.history, training.health
            if resume_from is None:
                self.history.first = initial_epoch
            if not left:
                self._watch = None
            try:
                loop.train(left, progress)
                return self.history
            finally:
                if self._watch is not None:
                    self._health, self._watch = self._watch.report(), None

    def _optimizer(self, given: str | Optimizer) -> Optimizer:
        """Return an optimizer of this net's parameters."""
        opt = optim.get(given)
        if not opt.bound:
            opt.bind(self.parameters())
        opt.follow()
        invalid = {p for group in opt.param_groups for p in group["params"]} - set(self.parameters())
        if invalid:
            raise ValueError(f"optimizer: it updates {len(invalid)} parameters that are not this model's; make it from model.parameters()")
        late = self._late(opt)
        if late:
            names = ", ".join(late[:4]) + (f" and {len(late) - 4} more" if len(late) > 4 else "")
            raise ValueError(
                f"optimizer: it would not train {names}, added or unfrozen after it was made from a list of parameters; "
                "opt.add_param_group({'params': [...]}) adds them, freeze() keeps them as they are, and an optimizer made from "
                "model.parameters() trains whatever is added later"
            )
        return opt

    def _late(self, opt: Optimizer) -> list[str]:
        """Return the names of parameters that an optimizer leaves out, but was made too early to leave out on purpose."""
        trained = {p for group in opt.param_groups for p in group["params"]}
        if not any(p.requires_grad and p not in trained for p in self.parameters()):
            return []
        left = {p: name for name, p in self.named_parameters() if p.requires_grad and p not in trained}
        joined = {p for layer in self.modules() if layer._since > opt._since for p in layer.parameters()}
        return [name for p, name in left.items() if p in joined or p._since > opt._since]

    def _validation(
        self, given: Any, data: tuple[Array, ...], graph: _core.Graph, objective: Objective, times: int, steps: int | None
    ) -> Validation:
        if steps is not None:
            check_count("validation_steps", steps, 1)
        like = [a.shape[1:] for a in data], "X"
        if _is_data(given, self._many_inputs()):
            names = "validation_data[0]", "validation_data[1]", "validation_data[2]"
            part = self._checked((*given, None)[:3], names, like, graph, objective)
            return Validation(graph, objective, lambda: [part], False)
        if isinstance(given, tuple) or not Batches.are(given):
            got = type(given).__name__ + (f" of {len(given)}" if isinstance(given, tuple) else "")
            raise TypeError(f"validation_data: expected (X, y) or (X, y, sample_weight), or batches of those, got {got}")
        batches = Batches(given, "validation_data", times, most=steps)
        return Validation(graph, objective, lambda: self._prepared(batches, like, graph, objective, "validation_data: "), True)

    def _checked(
        self, rows: Sequence[Any], names: Sequence[str], like: _Shapes, graph: _core.Graph, objective: Objective, *, may_be_0: bool = False
    ) -> Prepared:
        """Check inputs, targets and weights, for samples of such shapes as something else has."""
        data = self._data(rows[0], names[0])
        for a, shape in zip(data, like[0], strict=True):
            if a.shape[1:] != shape:
                raise ValueError(f"{names[0]}: samples of shape {a.shape[1:]}, expected {shape} as in {like[1]}")
        target = objective.targets(rows[1], len(data[0]), graph, names[1])
        return data, target, sample_weights(rows[2], len(data[0]), objective, graph.output_shapes, names[2], may_be_0=may_be_0)

    def _prepared(
        self, batches: Batches, like: _Shapes, graph: _core.Graph, objective: Objective, before: str = ""
    ) -> Iterator[Prepared]:
        """Go through batches once, checked."""
        for number, batch in enumerate(batches):
            names = [f"{before}{what} of batch {number}" for what in ("X", "y", "sample_weight")]
            prepared = self._checked(batch, names, like, graph, objective, may_be_0=True)
            if not len(prepared[0][0]):
                raise ValueError(f"{names[0]}: expected at least one row, it has no rows")
            yield prepared

    def _taken(
        self, X: Any, y: Any, loss: Any, loss_weights: Any, sample_weight: Any, class_weight: Any
    ) -> tuple[tuple[Array, ...], Objective, _core.Graph, dict[int, tuple[str, str]], Any, Weights]:
        """Check rows to train on; return them, and what is made of the rest."""
        data = self._data(X, "X")
        objective, graph, owners = self._trainable(loss, loss_weights, data)
        rows = len(data[0])
        if not rows:
            raise ValueError("X: expected at least one row")
        target = objective.targets(y, rows, graph, "y")
        shapes = graph.output_shapes
        weight = sample_weights(sample_weight, rows, objective, shapes, "sample_weight")
        classes = class_weights(class_weight, target, objective.losses, math.prod(shapes[0]))
        weight = sample_weights(combined(weight, classes), rows, objective, shapes, "sample_weight and class_weight")
        return data, objective, graph, owners, target, objective.core_weights(weight, graph.dtype)[0]

    def find_lr(
        self,
        X: Any,
        y: Any,
        *,
        loss: Losses,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        optimizer: str | Optimizer = "adam",
        lr_min: float = 1e-7,
        lr_max: float = 10.0,
        steps: int = 100,
        batch_size: int | None = None,
        sample_weight: SampleWeight = None,
        class_weight: str | Mapping[int, float] | ArrayLike | None = None,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> LRSweep:
        """Find a learning rate: train a few steps while the rate grows from ``lr_min`` to ``lr_max``, and look at the loss.

        The rate grows by the same factor each step; the sweep ends early where a running mean of the loss is four times its least, or a
        loss is not finite. Then the net has its weights and states back; the optimizer is not touched, a copy of it takes the steps.

        Parameters
        ----------
        X, y, loss, loss_weights, optimizer, batch_size, sample_weight, class_weight, shuffle, seed
            As in `fit`. Schedules of the optimizer rest; groups with rates of their own keep their ratio to the first.
        lr_min, lr_max : float
            The first rate and the last.
        steps : int
            How many steps from one to the other, over as many epochs as that takes.

        Returns
        -------
        LRSweep
            ``.lr`` and ``.loss``, a number a step; ``.suggestion``, the rate at which the loss falls most steeply, which is one to start
            from and not the best there is; ``.plot()``.

        Raises
        ------
        ValueError, TypeError
            As `fit`, or if a rate is not over 0, ``lr_min`` not below ``lr_max``, or ``steps`` less than 2.
        DivergenceError
            If `X` holds NaN or infinity.

        References
        ----------
        Smith, L. N. (2017). Cyclical learning rates for training neural networks. WACV.

        Examples
        --------
        >>> import pynn
        >>> X, y = pynn.datasets.load_digits()
        >>> model = pynn.Sequential(pynn.Linear(64, 32, seed=0), "relu", pynn.Linear(32, 10, seed=1))
        >>> found = model.find_lr(X / 16, y, loss="cross_entropy", seed=0)
        >>> 1e-3 < found.suggestion < 1e-1
        True
        """
        sweep_rates = rates(lr_min, lr_max, steps)
        with turn(self, "find_lr"):
            data, objective, graph, owners, target, weight = self._taken(X, y, loss, loss_weights, sample_weight, class_weight)
            opt = self._optimizer(optim.get(optimizer)._copy())
            batch_size = _batch_size(batch_size, opt, len(data[0]))
            run_seed, batches = draw_seed(seed), -(-len(data[0]) // batch_size)
            state = self.state_dict()
            try:
                updates = opt.core_groups(), weight, True, False, opt.core_solver()
                run = _core.Fit(graph, as_core(data), target, objective.criteria, batch_size, shuffle, run_seed, *updates)

                def step(i: int, rate: float) -> float:
                    opt.set_rate(rate)
                    opt.begin_epoch()
                    logs = objective.logs("", run.epoch(i // batches, i % batches, 1))
                    if run.origin is not None and run.origin[0] == "input":  # no rate's fault
                        check_step(self, run, logs, owners, data)
                    return logs["loss"]

                return sweep(sweep_rates, step)
            finally:
                self.load_state_dict(state)

    def train_on_batch(
        self,
        X: Any,
        y: Any,
        *,
        loss: Losses | None = None,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        optimizer: str | Optimizer | None = None,
        sample_weight: SampleWeight = None,
        class_weight: str | Mapping[int, float] | ArrayLike | None = None,
    ) -> dict[str, float]:
        """Take one step on these rows, all together, and return the loss before it, and the accuracy where the loss has one.

        Parameters
        ----------
        X, y, loss, loss_weights, optimizer, sample_weight, class_weight
            As in `fit`. A loss or an optimizer that is left out is that of the call before, or of the last `fit`; the first optimizer is
            Adam. A name of an optimizer continues with the optimizer that an earlier call made from that name.

        Raises
        ------
        DivergenceError
            If the loss is not finite; the weights are as they were.

        Notes
        -----
        Schedules that go by steps move, those that go by epochs do not.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
        >>> losses = [model.train_on_batch(np.eye(2), np.ones(2), loss="mse")["loss"] for _ in range(3)]
        >>> losses[2] < losses[0]
        True
        """
        loss, loss_weights = self._continued(loss, loss_weights)
        with turn(self, "train_on_batch"):
            data, objective, graph, owners, target, weight = self._taken(X, y, loss, loss_weights, sample_weight, class_weight)
            opt = self._optimizer(self._last_optimizer(optimizer))
            self._warn_if_frozen(opt, "train_on_batch")
            objective.remember(target)
            objective.go_on(self._fitted)
            self._fitted, self._goal, self.optimizer = objective, (loss, loss_weights), opt
            run = _core.Fit(graph, None, None, objective.criteria, 1, False, 0, opt.core_groups(), None, True, False, opt.core_solver())
            run.step = opt.steps
            logs = objective.logs("", run.batch(as_core(data), target, weight))
            opt.count_steps(run.step)
        check_step(self, run, logs, owners, data)
        return logs

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        *,
        loss: OneLoss | None = None,
        optimizer: str | Optimizer | None = None,
        batch_size: int | None = None,
        sample_weight: SampleWeight = None,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> Self:
        """Train one epoch more on these rows, going on with the optimizer of the call before.

        A copy of the model, by pickle or `copy.deepcopy`, goes on with a copy of the optimizer and its state. A file holds the optimizer's
        settings, and its state if the model was saved with ``optimizer=True``.

        Parameters
        ----------
        X, y, batch_size, sample_weight, shuffle, seed
            As in `fit`.
        optimizer : str or Optimizer, optional
            As in `fit`. None: that of the call before, at first Adam. A name continues with the optimizer that an earlier call made
            from that name.
        classes : array_like, optional
            All labels that will ever come, at the first call, numbers or text, as in scikit-learn; ``y`` then holds labels, and
            ``model.classes_[model.predict_class(X)]`` gives them back. Without it ``y`` is as in `fit`.
        loss : str or Loss, optional
            As in `fit`; with ``classes`` it may be left out: cross entropy, or for a single output binary cross entropy.

        Returns
        -------
        Self
            The model itself.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> model = pynn.Sequential(pynn.Linear(2, 3, seed=0))
        >>> model.partial_fit(np.eye(2), ["b", "c"], classes=["a", "b", "c"], seed=0).classes_.tolist()
        ['a', 'b', 'c']
        """
        if classes is not None:
            found = np.unique(np.asarray(classes))
            if self.classes_ is not None and not np.array_equal(found, self.classes_):
                raise ValueError(f"classes: {found.tolist()} differ from those of the first call, {self.classes_.tolist()}")
            width = math.prod(self._graph(self._data(X, "X"), frozenset()).output_shapes[0])
            if len(found) != max(width, 2):
                raise ValueError(f"classes: {len(found)} of them do not go with a net of {width} output{'s' * (width != 1)}")
            self.classes_ = found
            if loss is None and self._goal is None:
                last = self._output_layers()[-1][1] if self._output_layers() else ""
                loss = "cross_entropy" if width > 1 else "bce" if last == "Sigmoid" else "bce_with_logits"
        goal, loss_weights = self._continued(loss, None)
        if self.classes_ is not None:
            y = class_places(y, self.classes_)
        before = self._fitted
        self.fit(
            X,
            y,
            loss=goal,
            loss_weights=loss_weights,
            optimizer=self._last_optimizer(optimizer),
            batch_size=batch_size,
            sample_weight=sample_weight,
            shuffle=shuffle,
            seed=seed,
            verbose=False,
        )
        if self._fitted is not None:
            self._fitted.go_on(before)
        return self

    def _watched_by(self, callbacks: Callbacks) -> list[Callback]:
        """Return the callbacks of an evaluation, which see this model."""
        found = listed(callbacks)
        for callback in found:
            callback.model = self
        return found

    def _continued(self, loss: Any, loss_weights: Any) -> tuple[Any, Any]:
        """Return the loss given, or that of the last training."""
        if loss is not None:
            return loss, loss_weights
        if self._goal is None:
            raise ValueError("loss: expected one, since this model has not been fitted")
        return self._goal[0], self._goal[1] if loss_weights is None else loss_weights

    def evaluate(
        self,
        X: Any,
        y: Any = None,
        *,
        loss: Losses | None = None,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        sample_weight: SampleWeight = None,
        metrics: Any = None,
        callbacks: Callbacks = None,
    ) -> dict[str, float]:
        """Return ``{"loss": ..., "accuracy": ...}`` on other data; ``loss`` and ``metrics`` default to those of the last ``fit``.

        Without `y`, `X` is an iterable of batches, or a function that gives one, as in `fit`; they are gone through once. Of `callbacks`
        the methods ``on_test_begin``, ``on_test_end``, ``on_test_batch_begin`` and ``on_test_batch_end`` are called.
        """
        events = Events(self._watched_by(callbacks))
        batches = _batches(X, y, self._continued(loss, None)[0], 1, None, sample_weight=sample_weight)
        first = X if batches is None else batches.first[0]
        data = self._data(first, "X")
        objective = self._objective_of(first) if loss is None else self._objective(loss, loss_weights, data)
        assert objective is not None
        objective.go_on(self._fitted)
        if metrics is not None:
            objective = objective.measuring(metrics)
        graph, like = self._graph(data, objective.skip), ([a.shape[1:] for a in data], "the first batch")
        if batches is None:
            whole = self._checked((X, y, sample_weight), ("X", "y", "sample_weight"), like, graph, objective)
            validation = Validation(graph, objective, lambda: [whole], False)
        else:
            validation = Validation(graph, objective, lambda: self._prepared(batches, like, graph, objective), True)
        if not len(data[0]):
            raise ValueError("X: expected at least one row")
        return validation.logs("", events)

    def health(self, X: Any = None, y: Any = None, *, loss: Any = None, batch_size: int = 256) -> Health:
        """Return a table of how the layers are, with advice in words: as the last epoch of ``fit`` saw them, or on given data.

        Parameters
        ----------
        X, y : array_like, optional
            Data to look at, for this call alone, as `predict` sees them: layers that only train otherwise, such as Dropout, rest. With
            ``y`` gradients are looked at too, batch by batch. Nothing is learnt.
        loss : str or Loss, optional
            Of ``y``; default: that of the last ``fit``.
        batch_size : int
            Rows at a time.

        Returns
        -------
        Health
            For each layer: dead and saturated units, mean and spread of the outputs, the length of the gradient and how much a step
            changes the parameters. ``fit`` looks at every step for dead units, and at some steps for the rest, as many as take about
            1 % of its time.

        Raises
        ------
        ValueError
            If there is nothing to report: the model has not been fitted, or with ``health=False``.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> model = pynn.Sequential(pynn.Linear(1, 10, seed=0), "relu", pynn.Linear(10, 1, seed=1))
        >>> model[0].bias[:6] = -100
        >>> hist = model.fit(X, X**2, loss="mse", epochs=3, seed=0)
        >>> model.health()["1"].dead
        0.6
        >>> print(*model.health().advice)
        problem: layer 1: 60 % of ReLU units never fired in the last epoch; use LeakyReLU or GELU, or restart with a lower learning rate
        """
        if X is not None:
            return self._measured(X, y, loss, batch_size)
        if y is not None:
            raise ValueError("X: expected data, since y was given")
        found = self._watch.report() if self._watch is not None else self._health
        if found is None:
            raise ValueError("health: this model has not been fitted, or with health=False; give data to look at them: model.health(X, y)")
        return found

    def _measured(self, X: Any, y: Any, loss: Any, batch_size: int) -> Health:
        check_count("batch_size", batch_size, 1)
        data = self._data(X, "X")
        if not len(data[0]):
            raise ValueError("X: expected at least one row")
        objective = None if y is None else self._objective(loss, None, data) if loss is not None else self._objective_of(X)
        if y is not None and objective is None:
            raise ValueError("loss: expected one, since this model has not been fitted")
        graph, owners = self._built(data, objective.skip if objective else frozenset(), training=False)
        target = objective.targets(y, len(data[0]), graph, "y") if objective else None
        claim = _core.Claim(gates_of(self).values())
        try:
            criteria, groups = (objective.criteria, optim.SGD(self.parameters()).core_groups()) if objective else ((), [])
            run = _core.Fit(graph, as_core(data), target, criteria, batch_size, False, 0, groups, None, False, True)
            return measure(run, owners, Observed(self, data, target, objective))
        finally:
            claim.release()

    # ---- prediction -----------------------------------------------------------------------------------------------
    def predict(self, X: Any, *, batch_size: int = 256) -> Any:
        """Return the last layer's output, a tuple of outputs, or of named outputs a dict; nothing is kept for ``backward``.

        Blocks of ``batch_size`` rows are computed on all threads, so memory stays bounded whatever the number of rows; rows are
        converted block by block, from a memory map too. `X` may also be an iterable of batches ``X`` or ``(X, y)``, as in `fit`.

        Any number of threads may predict with one model, also while another thread trains it: a call waits for the step that is running,
        sees the parameters after it, and holds up the next step until it returns. Nets with a layer written in Python take turns.
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
        """Return a dict of outputs where they have names."""
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
        """Predict batches of an iterable, and join them; of a batch (X, y) only X counts."""
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

    def _heads(self, X: Any) -> list[Head]:
        """Predict, and return each output with what is known of it."""
        found = self.predict(X)
        outs = [*found.values()] if isinstance(found, dict) else [*found] if isinstance(found, tuple) else [found]
        tails, objective = self._output_layers(), self._objective_seen()
        lasts = [last for _, last in tails] if len(tails) == len(outs) else ["" if len(outs) > 1 or not tails else tails[-1][1]] * len(outs)
        heads = []
        for k, (out, last) in enumerate(zip(outs, lasts, strict=True)):
            at = objective.takes.index((k,)) if objective is not None and (k,) in objective.takes else None
            loss, reading = (None, None) if objective is None or at is None else (objective.losses[at], objective.readings[at])
            heads.append(Head(np.asarray(out), last, loss, reading, objective is not None))
        return heads

    def _answers(self, X: Any, what: str, one: Callable[[Head], Array | None]) -> Any:
        """Return something of an output, or by name of those outputs that have it."""
        heads = self._heads(X)
        if self._output_names is None and len(heads) > 1:
            raise ValueError(f"{what} needs one row of outputs a sample, got {len(heads)} outputs; name them in Model, or use predict")
        if self._output_names is None:
            found = one(heads[0])
            assert found is not None
            return found
        named = {name: one(head) for name, head in zip(self._output_names, heads, strict=True) if len(heads) == 1 or head.classifies}
        if not named:
            raise ValueError(f"{what}: none of the outputs {', '.join(self._output_names)} is of classes; use predict")
        return named

    def predict_proba(self, X: Any) -> Any:
        """Return probabilities: the output, through softmax or sigmoid where the net was fitted on logits.

        Of named outputs a dict of those that are of classes.
        """
        return self._answers(X, "predict_proba", Head.probabilities)

    def predict_class(self, X: Any, *, multilabel: bool | None = None) -> Any:
        """Return class indices, or for a multi-label net 0 and 1 for each label.

        Parameters
        ----------
        X : array_like, or batches
            As in `predict`.
        multilabel : bool, optional
            True: 0 and 1 for each column, an array (rows, labels): whether its probability is over 1/2. False: the class whose output is
            largest, or for a single output whether its probability is over 1/2. None: True if the net was trained on targets of 0 and 1
            in several columns of which some row has not exactly one 1, see `pynn.metrics`.

        Returns
        -------
        ndarray or dict
            Of named outputs a dict of those that are of classes.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> X, y = np.eye(3), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
        >>> model = pynn.Sequential(pynn.Linear(3, 3, seed=0))
        >>> hist = model.fit(X, y, loss="bce_with_logits", optimizer=pynn.optim.Adam(lr=0.1), epochs=100, seed=0)
        >>> model.predict_class(X).tolist()
        [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
        """
        return self._answers(X, "predict_class", lambda head: head.classes(multilabel))


def _batches(X: Any, y: Any, loss: Any, epochs: int, steps: int | None, **others: Any) -> Batches | None:
    """Return X as batches where they bring their targets, and refuse what else is given of rows; None where X and y are arrays."""
    if steps is not None:
        check_count("steps_per_epoch", steps, 1)
    if y is not None or (not Objective.has_target(loss) and (isinstance(X, (list, tuple)) or not Batches.are(X))):
        if steps is not None:
            raise ValueError("steps_per_epoch: is for batches from an iterable; of arrays an epoch takes all rows")
        return None
    if not Batches.are(X):
        raise TypeError(f"y: expected a target, unless X is an iterable of batches (X, y); got X of type {type(X).__name__}")
    for name, value in others.items():
        if value is not None:
            weights = "; batches bring their weights as (X, y, sample_weight)" if name in ("sample_weight", "class_weight") else ""
            raise ValueError(f"{name}: needs X and y as arrays{weights}")
    return Batches(X, "X", epochs, steps)


def _is_data(given: Any, many: bool) -> bool:
    """Tell whether those are arrays (X, y) or (X, y, sample_weight): a tuple, or a list whose members are not such tuples themselves."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        return False
    pairs = (isinstance(one, tuple) and len(one) in (2, 3) and (not many or isinstance(one[0], (tuple, list))) for one in given)
    return isinstance(given, tuple) or not all(pairs)


def _batch_size(given: int | None, opt: Optimizer, rows: int) -> int:
    """Return how many rows at a time an optimizer shall have."""
    if given is None:
        return max(rows, 1) if opt.whole_batches else 32
    check_count("batch_size", given, 1)
    return given
