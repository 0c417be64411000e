"""Cross-validation and searches of scikit-learn, whose nets train together."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import model_selection

from ._together import together


class GridSearchCV(model_selection.GridSearchCV):  # type: ignore[misc]
    """Choose the best of all combinations of parameters by cross-validation.

    It is scikit-learn's class of the same name, with the same parameters, attributes and results. If `estimator` belongs to this
    package, all its nets are trained by `pynn.fit_many`, one per core at a time, on rows of the same arrays.

    Parameters
    ----------
    estimator : estimator
        The estimator whose parameters are chosen.
    param_grid : dict or list of dict
        The values of each parameter to combine.
    scoring, refit, cv, verbose, error_score, return_train_score
        As in `sklearn.model_selection.GridSearchCV`.
    n_jobs : int, optional
        The number of nets that train at the same time. None: `pynn.get_num_threads`. -1: the same, -2 one less, and so on. For other
        estimators as in scikit-learn.
    pre_dispatch : int or str
        An integer limits the number of nets in memory; they are limited by their size otherwise. For other estimators as in
        scikit-learn.

    Notes
    -----
    Scores, parameters and the chosen estimator are those of scikit-learn's class with the same estimator, bit for bit, if its
    `random_state` is an integer. ``cv_results_["mean_fit_time"]`` is the mean time of the epochs of a net, while others may train.
    The times that `verbose` prints do not include it.

    Other estimators, and estimators of this package within a pipeline, are fitted one after the other or by joblib, as in
    scikit-learn. So are fits whose data would be understood differently alone, such as folds that lack a class, and searches with
    callbacks of scikit-learn, or within a context of joblib that selects several machines, such as those of Dask.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pynn.sklearn import GridSearchCV, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifier((8,), max_iter=300, learning_rate_init=0.02, tol=1e-2, random_state=0)
    >>> search = GridSearchCV(net, {"activation": ["relu", "tanh"], "alpha": [1e-4, 1e-2]}, cv=3).fit(X, y)
    >>> bool(search.best_score_ > 0.9)
    True
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Train all combinations, and the best one on all data.

        Parameters
        ----------
        X : array_like, table or sparse matrix of shape (n_samples, n_features)
            The samples.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs), optional
            The targets.
        **params
            Arguments of the estimator's ``fit``, the splitter and the scorers, such as ``sample_weight`` and ``groups``.

        Returns
        -------
        Self
            The search itself.
        """
        with together(_trained(self), self.n_jobs):
            return super().fit(X, y, **params)  # type: ignore[no-any-return]


class RandomizedSearchCV(model_selection.RandomizedSearchCV):  # type: ignore[misc]
    """Choose the best of some random combinations of parameters by cross-validation.

    It is scikit-learn's class of the same name; see `GridSearchCV` for what differs.

    Parameters
    ----------
    estimator : estimator
        The estimator whose parameters are chosen.
    param_distributions : dict or list of dict
        The values or distributions of each parameter.
    n_iter : int
        The number of combinations.
    random_state : int, RandomState or None
        The source of randomness of the combinations.
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in `GridSearchCV`.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from pynn.sklearn import MLPClassifier, RandomizedSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifier((8,), max_iter=300, tol=1e-2, random_state=0)
    >>> search = RandomizedSearchCV(net, {"learning_rate_init": loguniform(1e-3, 1e-1)}, n_iter=4, cv=3, random_state=0)
    >>> bool(search.fit(X, y).best_score_ > 0.9)
    True
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Train all combinations, and the best one on all data.

        Parameters
        ----------
        X : array_like, table or sparse matrix of shape (n_samples, n_features)
            The samples.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs), optional
            The targets.
        **params
            Arguments of the estimator's ``fit``, the splitter and the scorers, such as ``sample_weight`` and ``groups``.

        Returns
        -------
        Self
            The search itself.
        """
        with together(_trained(self), self.n_jobs):
            return super().fit(X, y, **params)  # type: ignore[no-any-return]


def _trained(search: Any) -> Any:
    """Return the estimator of a search; None with callbacks of scikit-learn, which observe each fit and its data."""
    return None if vars(search).get("_skl_callbacks") else search.estimator


def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: int | str = "2*n_jobs",
    return_train_score: bool = False,
    return_estimator: bool = False,
    return_indices: bool = False,
    error_score: float | str = np.nan,
) -> dict[str, Any]:
    """Return the scores and times of an estimator for each split of cross-validation.

    It is scikit-learn's function of the same name; see `GridSearchCV` for what differs.

    Parameters
    ----------
    estimator : estimator
        The estimator, which is cloned for each split.
    X, y : array_like
        The samples and targets.
    groups, scoring, cv, verbose, params, return_train_score, return_estimator, return_indices, error_score
        As in `sklearn.model_selection.cross_validate`.
    n_jobs, pre_dispatch
        As in `GridSearchCV`.

    Returns
    -------
    dict of str to array
        'test_score', 'fit_time', 'score_time' and what was asked for.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pynn.sklearn import MLPClassifier, cross_validate
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifier((8,), max_iter=300, learning_rate_init=0.02, tol=1e-2, random_state=0)
    >>> sorted(cross_validate(net, X, y))
    ['fit_time', 'score_time', 'test_score']
    """
    with together(estimator, n_jobs):
        found: dict[str, Any] = model_selection.cross_validate(
            estimator,
            X,
            y,
            groups=groups,
            scoring=scoring,
            cv=cv,
            n_jobs=n_jobs,
            verbose=verbose,
            params=params,
            pre_dispatch=pre_dispatch,
            return_train_score=return_train_score,
            return_estimator=return_estimator,
            return_indices=return_indices,
            error_score=error_score,
        )
    return found


def cross_val_score(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: int | str = "2*n_jobs",
    error_score: float | str = np.nan,
) -> NDArray[np.float64]:
    """Return the score of an estimator for each split of cross-validation.

    It is scikit-learn's function of the same name; see `GridSearchCV` for what differs.

    Parameters
    ----------
    estimator : estimator
        The estimator, which is cloned for each split.
    X, y : array_like
        The samples and targets.
    groups, scoring, cv, verbose, params, error_score
        As in `sklearn.model_selection.cross_val_score`.
    n_jobs, pre_dispatch
        As in `GridSearchCV`.

    Returns
    -------
    ndarray of shape (splits,)
        The scores.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from pynn.sklearn import MLPClassifier, cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifier((8,), max_iter=300, learning_rate_init=0.02, tol=1e-2, random_state=0)
    >>> bool(cross_val_score(net, X, y).mean() > 0.9)
    True
    """
    with together(estimator, n_jobs):
        found: NDArray[np.float64] = model_selection.cross_val_score(
            estimator,
            X,
            y,
            groups=groups,
            scoring=scoring,
            cv=cv,
            n_jobs=n_jobs,
            verbose=verbose,
            params=params,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
        )
    return found
