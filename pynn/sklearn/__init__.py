"""Estimators for scikit-learn: nets with the interface of its multi-layer perceptrons, and wrappers of any net.

`MLPClassifier` and `MLPRegressor` take the parameters of scikit-learn's classes of the same names, with the same meaning and
defaults, and have the same attributes after ``fit``. Further keyword-only parameters give access to pynn's activations, layers,
losses, optimizers and schedules. `NetClassifier` and `NetRegressor` wrap any `pynn.Sequential` or `pynn.Model`.

`GridSearchCV`, `RandomizedSearchCV`, `cross_validate` and `cross_val_score` are scikit-learn's, with the same results. They train the
nets of all settings and folds in one call of `pynn.fit_many`.

This package needs scikit-learn, which ``pip install "pynn-c[sklearn]"`` installs.

Examples
--------
>>> from pynn.sklearn import MLPClassifier
>>> from sklearn.datasets import load_digits
>>> X, y = load_digits(return_X_y=True)
>>> MLPClassifier((32,), activation="gelu", early_stopping=True, random_state=0).fit(X, y).score(X, y) > 0.95
True
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._mlp import MLPClassifier, MLPRegressor
    from ._search import GridSearchCV, RandomizedSearchCV, cross_val_score, cross_validate
    from ._wrappers import NetClassifier, NetRegressor

_HOMES = {
    "GridSearchCV": "_search",
    "MLPClassifier": "_mlp",
    "MLPRegressor": "_mlp",
    "NetClassifier": "_wrappers",
    "NetRegressor": "_wrappers",
    "RandomizedSearchCV": "_search",
    "cross_val_score": "_search",
    "cross_validate": "_search",
}
"""The module of each public name, imported when the name is first used."""

__all__ = [
    "GridSearchCV",
    "MLPClassifier",
    "MLPRegressor",
    "NetClassifier",
    "NetRegressor",
    "RandomizedSearchCV",
    "cross_val_score",
    "cross_validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        importlib.import_module("sklearn")
    except ImportError as error:
        raise ImportError(f'pynn.sklearn.{name} needs scikit-learn: pip install "pynn-c[sklearn]"') from error
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
