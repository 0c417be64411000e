"""MLPClassifier and MLPRegressor, with the parameters and attributes of scikit-learn's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as _PeerClassifier
from sklearn.neural_network import MLPRegressor as _PeerRegressor
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted

from .. import losses as losses_
from .. import optim
from .._training.many import Run
from .._training.messages import warn
from ..losses._base import Loss
from ..optim._base import Optimizer
from . import _interval, _network
from ._base import HeldScore, NetEstimator, blocks
from ._fitting import Batches, Data, Fitting
from ._labels import Labels
from ._stopping import Order, Progress, Rate, Stopping

Array = NDArray[Any]

_STOCHASTIC = ("sgd", "adam")
_AUTO_BATCH = 200
"""The largest number of rows of a batch with ``batch_size="auto"``."""
_RELATIVE = 1e7 * np.finfo(float).eps
"""L-BFGS stops when a step changes the loss by less than this."""
_FINAL_LOSS, _EVALUATIONS, _ITERATIONS = 7, 1, 0
"""Where the memory of L-BFGS holds these numbers."""


class Reported:
    """The loss that an estimator reports, from the loss that the core minimised and the penalty in it.

    scikit-learn minimises the sum over the outputs of half squared errors, but reports their mean. Its Poisson loss has a constant.
    """

    def __init__(self, divisor: float, constant: float) -> None:
        self.divisor, self.constant = divisor, constant

    def __call__(self, loss: float, penalty: float) -> float:
        """Return the loss."""
        return (loss - penalty) / self.divisor + penalty + self.constant


class Goal:
    """The loss of a multi-layer perceptron.

    Attributes
    ----------
    loss : str or Loss
        The loss of pynn.
    factor : float
        Its factor, so that its gradient is that of scikit-learn.
    divisor : float
        What the reported loss is divided by.
    last : str or None
        The last activation of the net.
    link : str or None
        The activation that is applied to the outputs of the net to predict.
    """

    def __init__(self, loss: Any, factor: float, divisor: float, last: str | None, link: str | None) -> None:
        self.loss, self.factor, self.divisor, self.last, self.link = loss, factor, divisor, last, link

    def linked(self, outputs: Array) -> Array:
        """Apply the link."""
        if self.link is None:
            return outputs
        if self.link == "exp":
            return np.exp(outputs)
        from ..layers.activation import by_name

        return np.asarray(by_name[_network.ACTIVATIONS[self.link] or ""]()(outputs))


class MLP(NetEstimator):
    """Base class of both perceptrons."""

    # set by __init__ of the subclasses
    hidden_layer_sizes: Any
    activation: Any
    solver: str
    alpha: float
    batch_size: Any
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    loss: Any
    shuffle: bool
    random_state: Any
    tol: float
    verbose: Any
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: Any
    norm: Any
    optimizer: Any
    schedule: Any
    validation_data: Any
    callbacks: Any
    dtype: Any

    # ---- the net --------------------------------------------------------------------------------------------------
    def _sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        found = [sizes] if not hasattr(sizes, "__iter__") else list(sizes)
        if any(isinstance(size, bool) or not isinstance(size, Integral) or size <= 0 for size in found):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {found}.")
        return [int(size) for size in found]

    def _goal(self, labels: Labels | None, outputs: int) -> Goal:
        """Return the loss for these labels, or for this number of outputs."""
        raise NotImplementedError

    def _model_dtype(self, X: Any) -> str:
        if self.dtype is not None:
            return str(np.dtype(self.dtype))
        return "float32" if X.dtype == np.float32 else "float64"

    def _net(self, dtype: str, last: str | None) -> tuple[Any, list[Any]]:
        sizes = [self.n_features_in_, *self._sizes(), self.n_outputs_]
        seeds = lambda: int(self._random_state.randint(np.iinfo(np.int32).max))  # noqa: E731
        return _network.build(sizes, dtype, self.activation, last, self.norm, self.dropout, seeds)

    def _begin(self, data: Data, goal: Goal) -> None:
        """Make a new net with initial weights, drawn as scikit-learn draws them."""
        self.model_, self._linear = self._net(self._model_dtype(data.X), goal.last)
        factor = 2.0 if isinstance(self.activation, str) and self.activation == "logistic" else 6.0
        for layer in self._linear:
            bound = np.sqrt(factor / (layer.in_features + layer.out_features))
            layer.weight[...] = self._random_state.uniform(-bound, bound, (layer.in_features, layer.out_features)).T
            layer.bias[...] = self._random_state.uniform(-bound, bound, layer.out_features)
        self._view()
        self.n_iter_ = self.t_ = 0
        self._no_improvement_count = 0
        if self._is_stochastic:
            self._progress = Progress(self.early_stopping)
            self._show_progress()

    def _view(self) -> None:
        """Set the attributes of weights to views of those of the net."""
        self.coefs_ = [layer.weight.T for layer in self._linear]
        self.intercepts_ = [layer.bias for layer in self._linear]
        self._views = (*self.coefs_, *self.intercepts_)

    def _synchronise(self) -> None:
        """Copy weights to the net that the caller has assigned to ``coefs_`` and ``intercepts_``."""
        given = (*self.coefs_, *self.intercepts_)
        if len(given) == len(self._views) and all(a is b for a, b in zip(given, self._views, strict=True)):
            return
        if len(given) != len(self._views):
            raise ValueError(f"coefs_: expected {len(self._linear)} arrays, and as many in intercepts_, got {len(given)} in all")
        for layer, w, b in zip(self._linear, self.coefs_, self.intercepts_, strict=True):
            layer.weight[...] = np.asarray(w).T
            layer.bias[...] = b
        self._view()

    def _adopt(self, data: Data, goal: Goal) -> None:
        """Make a net for weights that the caller has assigned before any training."""
        given = self.coefs_, self.intercepts_
        self.model_, self._linear = self._net(self._model_dtype(data.X), goal.last)
        self._view()
        self.coefs_, self.intercepts_ = given
        self._synchronise()
        self.t_ = getattr(self, "t_", 0)
        self._progress = Progress(self.early_stopping)

    def __sklearn_is_fitted__(self) -> bool:
        return "coefs_" in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        if "model_" in vars(self):
            self._synchronise()
        state = super().__getstate__()
        if "model_" in state:  # the weights are views of those of the net
            state = {name: value for name, value in state.items() if name not in ("coefs_", "intercepts_", "_views")}
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in vars(self):
            self._view()

    # ---- training -------------------------------------------------------------------------------------------------
    @property
    def _is_stochastic(self) -> bool:
        return self.optimizer is not None or self.solver in _STOCHASTIC

    def _check_solver(self) -> bool:
        """Raise unless batches can be learnt one after the other."""
        if not self._is_stochastic:
            raise AttributeError(f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic.")
        return True

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._sizes()

    def _prepare(self, data: Data, rows: Any = None, *, incremental: bool = False) -> Fitting:
        self._check_parameters()
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = self._is_first(incremental)
        self._take_facts(data)
        goal = self._goal(data.labels, data.target.shape[1] if data.target.ndim > 1 else 1)
        self._random_state = check_random_state(self.random_state)
        if first:
            self._begin(data, goal)
        elif "model_" not in vars(self):
            self._adopt(data, goal)
        else:
            self._synchronise()
        self._target = goal
        weight = self._weights(data, rows)
        if not self._is_stochastic:
            return self._solver_fitting(data, goal, weight, rows)._replace(rows=rows)
        return self._stochastic_fitting(data, goal, weight, rows, incremental)._replace(rows=rows)

    def _weights(self, data: Data, rows: Any) -> Array | None:
        """Return the weights of the rows, with those of their classes."""
        return data.weight

    def _reported(self, goal: Goal, data: Data, weight: Array | None, rows: Any) -> Reported:
        return Reported(goal.divisor, 0.0)

    def _target_of(self, data: Data, dtype: str) -> Array:
        """Return the targets in the dtype of the net."""
        return data.targets(dtype)

    def _solver_fitting(self, data: Data, goal: Goal, weight: Array | None, rows: Any) -> Fitting:
        """Return a training by L-BFGS, which is one step."""
        if data.is_sparse:
            data = Data(data.X.toarray(), data.target, data.y, data.weight, data.labels, data.names)
        optimizer = optim.LBFGS(
            max_iter=int(self.max_iter),
            max_eval=int(self.max_fun),
            tolerance_grad=float(self.tol),
            tolerance_change=float(_RELATIVE),
            history_size=10,
            line_search_fn="strong_wolfe",
            first_step="unit",
        )
        run = Run(self.model_, optimizer=optimizer, loss=goal.loss, loss_weights=[goal.factor], rows=rows, shuffle=False, seed=0)
        run._options = {"penalty": float(self.alpha), "on_nan": "ignore"}
        return Fitting(run, data.X, self._target_of(data, str(self.model_.dtype)), weight, None, data)

    def _optimizer_for(self, incremental: bool) -> Optimizer | str:
        if incremental and self.model_.optimizer is not None:
            return self.model_.optimizer
        self._optimizer = Rate(self.learning_rate if self.solver == "sgd" else "constant", self.learning_rate_init, self.power_t)
        if self.optimizer is not None:
            self._optimizer.kind = "constant"
            return _network.optimizer_of(self.optimizer, self.learning_rate_init, self.schedule)
        if self.solver == "adam":
            betas = (float(self.beta_1), float(self.beta_2))
            return optim.Adam(lr=float(self.learning_rate_init), betas=betas, eps=float(self.epsilon), eps_hat=True, **self._scheduled())
        nesterov = bool(self.nesterovs_momentum and self.momentum > 0)
        return optim.SGD(lr=float(self.learning_rate_init), momentum=float(self.momentum), nesterov=nesterov, **self._scheduled())

    def _scheduled(self) -> dict[str, Any]:
        import copy

        return {} if self.schedule is None else {"schedule": copy.deepcopy(self.schedule)}

    def _split(self, data: Data, rows: Any) -> tuple[Any, Any]:
        """Return the rows to train on and those held back for early stopping, as scikit-learn splits them."""
        every = np.arange(data.X.shape[0]) if rows is None else np.asarray(rows)
        stratify = None
        if data.labels is not None and data.labels.kind == "binary":
            stratify = data.target[every] > 0
        train, held = train_test_split(every, random_state=self._random_state, test_size=self.validation_fraction, stratify=stratify)
        if len(held) < 2:
            raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
        return train, held

    def _held_score(self, data: Data, held: Any, weight: Array | None) -> HeldScore:
        y = np.asarray(data.y)[held]
        return HeldScore(data.X[held], y, None if weight is None else weight[held], data.labels, self._target.linked)

    def _batch_rows(self, n: int) -> int:
        if isinstance(self.batch_size, str):
            return min(_AUTO_BATCH, n)
        if self.batch_size > n:
            warnings.warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=2)
        return int(np.clip(self.batch_size, 1, n))

    def _training_dtype(self, data: Data, batches: int, incremental: bool) -> str:
        """Return the precision of training: single if rounding errors are small beside the differences between batches."""
        own = str(self.model_.dtype)
        if self.dtype is not None or incremental or batches == 1 or isinstance(self.optimizer, Optimizer) or not data.fits_float32:
            return own
        return "float32"

    def _stochastic_fitting(self, data: Data, goal: Goal, weight: Array | None, rows: Any, incremental: bool) -> Fitting:
        given = self._validation(data)
        held, score = None, None
        if self.early_stopping and given is None:
            rows, held = self._split(data, rows)
            score = self._held_score(data, held, data.weight)
        elif self.early_stopping and given is not None:
            score = HeldScore(given.X, given.y, given.weight, given.labels, goal.linked)
        n = data.X.shape[0] if rows is None else len(rows)
        size = self._batch_rows(n)
        dtype = self._training_dtype(data, -(-n // size), incremental)
        optimizer = self._optimizer_for(incremental)
        net = self.model_
        if dtype != str(net.dtype):
            net, _ = self._net(dtype, goal.last)
            for p, q in zip(net._all_state().values(), self.model_._all_state().values(), strict=True):
                p.data[...] = q.data
        order = Order(self._random_state) if self.shuffle else None
        stopping = Stopping(
            self._progress,
            self._optimizer,
            self._reported(goal, data, weight, rows),
            tol=float(self.tol),
            patience=self.n_iter_no_change,
            verbose=self.verbose,
            rows=n,
            score=score,
        )
        callbacks = self.callbacks
        listed = [] if callbacks is None else list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        run = Run(
            net,
            optimizer=optimizer,
            loss=goal.loss,
            loss_weights=[goal.factor],
            epochs=1 if incremental else int(self.max_iter),
            batch_size=size,
            rows=rows,
            validation_rows=held,
            shuffle=bool(self.shuffle),
            callbacks=[*listed, stopping],
            seed=0,
        )
        run._options = {"penalty": float(self.alpha), "order": order, "on_nan": "ignore"}
        if given is not None:
            run._options["validation_data"] = given.X, self._target_of(given, dtype), given.weight
        target = self._target_of(data, dtype)
        if not data.is_sparse:
            return Fitting(run, data.samples(dtype), target, weight, stopping, data, incremental)
        return self._sparse_fitting(run, Data(data.X, target, data.y, weight, data.labels, None), size, order, stopping, incremental)

    def _sparse_fitting(self, run: Run, data: Data, size: int, order: Any, stopping: Stopping, incremental: bool) -> Fitting:
        """Return a training whose batches are made dense one at a time."""
        batches = Batches(data, None if run.rows is None else np.asarray(run.rows, np.intp), size, order)
        if run.validation_rows is not None:
            held = np.asarray(run.validation_rows)
            parts = [held[start : start + _AUTO_BATCH] for start in range(0, len(held), _AUTO_BATCH)]
            X, target = batches.X, data.target
            run._options["validation_data"] = lambda: ((X[part].toarray(), target[part]) for part in parts)
        run.rows = run.validation_rows = run.batch_size = None
        run._options["order"] = None
        return Fitting(run, batches, None, None, stopping, data, incremental)

    def _validation(self, data: Data) -> Data | None:
        """Return the checked ``validation_data``."""
        given = self.validation_data
        if given is None:
            return None
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise ValueError("validation_data: expected (X, y) or (X, y, sample_weight)")
        found = self._data(*given, reset=False, classes=data.labels)
        if found.is_sparse:
            found.X = np.concatenate([*blocks(found.X)])
        return found

    # ---- results --------------------------------------------------------------------------------------------------
    def _finish(self, fitting: Fitting, history: Any) -> None:
        stopping, net = fitting.stopping, fitting.run.model
        if stopping is None:
            self._finish_solver(fitting)
        else:
            if stopping.best is not None:
                for array, best in zip(net._all_state().values(), stopping.best, strict=True):
                    array.data[...] = best
            if net is not self.model_:
                self._take(net)
            self._progress, self._optimizer = stopping.progress, stopping.rate
            self.n_iter_ = stopping.epochs
            self._show_progress()
            if self.n_iter_ == self.max_iter and not stopping.stopped and not fitting.incremental:
                text = f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet."
                warn(text, ConvergenceWarning)
        if not all(np.isfinite(array).all() for array in self._views):
            text = "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
            raise ValueError(text)

    def _take(self, net: Any) -> None:
        """Copy the weights, and the state of the optimizer, of the net that was trained to the net of the estimator."""
        mine, theirs = self.model_._all_state(), net._all_state()
        for name, array in mine.items():
            array.data[...] = theirs[name].data
        used = net.optimizer
        optimizer = used._copy()
        optimizer.param_groups, optimizer.state, optimizer._followed = [], {}, []
        optimizer.bind(self.model_.parameters())
        pairs = dict(zip(net.parameters(), self.model_.parameters(), strict=True))
        for p, state in used.state.items():
            q = pairs[p]
            optimizer.state[q] = {name: a.astype(q.data.dtype) if a.ndim else a.copy() for name, a in state.items()}
        for group, other in zip(optimizer.param_groups, used.param_groups, strict=True):
            group.update({name: value for name, value in other.items() if name != "params"})
        self.model_.optimizer, self.model_._goal, self.model_._fitted = optimizer, net._goal, net._fitted
        self.model_.history = net.history

    def _show_progress(self) -> None:
        progress = self._progress
        self.loss_curve_, self.best_loss_ = progress.curve, progress.best_loss
        self.validation_scores_, self.best_validation_score_ = progress.scores, progress.best_score
        self._no_improvement_count, self.t_ = progress.waited, progress.samples
        if progress.curve:
            self.loss_ = progress.curve[-1]
        if progress.losses:
            self.validation_loss_curve_ = progress.losses

    def _finish_solver(self, fitting: Fitting) -> None:
        memory = self.model_.optimizer._memory  # type: ignore[union-attr]
        self.n_iter_ = min(int(memory[_ITERATIONS]), int(self.max_iter))
        weight, data = fitting.weight, fitting.data
        rows = None if fitting.run.rows is None else np.asarray(fitting.run.rows, np.intp)
        n = data.X.shape[0] if rows is None else len(rows)
        total = n if weight is None else float(weight.sum() if rows is None else weight[rows].sum())
        penalty = 0.5 * self.alpha * sum(float((w.astype(np.float64) ** 2).sum()) for w in self.coefs_) / total
        self.loss_ = self._reported(self._target, data, weight, rows)(float(memory[_FINAL_LOSS]), penalty)
        self.model_.optimizer = None
        limit = "iterations" if self.n_iter_ >= self.max_iter else "function evaluations" if memory[_EVALUATIONS] >= self.max_fun else None
        if limit is not None:
            text = f"lbfgs failed to converge after {self.n_iter_} iteration(s) (status=1): the limit of {limit} was reached."
            warn(f"{text} Increase max_iter or max_fun, or scale the data.", ConvergenceWarning)


def _constraints(peer: Any, loss: list[Any]) -> dict[str, Any]:
    """Return the constraints of scikit-learn's class, with those of the further parameters."""
    return {
        **peer._parameter_constraints,
        "activation": "no_validation",
        "loss": loss,
        "dropout": "no_validation",
        "norm": "no_validation",
        "optimizer": [str, Optimizer, None],
        "schedule": "no_validation",
        "validation_data": [tuple, list, None],
        "callbacks": "no_validation",
        "dtype": [str, type, np.dtype, None],
        "n_jobs": [Interval(Integral, 1, None, closed="left"), Options(Integral, {-1}), None],
    }


class MLPClassifier(ClassifierMixin, MLP):  # type: ignore[misc]
    """Multi-layer perceptron classifier, a drop-in replacement of scikit-learn's.

    The positional and keyword parameters up to ``max_fun`` have the meaning and the defaults of
    `sklearn.neural_network.MLPClassifier`; those after it are pynn's. The same random state gives the same initial weights and
    batches as scikit-learn's.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        The number of units of each hidden layer.
    activation : str, layer or function, or one for each hidden layer
        'identity', 'logistic', 'tanh', 'relu' or another name of a pynn layer, such as 'gelu'; a formula of ``x``, such as
        ``"x * sigmoid(x)"``; a layer, which is copied; or a function that returns one.
    solver : {'adam', 'sgd', 'lbfgs'}
        Adam, stochastic gradient descent with momentum, or L-BFGS on all rows.
    alpha : float
        The L2 penalty: ``alpha / (2 n)`` times the sum of squares of the weights is added to the mean loss of a batch of n rows.
    batch_size : int or 'auto'
        The rows of a batch; 'auto': at most 200.
    learning_rate : {'constant', 'invscaling', 'adaptive'}
        How the rate of 'sgd' changes: not at all; as ``learning_rate_init / t**power_t``; or divided by 5 instead of stopping.
    learning_rate_init : float
        The initial rate of 'adam' and 'sgd', and of ``optimizer`` given by name.
    power_t : float
        The exponent of 'invscaling'.
    max_iter : int
        The largest number of epochs, or of iterations of 'lbfgs'.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState or None
        Determines initial weights, order of rows, and the rows held back for early stopping.
    tol : float
        The improvement of the loss, or of the validation score, below which an epoch counts as none; for 'lbfgs' the largest
        element of the gradient at which it stops.
    verbose : bool
        Whether to print the loss of each epoch.
    warm_start : bool
        Whether ``fit`` continues with the weights of the last call.
    momentum : float
        Of 'sgd'.
    nesterovs_momentum : bool
        Whether 'sgd' uses Nesterov's momentum.
    early_stopping : bool
        Whether to stop when the score on held-back rows stops improving, instead of the training loss, and to restore the weights
        with the best score.
    validation_fraction : float
        The share of rows to hold back.
    beta_1, beta_2, epsilon : float
        Of 'adam'.
    n_iter_no_change : int
        The number of epochs without improvement after which to stop.
    max_fun : int
        The largest number of evaluations of the loss by 'lbfgs'.
    dropout : float, or one for each hidden layer, optional
        The probability with which a hidden unit is zeroed in training.
    norm : {'batch', 'layer', 'rms'}, layer or function, or one for each hidden layer, optional
        The normalisation in front of each activation; a function is called with the width of the layer.
    loss : str or Loss
        'log_loss', or a loss of pynn that takes class indices or logits, such as 'focal'.
    optimizer : str or Optimizer, optional
        An optimizer of pynn instead of ``solver``: a name, which gets the rate ``learning_rate_init``, or an object.
    schedule : LRScheduler, optional
        A schedule of `pynn.optim.lr_scheduler` for the learning rate.
    class_weight : 'balanced' or mapping, optional
        The weights of the classes, multiplied by ``sample_weight``.
    validation_data : (X, y) or (X, y, sample_weight), optional
        Scored after each epoch as ``validation_loss_curve_``; with ``early_stopping`` it takes the place of the held-back rows.
    callbacks : Callback or function, or list of those, optional
        As in `pynn.Sequential.fit`.
    dtype : {'float32', 'float64'}, optional
        The dtype of weights and of all arithmetic. None: the dtype of `X` for weights and predictions; training on batches is then
        computed in float32, whose rounding errors are far below the differences between batches, unless `X` or `y` holds magnitudes
        over 1e6. With "float64" the losses agree with scikit-learn's to about 1e-10.
    n_jobs : int, optional
        The number of threads; None: `pynn.get_num_threads`; -1: all.

    Attributes
    ----------
    classes_ : ndarray
        The labels.
    coefs_, intercepts_ : list of ndarray
        The weights, of shape (inputs, outputs), and biases of each linear layer: views of the weights of ``model_``.
    loss_ : float
        The loss of the last epoch.
    loss_curve_ : list of float
        The loss of each epoch.
    best_loss_ : float or None
        The smallest loss; None with early stopping.
    validation_scores_ : list of float or None
        The accuracy on the validation rows after each epoch, with early stopping.
    best_validation_score_ : float or None
        The largest of them.
    validation_loss_curve_ : list of float
        The loss on the validation rows after each epoch, if there are any.
    n_iter_ : int
        The number of epochs of the last call.
    t_ : int
        The number of samples seen.
    n_features_in_, n_outputs_, n_layers_ : int
        The numbers of features, of outputs, and of layers with the input.
    feature_names_in_ : ndarray of str
        The names of the features, if `X` had names.
    out_activation_ : str
        The activation of the outputs.
    model_ : Sequential
        The net, with all methods of `pynn.Sequential`.

    Examples
    --------
    >>> from pynn.sklearn import MLPClassifier
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> net = MLPClassifier((32,), activation="gelu", dropout=0.1, class_weight="balanced", early_stopping=True, random_state=0)
    >>> net.fit(X, y).score(X, y) > 0.9
    True
    >>> [w.shape for w in net.coefs_], net.model_.predict(X[:1]).shape
    ([(64, 32), (32, 10)], (1, 10))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_constraints(_PeerClassifier, [str, Loss]),
        "class_weight": [str, dict, list, None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        dropout: Any = None,
        norm: Any = None,
        loss: Any = "log_loss",
        optimizer: Any = None,
        schedule: Any = None,
        class_weight: Any = None,
        validation_data: Any = None,
        callbacks: Any = None,
        dtype: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.norm = norm
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        self.class_weight = class_weight
        self.validation_data = validation_data
        self.callbacks = callbacks
        self.dtype = dtype
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _make_labels(self, y: Any) -> Labels:
        labels = Labels(y)
        if labels.kind == "binary" and self._by_class:
            labels.kind = "multiclass"
        return labels

    @property
    def _by_class(self) -> bool:
        """Whether the loss takes an output for each class, also if there are two."""
        if isinstance(self.loss, str) and self.loss == "log_loss":
            return False
        return bool(losses_.get(self.loss)._by_class)

    def _goal(self, labels: Labels | None, outputs: int) -> Goal:
        assert labels is not None
        self.n_outputs_ = labels.outputs
        self.n_layers_ = len(self._sizes()) + 2
        self.out_activation_ = labels.activation
        if isinstance(self.loss, str) and self.loss == "log_loss":
            if labels.kind == "multiclass":
                return Goal("cross_entropy", 1.0, 1.0, "softmax", None)
            return Goal("bce", float(labels.outputs), 1.0, "logistic", None)
        loss = losses_.get(self.loss)
        if loss._row["takes"] == "probabilities":
            return Goal(loss, 1.0, 1.0, labels.activation, None)
        if loss._row["takes"] != "logits":
            raise ValueError(f"loss: a classifier needs one that takes logits or probabilities, {type(loss).__name__} does not")
        return Goal(loss, 1.0, 1.0, None, labels.activation)

    def _weights(self, data: Data, rows: Any) -> Array | None:
        if self.class_weight is None:
            return data.weight
        y = np.asarray(data.y)
        if rows is None:
            weight = compute_sample_weight(self.class_weight, y)
        else:
            weight = np.zeros(len(y))
            weight[rows] = compute_sample_weight(self.class_weight, y[rows])
        return np.asarray(weight if data.weight is None else weight * data.weight)

    @available_if(lambda self: self._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch on these rows, with the optimizer of the last call.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array_like, optional
            All labels that will ever occur; needed in the first call.

        Returns
        -------
        Self
            The estimator itself.
        """
        if self.class_weight == "balanced":
            raise ValueError("class_weight 'balanced' is not supported for partial_fit; give the weights, or use sample_weight")
        labels = None
        if _check_partial_fit_first_call(self, classes):
            from sklearn.utils.multiclass import type_of_target

            labels = self._make_labels(y if type_of_target(y).startswith("multilabel") else np.asarray(classes))
        return self._fit(X, y, sample_weight, incremental=True, classes=labels)

    def predict(self, X: Any) -> Array:
        """Return the labels of samples.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The labels, or 0 and 1 for several labels per sample.
        """
        found = self._outputs(X)
        labels: Labels = self._labels
        return labels.decode(self._target.linked(found))

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the labels.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            The columns are in the order of ``classes_``.
        """
        found = self._outputs(X)
        found = self._target.linked(found)
        if self._labels.kind == "multilabel":  # a sigmoid may round to 1
            found = np.minimum(found, np.nextafter(found.dtype.type(1), found.dtype.type(0)))
        return np.hstack([1 - found, found]) if self.n_outputs_ == 1 else found

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            As `predict_proba`.
        """
        found = self.predict_proba(X)
        return np.asarray(np.log(found, out=found))


class MLPRegressor(RegressorMixin, MLP):  # type: ignore[misc]
    """Multi-layer perceptron regressor, a drop-in replacement of scikit-learn's.

    The parameters up to ``max_fun`` have the meaning and the defaults of `sklearn.neural_network.MLPRegressor`; those after it are
    pynn's. `MLPClassifier` describes those that both have.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, str or Loss
        Half the squared error; half the Poisson deviance, with an exponential output; or a loss of pynn, such as 'huber' or
        ``pynn.QuantileLoss(0.9)``.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state
        As in `MLPClassifier`.
    tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon
        As in `MLPClassifier`; the validation score is R^2.
    n_iter_no_change, max_fun, dropout, norm, optimizer, schedule, validation_data, callbacks, dtype, n_jobs
        As in `MLPClassifier`.
    interval : {'quantile', 'ensemble'}, optional
        What ``fit`` also trains for `predict_interval`. 'quantile': two nets for the ends of the interval. 'ensemble': ten nets on
        bootstrap samples; the width follows from their spread and from the residuals of rows that they have not seen.
    coverage : float
        The share of targets that the intervals are to contain.

    Attributes
    ----------
    coefs_, intercepts_, loss_, loss_curve_, best_loss_, validation_scores_, best_validation_score_, validation_loss_curve_, n_iter_, t_
        As in `MLPClassifier`; scores are R^2.
    n_features_in_, n_outputs_, n_layers_, feature_names_in_, out_activation_, model_
        As in `MLPClassifier`.

    Examples
    --------
    >>> from pynn.sklearn import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 10, random_state=0)
    >>> MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", max_iter=2000, random_state=0).fit(X, y).score(X, y) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **_constraints(_PeerRegressor, [str, Loss]),
        "interval": [StrOptions({*_interval.KINDS}), None],
        "coverage": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        dropout: Any = None,
        norm: Any = None,
        optimizer: Any = None,
        schedule: Any = None,
        validation_data: Any = None,
        callbacks: Any = None,
        dtype: Any = None,
        n_jobs: int | None = None,
        interval: str | None = None,
        coverage: float = 0.9,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.norm = norm
        self.optimizer = optimizer
        self.schedule = schedule
        self.validation_data = validation_data
        self.callbacks = callbacks
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.interval = interval
        self.coverage = coverage

    def _goal(self, labels: Labels | None, outputs: int) -> Goal:
        self.n_outputs_ = outputs
        self.n_layers_ = len(self._sizes()) + 2
        self.out_activation_ = "identity"
        if not isinstance(self.loss, str) or self.loss not in ("squared_error", "poisson"):
            return Goal(losses_.get(self.loss), 1.0, 1.0, None, None)
        if self.loss == "squared_error":
            return Goal("mse", outputs / 2, float(outputs), None, None)
        self.out_activation_ = "exp"
        return Goal("poisson_nll", float(outputs), 1.0, None, "exp")

    def _reported(self, goal: Goal, data: Data, weight: Array | None, rows: Any) -> Reported:
        if goal.link != "exp":
            return Reported(goal.divisor, 0.0)
        y, w = (data.target, weight) if rows is None else (data.target[rows], None if weight is None else weight[rows])
        y = y.astype(np.float64)
        constant = np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0)), 0.0) - y
        return Reported(1.0, float(np.average(constant, weights=w, axis=0).sum()))

    @available_if(lambda self: self._check_solver())  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on these rows, with the optimizer of the last call.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        Self
            The estimator itself.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """Return the predicted numbers.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The numbers.
        """
        found = self._outputs(X)
        found = self._target.linked(found)
        return found.ravel() if found.shape[1] == 1 else found

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the net, and those for prediction intervals.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            The numbers to predict.
        sample_weight : array_like of shape (n_samples,), optional
            The weights of the samples.

        Returns
        -------
        Self
            The estimator itself.

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or the weights become infinite or NaN.
        """
        return self._fit(X, y, sample_weight)

    def _finish(self, fitting: Fitting, history: Any) -> None:
        super()._finish(fitting, history)
        if fitting.incremental or self.interval is None:
            return
        if self.interval == "quantile":
            self._intervals: Any = _interval.Quantiles(self, fitting.data, fitting.rows, self.coverage)
        else:
            self._intervals = _interval.Ensembled(self, fitting.data, fitting.rows)

    def predict_interval(self, X: Any, coverage: float | None = None) -> Array:
        """Return the ends of intervals that contain the targets with a given probability.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.
        coverage : float, optional
            The probability; None: that of the estimator. With ``interval="quantile"`` no other is possible.

        Returns
        -------
        ndarray of shape (2, n_samples) or (2, n_samples, n_outputs)
            The lower and the upper ends.

        Raises
        ------
        AttributeError
            If the estimator was fitted with ``interval=None``.

        Examples
        --------
        >>> import numpy as np
        >>> from pynn.sklearn import MLPRegressor
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-1, 1, (400, 1))
        >>> y = X[:, 0] + 0.1 * rng.standard_normal(400)
        >>> net = MLPRegressor(hidden_layer_sizes=8, learning_rate_init=0.05, interval="ensemble", random_state=0).fit(X, y)
        >>> low, high = net.predict_interval(X, 0.8)
        >>> bool(0.7 < ((low < y) & (y < high)).mean() < 0.9)
        True
        """
        check_is_fitted(self)
        if "_intervals" not in vars(self):
            raise AttributeError("predict_interval: fit trains for it with interval='quantile' or interval='ensemble' only")
        if coverage is not None and not 0 < coverage < 1:
            raise ValueError(f"coverage: expected a number between 0 and 1, got {coverage}")
        found: Array = self._intervals.predict(X, self.coverage if coverage is None else coverage)
        return found
