"""NetClassifier and NetRegressor, which wrap any net."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import optim
from .._training.many import Run
from .._training.net import Net
from .._training.objective import gives
from ..losses._base import Loss
from ..optim._base import Optimizer
from ._base import NetEstimator
from ._fitting import Data, Fitting
from ._labels import Labels

Array = NDArray[Any]


class Wrapper(NetEstimator):
    """Base class of both wrappers."""

    _min_dimensions = None
    model: Net | Callable[..., Net]
    model_args: dict[str, Any] | None
    loss: Any
    optimizer: Any
    learning_rate: float | None
    epochs: int
    batch_size: int | None
    shuffle: bool
    validation_split: float | None
    callbacks: Any
    random_state: Any
    verbose: Any

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "model": [Net, callable],
        "model_args": [dict, None],
        "loss": [str, Loss, callable, None],
        "optimizer": [str, Optimizer],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "shuffle": ["boolean"],
        "validation_split": [Interval(Real, 0, 1, closed="neither"), None],
        "callbacks": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose", StrOptions({"auto"})],
        "warm_start": ["boolean"],
        "n_jobs": [Interval(Integral, 1, None, closed="left"), Options(Integral, {-1}), None],
    }

    def _input_options(self) -> dict[str, Any]:
        return {"allow_nd": True}

    def _make(self, data: Data) -> Net:
        """Return a new net: a copy of the model, or what the factory returns."""
        if isinstance(self.model, Net):
            if self.model_args is not None:
                raise ValueError("model_args: only a function that makes the net takes arguments, and model is a net")
            return copy.deepcopy(self.model)
        outputs = data.labels.outputs if data.labels is not None else data.target.shape[1]
        offered = {"n_features": data.X.shape[1], "n_outputs": outputs, "seed": int(self._random_state.randint(np.iinfo(np.int32).max))}
        accepted = inspect.signature(self.model).parameters
        net = self.model(**{name: value for name, value in offered.items() if name in accepted}, **(self.model_args or {}))
        if not isinstance(net, Net):
            raise TypeError(f"model: expected a function that returns a Sequential or a Model, got {type(net).__name__}")
        return net

    def _optimizer(self, incremental: bool) -> Any:
        if incremental and self.model_.optimizer is not None:
            return self.model_.optimizer
        if isinstance(self.optimizer, str):
            known: Any = type(optim.get(self.optimizer))
            return known() if self.learning_rate is None else known(lr=self.learning_rate)
        if self.learning_rate is not None:
            raise ValueError("learning_rate: applies to an optimizer given by name; set lr of the optimizer itself")
        return copy.deepcopy(self.optimizer)

    def _loss(self, data: Data) -> Any:
        raise NotImplementedError

    def _weights(self, data: Data, rows: Any) -> Array | None:
        return data.weight

    def _prepare(self, data: Data, rows: Any = None, *, incremental: bool = False) -> Fitting:
        self._check_parameters()
        first = self._is_first(incremental)
        self._take_facts(data)
        self._random_state = check_random_state(self.random_state)
        if first:
            self.model_ = self._make(data)
            self.loss_curve_: list[float] = []
        callbacks = self.callbacks
        listed = [] if callbacks is None else list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        run = Run(
            self.model_,
            optimizer=self._optimizer(incremental),
            loss=self._loss(data),
            epochs=1 if incremental else int(self.epochs),
            batch_size=self.batch_size,
            rows=rows,
            shuffle=bool(self.shuffle),
            callbacks=listed,
            seed=int(self._random_state.randint(np.iinfo(np.int32).max)),
        )
        run._options = {"validation_split": None if incremental else self.validation_split, "verbose": self.verbose}
        return Fitting(run, data.X, data.target, self._weights(data, rows), None, data, incremental)

    def _finish(self, fitting: Fitting, history: Any) -> None:
        found: Any = self.model_.history if history is None else history
        self.history_ = found
        losses = found.history.get("loss", [])
        self.loss_curve_ += losses
        self.n_iter_ = len(losses)

    def _raw(self, X: Any) -> Any:
        """Return checked samples for a prediction."""
        check_is_fitted(self)
        if not self._is_plain(X, False):
            X = validate_data(self, X, reset=False, **self._prediction_options())
        return X


class NetClassifier(ClassifierMixin, Wrapper):  # type: ignore[misc]
    """Classifier made of any net.

    Parameters
    ----------
    model : Sequential, Model or function
        The net, of which each ``fit`` trains a copy that begins with its weights; or a function that returns a new net. If the
        function has arguments named ``n_features``, ``n_outputs`` or ``seed``, it is called with them.
    model_args : dict, optional
        Further arguments of the function, such as ``{"hidden": 32}``.
    loss : str, Loss or function, optional
        As in `pynn.Sequential.fit`. None: cross entropy, or binary cross entropy for one output or several labels per sample.
    optimizer : str or Optimizer
        As in `pynn.Sequential.fit`; an object is copied for each ``fit``.
    learning_rate : float, optional
        The rate of an optimizer given by name; None: its default.
    epochs, batch_size, shuffle, validation_split, callbacks, verbose
        As in `pynn.Sequential.fit`.
    class_weight : 'balanced' or mapping, optional
        The weights of the classes, multiplied by ``sample_weight``.
    random_state : int, RandomState or None
        Determines the order of rows, and ``seed`` of the function.
    warm_start : bool
        Whether ``fit`` continues with the weights of the last call.
    n_jobs : int, optional
        The number of threads; None: `pynn.get_num_threads`; -1: all.

    Attributes
    ----------
    classes_ : ndarray
        The labels.
    model_ : Sequential or Model
        The fitted net.
    history_ : History
        The history of the last call.
    loss_curve_ : list of float
        The loss of each epoch.
    n_iter_, n_features_in_ : int
        The numbers of epochs and of features.

    Examples
    --------
    >>> import pynn
    >>> from pynn.sklearn import NetClassifier
    >>> X, y = pynn.datasets.load_digits()
    >>> def net(n_features, n_outputs, seed, hidden=32):
    ...     return pynn.Sequential(pynn.Linear(n_features, hidden, seed=seed), "gelu", pynn.Linear(hidden, n_outputs, seed=seed))
    >>> NetClassifier(net, model_args={"hidden": 16}, epochs=20, random_state=0).fit(X / 16, y).score(X / 16, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Wrapper._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(
        self,
        model: Any,
        *,
        model_args: dict[str, Any] | None = None,
        loss: Any = None,
        optimizer: Any = "adam",
        learning_rate: float | None = None,
        epochs: int = 10,
        batch_size: int | None = 32,
        shuffle: bool = True,
        validation_split: float | None = None,
        class_weight: Any = None,
        callbacks: Any = None,
        random_state: Any = None,
        verbose: Any = False,
        warm_start: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.model, self.model_args, self.loss, self.optimizer, self.learning_rate = model, model_args, loss, optimizer, learning_rate
        self.epochs, self.batch_size, self.shuffle, self.validation_split = epochs, batch_size, shuffle, validation_split
        self.class_weight, self.callbacks, self.random_state, self.verbose = class_weight, callbacks, random_state, verbose
        self.warm_start, self.n_jobs = warm_start, n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _loss(self, data: Data) -> Any:
        """Return the loss, and make the labels fit the outputs of the net."""
        labels: Labels = data.labels
        shape = np.asarray(self.model_.predict(data.X[:1])).shape
        width = int(np.prod(shape[1:]))
        if labels.kind == "binary" and width == 2:
            labels.kind = "multiclass"
        if width != labels.outputs:
            also = " or 2" if labels.kind == "binary" else ""
            raise ValueError(f"model: expected a net of {labels.outputs}{also} outputs for {len(labels.classes)} classes, it has {width}")
        data.target = labels.encode(data.y)
        if self.loss is not None:
            return self.loss
        lasts = self.model_._output_layers()
        given = gives(lasts[0][1]) if lasts else None
        if labels.kind == "multiclass":
            return "nll" if given == "log-probabilities" else "cross_entropy"
        return "bce" if given == "probabilities" else "bce_with_logits"

    def _weights(self, data: Data, rows: Any) -> Array | None:
        if self.class_weight is None:
            return data.weight
        y = np.asarray(data.y)
        chosen = np.arange(len(y)) if rows is None else np.asarray(rows)
        weight = np.zeros(len(y))
        weight[chosen] = compute_sample_weight(self.class_weight, y[chosen])
        return weight if data.weight is None else weight * data.weight

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the labels.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features, ...)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            The columns are in the order of ``classes_``.
        """
        found = self._probabilities(X)
        return np.hstack([1 - found, found]) if self._labels.kind == "binary" else found

    def _probabilities(self, X: Any) -> Array:
        X = self._raw(X)
        with self._threads():
            found = np.asarray(self.model_.predict_proba(X))
        return found.reshape(len(found), -1)

    def predict(self, X: Any) -> Array:
        """Return the labels of samples.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features, ...)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The labels, or 0 and 1 for several labels per sample.
        """
        found = self._probabilities(X)
        labels: Labels = self._labels
        return labels.decode(found)


class NetRegressor(RegressorMixin, Wrapper):  # type: ignore[misc]
    """Regressor made of any net.

    Parameters
    ----------
    model, model_args, optimizer, learning_rate, epochs, batch_size, shuffle, validation_split, callbacks, random_state, verbose
        As in `NetClassifier`.
    loss : str, Loss or function
        As in `pynn.Sequential.fit`.
    warm_start, n_jobs
        As in `NetClassifier`.

    Attributes
    ----------
    model_, history_, loss_curve_, n_iter_, n_features_in_
        As in `NetClassifier`.

    Examples
    --------
    >>> import pynn
    >>> from pynn.sklearn import NetRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> net = pynn.Sequential(pynn.Linear(5, 16, seed=0), "relu", pynn.Linear(16, 1, seed=1))
    >>> NetRegressor(net, epochs=100, learning_rate=0.01, random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        model: Any,
        *,
        model_args: dict[str, Any] | None = None,
        loss: Any = "mse",
        optimizer: Any = "adam",
        learning_rate: float | None = None,
        epochs: int = 10,
        batch_size: int | None = 32,
        shuffle: bool = True,
        validation_split: float | None = None,
        callbacks: Any = None,
        random_state: Any = None,
        verbose: Any = False,
        warm_start: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.model, self.model_args, self.loss, self.optimizer, self.learning_rate = model, model_args, loss, optimizer, learning_rate
        self.epochs, self.batch_size, self.shuffle, self.validation_split = epochs, batch_size, shuffle, validation_split
        self.callbacks, self.random_state, self.verbose, self.warm_start, self.n_jobs = callbacks, random_state, verbose, warm_start, n_jobs

    def _loss(self, data: Data) -> Any:
        return self.loss

    def predict(self, X: Any) -> Array:
        """Return the predicted numbers.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features, ...)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The numbers.
        """
        X = self._raw(X)
        with self._threads():
            found = np.asarray(self.model_.predict(X))
        return found.ravel() if found.ndim == 2 and found.shape[1] == 1 else found
