"""Nets: layers made of others, with training and evaluation in C."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

from .. import _core, optim
from .._arrays import Array
from .._graph import Parameter
from .._random import draw_seed
from . import optimizers
from .callback import Callback
from .divergence import check_step
from .feed import as_core
from .find_lr import LRSweep, rates, sweep
from .fit import Options, fit
from .health import Health
from .history import History
from .objective import Losses, Objective, OneLoss
from .prepare import Goal, prepare
from .score import Scoring
from .turns import turn

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..optim._base import Optimizer
    from .explain import StepExplanation

    _SampleWeight: TypeAlias = ArrayLike | Sequence[ArrayLike | None] | Mapping[Any, ArrayLike] | None

_OneCallback: TypeAlias = Callback | Callable[[int, dict[str, float]], Any]
Callbacks: TypeAlias = Iterable[_OneCallback] | _OneCallback | None
"""What `fit` accepts as callbacks."""


class Net(Scoring, abstract=True):
    """A layer made of others that can be trained, with a training loop in C: the base of `Sequential` and `Model`."""

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
        self._health: Health | None = None

    __setattr__ = object.__setattr__  # type: ignore[assignment]  # none of a net's attributes is a setting

    def apply_init(self, how: str | Callable[[Parameter], Any] = "auto", seed: int | None = None) -> Self:
        """Give linear and convolutional layers new initial values, and return the net.

        Parameters
        ----------
        how : str or callable
            'auto': according to the activation behind the layer. He initialisation for one that passes large positive numbers and
            suppresses negative ones, such as ReLU; LeCun initialisation for one that preserves mean 0 and variance 1, such as SELU;
            Xavier initialisation for all others, with the gain of tanh for one like it. 'torch': PyTorch's initial values. Another
            name: a function of `pynn.init` without its underscore, such as 'orthogonal'. A function is called with each weight, as
            ``lambda w: pynn.init.sparse_(w, 0.9)``, and with ``seed=`` if it accepts it. Biases become 0, except for 'torch'.
        seed : int, optional
            None draws a fresh one.

        Returns
        -------
        Self
            The net itself.

        Raises
        ------
        ValueError
            If the name is unknown.

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
        state = {k: v for k, v in super().__getstate__().items() if k not in ("_predictor", "_known_heads", "_made_from", "_kept_parts")}
        return state | {"_monitor": None, "_trained_by": None}

    def save(self, path: str | os.PathLike[str], *, optimizer: bool = False) -> None:
        """Write the model to a safetensors file, which `pynn.load` reads.

        Parameters
        ----------
        path : str or path
            The file; it is replaced atomically.
        optimizer : bool
            Whether to save the state of the optimizer too, see `pynn.io.save`.

        Raises
        ------
        OSError
            If the file cannot be written.
        TypeError
            If the configuration of a custom layer is not plain data.

        Examples
        --------
        >>> import os, pynn, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> pynn.Sequential(pynn.Linear(4, 2), "relu").save(path)
        >>> len(pynn.load(path))
        2
        """
        from ..io import save

        save(self, path, optimizer=optimizer)

    def _extra_state(self) -> dict[str, Any]:
        from .net_file import facts_of

        return facts_of(self)

    def _extra_arrays(self) -> dict[str, Array]:
        from .net_file import arrays_of

        return arrays_of(self)

    def _load_extra(self, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        from .net_file import restore

        restore(self, facts, arrays)

    # ---- training -------------------------------------------------------------------------------------------------
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
        sample_weight: _SampleWeight = None,
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
        """Train the model.

        Each epoch runs in C without the interpreter's lock.

        Parameters
        ----------
        X : array_like of shape (rows, ...), or an iterable of (X, y) or (X, y, sample_weight), or a function that returns one
            The samples; the first axis is the batch. Rows are gathered and converted batch by batch, without a copy of `X`: a
            memory map may be larger than memory. Tables of pandas and polars keep the order of their columns; names and indices
            are ignored. Without `y`, an iterable of batches, which each epoch goes through again: a list, an object whose
            ``__iter__`` starts over, or a function that returns a new iterable for each epoch, such as a generator function.
        y : array_like, optional
            The targets of the loss: class indices (integers) of shape (rows,), or of shape (rows, d1, ...) for outputs of shape
            (classes, d1, ...); or numbers like the output; for a `FunctionLoss` any array with the same number of rows. For
            several outputs a list with one for each loss, or a mapping with the keys of `loss`. None if the loss has no target:
            then a list or a tuple is `X` itself, and batches, which contain ``(X, None)``, come from another iterable or a
            function.
        loss : str, Loss or function, or one for each output
            A name of `pynn.losses`, a loss, or a function, see `pynn.losses.FunctionLoss`. ``"cross_entropy"`` for a net that
            ends in Softmax, and ``"bce"`` for one that ends in Sigmoid, are computed from the logits, which gives the same result
            and is stable. For several outputs a list, or a mapping by the names of the outputs. A loss of several inputs takes
            that many outputs, in the order of its arguments: the next ones of the list, or those of a tuple of names, as in
            ``{("mean", "var"): "gaussian_nll", "class": "cross_entropy"}``.
        loss_weights : sequence or mapping of float, optional
            The factor of each loss in their sum.
        optimizer : str or Optimizer
            A name of `pynn.optim`, or an optimizer; one made without parameters updates those of this model.
        epochs : int
            The number of passes over all rows; with ``initial_epoch`` the number at which to end.
        batch_size : int, optional
            The number of rows of a batch; None: 32, or all rows for an optimizer that computes the loss repeatedly within a step, such as
            L-BFGS. The last batch may be smaller. Batches from an iterable keep their size.
        steps_per_epoch : int, optional
            End an epoch after this many batches of an iterable, which may be endless: the next epoch continues where this one ended. An
            iterable that ends within an epoch starts over.
        drop_last : bool
            Whether to leave out the last batch of an epoch if it is smaller than the others. With ``shuffle``, other rows are
            left out in each epoch.
        initial_epoch : int
            The number of the first epoch, to continue an earlier training: ``epochs=5, initial_epoch=3`` trains two epochs, and callbacks
            receive 3 and 4. With ``seed`` it determines the order of the rows.
        validation_data : (X, y) or (X, y, sample_weight), or batches of those, optional
            Scored after each epoch as ``val_loss`` and ``val_accuracy``. Batches are a list of tuples, another iterable that can
            be repeated, or a function that returns one. A tuple is a single pair or triple of arrays.
        validation_split : float, optional
            The share of rows to validate on instead, between 0 and 1: drawn by ``seed``, with the same share of each class if `y`
            holds the classes of one output. With ``shuffle=False`` the last rows, so that no later row of a series is trained on.
            Both parts are copies.
        validation_steps : int, optional
            Score only this many batches of an iterable, which may be endless.
        validation_freq : int or iterable of int
            Validate after every so many epochs, or after the epochs with these numbers, counted from 1. Other epochs report no ``val_``
            numbers, so their lists in the history are shorter.
        sample_weight : array_like of shape (rows,), or of the shape of the loss's values, or one for each loss, optional
            The weight of each row, or of each value: of each element for losses such as mse, of each position for classes of
            shape (rows, d1, ...). A mean divides by the sum of the weights of a batch, or of their magnitudes if some are
            negative. For several losses a list, a mapping with some of the keys of `loss`, or one array for all. Metrics and
            accuracy count every row alike.
        class_weight : 'balanced', mapping or array_like, optional
            The weight of each class in training, multiplied by ``sample_weight``: one number for each class, or a mapping of some
            (1 for the others). 'balanced' gives all classes that occur the same total weight: ``rows / (classes * rows of the
            class)``.
        metrics : list of str and callables, or mapping of names to those, optional
            Names of `pynn.metrics` (also ``"top_3_accuracy"``), which receive classes or probabilities as from `predict_proba` if
            they need them; or functions of ``(y_true, y_pred)`` that receive the targets and the output of `predict`. A metric
            named "accuracy" replaces the accuracy of the loss: ``{"accuracy": "binary_accuracy"}``. Targets of 0 and 1 in several
            columns are one-hot if each row has exactly one 1, and multi-label otherwise, see `pynn.metrics`. For several outputs
            a list of such lists, or a mapping by their names. On training data they are computed from the predictions before the
            step on each batch, as the loss is; this stores one output for each row.
        shuffle : bool
            Whether each epoch takes the rows in a new order, determined by ``seed``.
        callbacks : Callback or callable, or iterable of those, optional
            See `pynn.callbacks`; functions are called after each epoch as ``callback(epoch, logs)``.
        seed : int, optional
            None draws a fresh one.
        verbose : bool, 2 or 'auto'
            Progress on standard error. True: a bar if tqdm is installed, else one line that is overwritten; a line for each epoch
            if standard error is neither a terminal nor a notebook, such as a log file. 2: a line for each epoch on standard
            output. 'auto': as True in a terminal or a notebook, else nothing. Lines fit the width of the terminal.
        on_nan : {'raise', 'ignore'}
            What to do when a loss or a parameter is not finite. 'raise': end the training at that step with a `DivergenceError`,
            and restore the weights of the last good epoch, of which a copy is kept. 'ignore': continue, with one warning.
        health : bool
            Whether to record what `health` reports, for about 1 % of the time.
        resume_from : str or path, optional
            A file that a `pynn.Checkpoint` of the same call wrote: continue from it, up to ``epochs`` in all.

        Returns
        -------
        History
            ``history["loss"]`` (the mean over the epoch, for each batch before its step), ``"accuracy"`` if the loss has one,
            ``"seconds"``, the metrics, and the same for validation. It is also ``model.history``, which is kept with the trained
            weights after a KeyboardInterrupt.

        Raises
        ------
        ValueError, TypeError
            If a shape, a dtype, a label or a name does not fit; nothing has been trained then.
        RuntimeError
            If the model is being trained by another thread or by a `fit` that called the caller, or another thread trains a model
            that shares layers with it.
        DivergenceError
            If the loss, a gradient or a parameter is not finite; it names the first layer, step and row.

        Warns
        -----
        UserWarning
            If all parameters are frozen, or the last layer does not fit the loss.
        RuntimeWarning
            With ``on_nan="ignore"``, in the first epoch whose loss is NaN.

        Notes
        -----
        The model is trained in training mode, whatever `eval` set before; a layer that was set to evaluation mode by itself, in a model in
        training mode, stays in it. When `fit` ends, also by an exception, each layer is in the mode in which it was before.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> X = np.linspace(-1, 1, 100)[:, None]
        >>> model = pynn.Sequential(pynn.Linear(1, 16, seed=0), "tanh", pynn.Linear(16, 1, seed=1))
        >>> hist = model.fit(X, X**2, loss="mse", optimizer=pynn.optim.Adam(lr=0.01), epochs=200, validation_split=0.2, seed=0)
        >>> hist.history["val_loss"][-1] < 0.01
        True
        """
        options = Options(
            goal=Goal(loss, loss_weights, metrics),
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            drop_last=drop_last,
            initial_epoch=initial_epoch,
            validation_data=validation_data,
            validation_split=validation_split,
            validation_steps=validation_steps,
            validation_freq=validation_freq,
            sample_weight=sample_weight,
            class_weight=class_weight,
            shuffle=shuffle,
            callbacks=callbacks,
            seed=seed,
            verbose=verbose,
            on_nan=on_nan,
            health=health,
            resume_from=resume_from,
        )
        return fit(self, X, y, options)

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
        sample_weight: _SampleWeight = None,
        class_weight: str | Mapping[int, float] | ArrayLike | None = None,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> LRSweep:
        """Find a learning rate: train a few steps while the rate grows from ``lr_min`` to ``lr_max``, and record the loss.

        The rate grows by the same factor in each step. The sweep ends early if a running mean of the loss exceeds four times its
        minimum, or a loss is not finite. Afterwards the weights and states of the net are restored. A copy of the optimizer takes
        the steps.

        Parameters
        ----------
        X, y, loss, loss_weights, optimizer, batch_size, sample_weight, class_weight, shuffle, seed
            As in `fit`. Schedules of the optimizer are not applied; parameter groups keep the ratio of their rates to the first.
        lr_min, lr_max : float
            The first rate and the last.
        steps : int
            The number of steps from the first rate to the last, over as many epochs as that takes.

        Returns
        -------
        LRSweep
            ``lr`` and ``loss`` of each step; ``suggestion``, the rate at which the loss falls most steeply, which is a good start
            but need not be the best rate; ``plot()``.

        Raises
        ------
        ValueError, TypeError
            As `fit`, or if a rate is not over 0, ``lr_min`` is not below ``lr_max``, or ``steps`` is less than 2.
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
            prepared = prepare(self, X, y, Goal(loss, loss_weights), sample_weight=sample_weight, batched=False)
            prepared = prepared.with_class_weight(class_weight)
            data, graph, objective = prepared.data, prepared.graph, prepared.objective
            opt = optimizers.bound(self, optim.get(optimizer)._copy())
            batch_size = optimizers.batch_size(batch_size, opt, prepared.rows)
            run_seed, batches = draw_seed(seed), -(-prepared.rows // batch_size)
            state = self.state_dict()
            try:
                updates = opt.core_groups(), prepared.core_weight(), True, False, opt.core_solver()
                run = _core.Fit(graph, as_core(data), prepared.target, objective.criteria, batch_size, shuffle, run_seed, *updates)

                def step(i: int, rate: float) -> float:
                    opt.set_rate(rate)
                    opt.begin_epoch()
                    logs = objective.logs("", run.epoch(i // batches, i % batches, 1))
                    if run.origin is not None and run.origin[0] == "input":  # at any rate
                        check_step(self, run, logs, prepared.owners, data)
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
        sample_weight: _SampleWeight = None,
        class_weight: str | Mapping[int, float] | ArrayLike | None = None,
    ) -> dict[str, float]:
        """Take one step on all given rows together.

        Parameters
        ----------
        X, y, loss, loss_weights, optimizer, sample_weight, class_weight
            As in `fit`. The default loss and optimizer are those of the previous call or of the last `fit`; the first optimizer
            is Adam. The name of an optimizer continues with the optimizer that an earlier call made from that name.

        Returns
        -------
        dict
            The loss before the step, and the accuracy if the loss has one.

        Raises
        ------
        DivergenceError
            If the loss is not finite; the weights are unchanged.

        Notes
        -----
        Schedules that count steps advance, those that count epochs do not.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
        >>> losses = [model.train_on_batch(np.eye(2), np.ones(2), loss="mse")["loss"] for _ in range(3)]
        >>> losses[2] < losses[0]
        True
        """
        goal = self._continued(loss, loss_weights)
        with turn(self, "train_on_batch"):
            prepared = prepare(self, X, y, goal, sample_weight=sample_weight, batched=False).with_class_weight(class_weight)
            objective = prepared.objective
            opt = optimizers.bound(self, optimizers.continued(self, optimizer))
            optimizers.warn_if_frozen(self, opt, "train_on_batch")
            objective.remember(prepared.target)
            objective.go_on(self._fitted)
            self._fitted, self._goal, self.optimizer = objective, goal[:2], opt
            updates = opt.core_groups(), None, True, False, opt.core_solver()
            run = _core.Fit(prepared.graph, None, None, objective.criteria, 1, False, 0, *updates)
            run.step = opt.steps
            logs = objective.logs("", run.batch(as_core(prepared.data), prepared.target, prepared.core_weight()))
            opt.count_steps(run.step)
        check_step(self, run, logs, prepared.owners, prepared.data)
        return logs

    def explain_step(
        self,
        X: Any,
        y: Any = None,
        loss: Losses | None = None,
        optimizer: str | Optimizer | None = None,
        *,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        sample_weight: _SampleWeight = None,
    ) -> StepExplanation:
        """Explain one training step: every intermediate array of the forward and the backward pass, with its formula.

        The step is computed on copies: the net, its running statistics and random layers, the loss and the optimizer stay as they are.
        Layers behave as in `fit`, so dropout draws the mask of the next step.

        Parameters
        ----------
        X, y, loss_weights, sample_weight
            As in `fit`; one row or a few are easiest to read.
        loss : str or Loss, optional
            As in `fit`; None: that of the last training.
        optimizer : str or Optimizer, optional
            Also show the parameters after one step of this optimizer, which continues from its present state. A name
            continues with the optimizer that an earlier call made from that name.

        Returns
        -------
        StepExplanation
            Printed as text; notebooks show HTML, and ``to_html`` writes a page. ``explanation["0"]`` has the formulas, the value, the
            gradient and the parameters of a layer.

        Raises
        ------
        ValueError, TypeError
            As `fit`, or if there is no loss yet.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> net = pynn.Sequential(pynn.Linear(2, 1, dtype="float64"), "sigmoid")
        >>> net[0].weight[...], net[0].bias[...] = [[0.5, -1.0]], 0.5
        >>> step = net.explain_step([[1.0, 2.0]], [1.0], loss="mse", optimizer=pynn.optim.SGD(lr=0.5))
        >>> step["0"].formulas, step["0"].value
        (('y = x @ weight.T + bias',), array([[-1.]]))
        >>> step["0"].gradient.round(4), step["0"].parameters["weight"].updated.round(4)
        (array([[-0.2875]]), array([[ 0.6437, -0.7125]]))
        """
        from .explain import explain

        return explain(self, X, y, self._continued(loss, loss_weights), sample_weight, optimizer)

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        *,
        loss: OneLoss | None = None,
        optimizer: str | Optimizer | None = None,
        batch_size: int | None = None,
        sample_weight: _SampleWeight = None,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> Self:
        """Train one more epoch on these rows, with the optimizer of the previous call.

        A copy of the model, by pickle or `copy.deepcopy`, continues with a copy of the optimizer and its state. A file holds the
        settings of the optimizer, and its state if the model was saved with ``optimizer=True``.

        Parameters
        ----------
        X, y, batch_size, sample_weight, shuffle, seed
            As in `fit`.
        classes : array_like, optional
            All labels that will ever occur, in the first call, numbers or text, as in scikit-learn; ``y`` then holds labels, and
            ``model.classes_[model.predict_class(X)]`` are the predicted labels. Without it ``y`` is as in `fit`.
        loss : str or Loss, optional
            As in `fit`; the default with ``classes`` is cross entropy, or binary cross entropy for a single output.
        optimizer : str or Optimizer, optional
            As in `fit`. None: that of the previous call, at first Adam. A name continues with the optimizer that an earlier call
            made from that name.

        Returns
        -------
        Self
            The model itself.

        Raises
        ------
        ValueError
            If a label is not among the classes, or there is no loss yet; also as `fit`.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> model = pynn.Sequential(pynn.Linear(2, 3, seed=0))
        >>> model.partial_fit(np.eye(2), ["b", "c"], classes=["a", "b", "c"], seed=0).classes_.tolist()
        ['a', 'b', 'c']
        """
        labels = self.classes_
        if classes is not None:
            labels = np.unique(np.asarray(classes))
            if self.classes_ is not None and not np.array_equal(labels, self.classes_):
                raise ValueError(f"classes: {labels.tolist()} differ from those of the first call, {self.classes_.tolist()}")
        implied = classes is not None and loss is None and self._goal is None
        before = self._fitted
        options = Options(
            goal=Goal(None) if implied else self._continued(loss, None),
            optimizer=optimizers.continued(self, optimizer),
            batch_size=batch_size,
            sample_weight=sample_weight,
            shuffle=shuffle,
            seed=seed,
            verbose=False,
            classes=labels,
        )
        fit(self, X, y, options)
        if self._fitted is not None:
            self._fitted.go_on(before)
        return self
