"""What all estimators share: checks of arguments and data, training, and prediction."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from .. import _core
from .._threads import num_threads
from ._fitting import Data
from ._labels import Labels

if TYPE_CHECKING:
    from .._training.net import Net
    from ._fitting import Fitting

Array = NDArray[Any]

_FLOATS = ("f", "d")
_BLOCK = 256
"""The number of rows of a sparse matrix that are made dense at a time."""
_valid: set[Any] = set()
"""Combinations of parameters that have passed their checks, which take 0.1 ms."""
_MOST_VALID = 4096


def is_finite(a: Array) -> bool:
    """Return whether all numbers of an array are finite; may be False for huge numbers."""
    if a.flags.c_contiguous:
        return bool(_core.all_finite([a]))
    return bool(np.isfinite(a.sum()))


def blocks(X: Any) -> Iterator[Array]:
    """Yield blocks of rows of a sparse matrix as dense arrays."""
    rows = X.tocsr()
    for start in range(0, X.shape[0], _BLOCK):
        yield rows[start : start + _BLOCK].toarray()


def outputs_of(net: Net, X: Any) -> Array:
    """Return the outputs of a net for an array or a sparse matrix."""
    return np.asarray(net.predict(X if isinstance(X, np.ndarray) else blocks(X)))


class HeldScore:
    """The score of a net on validation rows: accuracy for labels, R^2 for numbers, NaN for outputs that are not finite."""

    def __init__(self, X: Any, y: Any, weight: Array | None, labels: Labels | None, link: Any) -> None:
        self.X, self.y, self.weight, self.labels, self.link = X, y, weight, labels, link

    def __call__(self, net: Net) -> float:
        """Return the score."""
        found = self.link(outputs_of(net, self.X))
        if not np.isfinite(found).all():
            return float("nan")
        if self.labels is None:
            return float(r2_score(self.y, found, sample_weight=self.weight))
        guess = self.labels.decode(found)
        if self.weight is None and guess.ndim == 1:
            return float((guess == self.y).mean())
        return float(accuracy_score(self.y, guess, sample_weight=self.weight))


class NetEstimator(BaseEstimator):  # type: ignore[misc]
    """Base class of the estimators."""

    _parameter_constraints: ClassVar[dict[str, Any]]
    _min_dimensions: ClassVar[int | None] = 2
    """The number of axes of `X`; None: any."""
    n_jobs: int | None
    warm_start: bool
    model_: Net
    """The fitted net."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._min_dimensions == 2
        return tags

    # ---- parameters and data --------------------------------------------------------------------------------------
    def _check_parameters(self) -> None:
        """Raise if a parameter is invalid."""
        given = [vars(self)[name] for name in self._parameter_constraints if name in vars(self)]
        try:
            key = (type(self), *((type(value), value) for value in given))
            if key in _valid:
                return
        except TypeError:
            key = None
        self._validate_params()
        if key is not None and len(_valid) < _MOST_VALID:
            _valid.add(key)

    def _take_facts(self, data: Data) -> None:
        """Set the attributes that describe the data."""
        self.n_features_in_ = int(data.X.shape[1])
        if data.names is not None:
            self.feature_names_in_ = data.names
        if data.labels is not None:
            self._labels = data.labels
            self.classes_ = data.labels.classes

    def _samples(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        """Return checked samples and targets."""
        return validate_data(  # type: ignore[no-any-return]
            self,
            X,
            y,
            reset=reset,
            multi_output=True,
            y_numeric=not self._is_classifier,
            dtype=(np.float64, np.float32),
            **self._input_options(),
        )

    def _input_options(self) -> dict[str, Any]:
        if self._min_dimensions == 2:
            return {"accept_sparse": ["csr", "csc"]}
        return {"ensure_2d": False, "allow_nd": True}

    @property
    def _is_classifier(self) -> bool:
        return hasattr(self, "predict_proba")

    def _is_plain(self, X: Any, reset: bool) -> bool:
        """Return whether samples need no conversion, so that the checks of scikit-learn, which take 0.2 ms, would change nothing."""
        return (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype.char in _FLOATS
            and X.size > 0
            and X.dtype.isnative
            and (X.shape[1] == getattr(self, "n_features_in_", None) or reset)
            and (reset or not hasattr(self, "feature_names_in_"))
            and is_finite(X)
        )

    def _is_plain_target(self, y: Any, rows: int) -> bool:
        """Return whether targets need no conversion."""
        if type(y) is not np.ndarray or y.shape != (rows,):
            return False
        return y.dtype.kind in "iub" if self._is_classifier else y.dtype.char in _FLOATS and is_finite(y)

    def _data(self, X: Any, y: Any, sample_weight: Any = None, *, reset: bool = True, classes: Any = None) -> Data:
        """Check data.

        Parameters
        ----------
        X, y, sample_weight
            As in ``fit``.
        reset : bool
            Whether they may have other features and labels than those of the last training.
        classes : Labels, optional
            The labels; None: those of the last training, or those of `y`.
        """
        if self._is_plain(X, reset) and self._is_plain_target(y, len(X)):
            names = None
            if reset and hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        else:
            X, y = self._samples(X, y, reset)
            names = getattr(self, "feature_names_in_", None)
            if y.ndim == 2 and y.shape[1] == 1:
                y = column_or_1d(y, warn=True)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        labels = None
        if self._is_classifier:
            labels = classes
            if labels is None:
                labels = self._make_labels(y) if reset else self._labels
            if not reset or classes is not None:
                labels.check(y, same=self.warm_start and classes is None)
            target = labels.encode(y)
        else:
            target = np.asarray(y, X.dtype if X.dtype.char in _FLOATS else np.float64)
            target = target if target.ndim > 1 else target[:, None]
        return Data(X, target, y, weight, labels, names)

    def _make_labels(self, y: Any) -> Labels:
        return Labels(y)

    # ---- training -------------------------------------------------------------------------------------------------
    def _prepare(self, data: Data, rows: Any = None, *, incremental: bool = False) -> Fitting:
        """Return the training on some rows of checked data, without running it.

        Parameters
        ----------
        data : Data
            What `_data` returned, for this estimator or another one with equal labels.
        rows : array_like of int, optional
            The indices of the rows to train on; None: all.
        incremental : bool
            Whether it is one epoch that continues the last training.
        """
        raise NotImplementedError

    def _finish(self, fitting: Fitting, history: Any) -> None:
        """Set the attributes after a training."""
        raise NotImplementedError

    def _is_first(self, incremental: bool) -> bool:
        """Return whether a training begins with new weights."""
        return not self.__sklearn_is_fitted__() or not (self.warm_start or incremental)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool = False, classes: Any = None) -> Self:
        self._check_parameters()
        with self._threads():
            data = self._data(X, y, sample_weight, reset=self._is_first(incremental), classes=classes)
            fitting = self._prepare(data, incremental=incremental)
            history: Any = None
            try:
                history = fitting.train()
            except KeyboardInterrupt:
                warnings.warn("Training interrupted by user.", stacklevel=3)
            self._finish(fitting, history)
        return self

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the net.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The samples.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            The labels, or an indicator matrix of several labels per sample; for regression the numbers.
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

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        """Use ``n_jobs`` threads."""
        if self.n_jobs is None:
            yield
            return
        with num_threads(None if self.n_jobs < 0 else self.n_jobs):
            yield

    # ---- prediction -----------------------------------------------------------------------------------------------
    def _outputs(self, X: Any) -> Array:
        """Return the outputs of the net for samples as given by the caller."""
        check_is_fitted(self)
        if not self._is_plain(X, False):
            X = validate_data(self, X, reset=False, **self._prediction_options())
        self._synchronise()
        if self.n_jobs is None:
            return outputs_of(self.model_, X)
        with self._threads():
            return outputs_of(self.model_, X)

    def _prediction_options(self) -> dict[str, Any]:
        return {**self._input_options(), "dtype": (np.float64, np.float32)}

    def _synchronise(self) -> None:
        """Use weights that the caller has assigned to the attributes of the estimator."""

    def __sklearn_is_fitted__(self) -> bool:
        return "model_" in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
