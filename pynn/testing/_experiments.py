"""Assertions about experiments: scores over seeds, whether a net learns, and its health."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._tables import check_count
from .._training.callback import Callback, Logs
from .._training.divergence import DivergenceError
from .._training.net import Net

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..losses._base import Loss
    from ..optim._base import Optimizer

_STILL_FALLING = 0.02
"""A loss that falls by more than this share in the last tenth of the epochs has not converged."""


def assert_beats(
    a: ArrayLike,
    b: ArrayLike | Mapping[str, ArrayLike],
    *,
    confidence: float = 0.95,
    test_fraction: float | None = None,
    rope: float | None = None,
) -> None:
    """Assert that the scores of one method are higher than those of another, seed by seed, beyond chance.

    The scores are paired: the i-th score of each method comes from the same seed. `pynn.lab.analyze` tests the differences with
    sign flips, or with paired t tests for 6 or 7 seeds. Its p is two-sided, and corrected for all pairs if there are several
    opponents.

    Parameters
    ----------
    a : array_like of shape (seeds,)
        The scores that must be better. Higher is better, so negate losses.
    b : array_like of shape (seeds,), or mapping of str to those
        The scores to beat, or those of several methods, all of which must be beaten.
    confidence : float
        One minus the probability of passing although the methods are equally good, from 0.5 to 0.999.
    test_fraction : float, optional
        The fraction of samples in the test set, if each seed draws another split of the same samples, see `pynn.lab.analyze`.
    rope : float, optional
        The largest difference that does not matter; only for the number of seeds that the message recommends.

    Raises
    ------
    AssertionError
        If the scores do not show that `a` is better. The message gives the difference, its confidence interval, and how many seeds
        would decide.
    ValueError
        If there are too few seeds to show it at this confidence, or scores are not paired or not finite.

    Examples
    --------
    >>> from pynn.testing import assert_beats
    >>> relu = [0.95, 0.96, 0.94, 0.97, 0.95, 0.96, 0.95, 0.97]
    >>> sigmoid = [0.91, 0.93, 0.90, 0.92, 0.92, 0.93, 0.90, 0.94]
    >>> assert_beats(relu, sigmoid)
    >>> assert_beats(sigmoid, relu)
    Traceback (most recent call last):
    AssertionError: a does not beat b: a is lower by 3.7 points on average, 95 % interval -4.6 to -2.9 points (p = ...
    """
    from ..lab import analyze
    from ..lab._words import number

    if not 0.5 <= confidence <= 0.999:
        raise ValueError(f"confidence: expected a number from 0.5 to 0.999, got {confidence!r}")
    others = dict(b) if isinstance(b, Mapping) else {"b": b}
    if "a" in others:
        raise ValueError("b: the label 'a' is reserved for the first scores; choose another one")
    verdict = analyze({"a": a, **others}, test_fraction=test_fraction, rope=rope, alpha=1 - confidence)
    if verdict.method == "none":
        raise ValueError(f"a: {verdict.seeds} scores; at confidence {confidence:g} at least {verdict.fewest_seeds} are needed")
    unit = " points" if verdict.shares else ""
    for pair in verdict.differences:
        if pair.a != "a" or (pair.p <= verdict.alpha and pair.mean > 0):
            continue
        if pair.mean:
            size = f"a is {'higher' if pair.mean > 0 else 'lower'} by {number(verdict, abs(pair.mean))}{unit} on average"
        else:
            size = "both are equal on average"
        low, high = number(verdict, pair.low, math.floor), number(verdict, pair.high, math.ceil)
        text = f"a does not beat {pair.b}: {size}, {100 * confidence:.4g} % interval {low} to {high}{unit}"
        raise AssertionError("\n".join([f"{text} (p = {pair.p:.3g}, {verdict.seeds} seeds)", *verdict.sentences()]))


class _StopAt(Callback):
    """End training when the accuracy of an epoch has reached the score."""

    _any_thread = True

    def __init__(self, score: float) -> None:
        self.score = score

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.model.stop_training = logs.get("accuracy", -math.inf) >= self.score


def assert_learns(
    model: Net,
    X: Any,
    y: Any,
    *,
    score: float,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer = "adam",
    epochs: int = 100,
    batch_size: int | None = None,
    test_data: Sequence[Any] | None = None,
    seed: int = 0,
) -> float:
    """Assert that a copy of a model reaches a score when it is trained.

    Training ends early when the accuracy of an epoch reaches the score. The given model is not changed.

    Parameters
    ----------
    model : Sequential or Model
        The model, with one output.
    X, y : array_like
        The samples and their targets.
    score : float
        The lowest score that passes: the accuracy if the targets are classes, otherwise R2, the share of explained variance.
    loss : str or Loss, optional
        Default: 'cross_entropy' if `y` holds integers in one dimension, otherwise 'mse'.
    optimizer : str or Optimizer
        As in `fit`.
    epochs : int
        The largest number of epochs.
    batch_size : int, optional
        As in `fit`.
    test_data : pair of array_like, optional
        The samples and targets on which the score is measured; default: those of the training.
    seed : int
        The seed of the order of the samples.

    Returns
    -------
    float
        The score.

    Raises
    ------
    AssertionError
        If the score is not reached, or training diverges. The message gives the score of a constant prediction, the course of the
        loss, and the advice of the health report.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from pynn.testing import assert_learns
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> model = pynn.Sequential(pynn.Linear(1, 16, seed=0), "tanh", pynn.Linear(16, 1, seed=1))
    >>> score = assert_learns(model, X, X**2, score=0.9, optimizer=pynn.optim.Adam(lr=0.03))
    >>> score > 0.9
    True
    """
    if not isinstance(model, Net):
        raise TypeError(f"model: expected a pynn.Sequential or pynn.Model, got {model!r}")
    if isinstance(score, bool) or not isinstance(score, (int, float, np.floating)) or not score <= 1:
        raise ValueError(f"score: expected a number up to 1, an accuracy or R2, got {score!r}")
    check_count("epochs", epochs, 1)
    target = np.asarray(y)
    loss = loss or ("cross_entropy" if target.ndim == 1 and target.dtype.kind in "iu" else "mse")
    trained, name = copy.deepcopy(model), type(model).__name__
    stop = [_StopAt(score)] if test_data is None else None
    fresh = copy.deepcopy(optimizer)
    try:
        history = trained.fit(X, y, loss=loss, optimizer=fresh, epochs=epochs, batch_size=batch_size, callbacks=stop, seed=seed)
    except DivergenceError as error:
        raise AssertionError(f"{name} does not learn: {error}") from error
    X_test, y_test = (X, y) if test_data is None else test_data
    found = trained.evaluate(X_test, y_test)
    what = "accuracy" if "accuracy" in found else "R2"
    reached = found["accuracy"] if "accuracy" in found else _r2(y_test, trained.predict(X_test))
    if reached >= score:
        return float(reached)
    losses = history.history["loss"]
    where = f"on the {len(np.asarray(y_test))} {'training' if test_data is None else 'test'} samples"
    lines = [
        f"{name} does not learn: {what} {reached:.4g} {where} after {len(losses)} epochs, expected at least {score:g}",
        f"- {_constant(y_test, what)}",
        f"- the loss went from {losses[0]:.4g} to {losses[-1]:.4g}{_outlook(losses)}",
    ]
    raise AssertionError("\n".join([*lines, *(f"- {text}" for text in trained.health().advice)]))


def _r2(y: Any, predicted: Any) -> float:
    from ..metrics import r2

    return float(r2(np.asarray(y).reshape(np.shape(predicted)), predicted))


def _constant(y: Any, what: str) -> str:
    """Describe the score of the best constant prediction."""
    target = np.asarray(y)
    if what == "R2":
        return "predicting the mean gives an R2 of 0"
    rows = target.argmax(axis=1) if target.ndim == 2 and target.shape[1] > 1 else target.ravel()
    return f"predicting the most frequent class gives an accuracy of {np.unique(rows, return_counts=True)[1].max() / len(rows):.4g}"


def _outlook(losses: Sequence[float]) -> str:
    before = losses[-1 - max(1, len(losses) // 10)] if len(losses) > 1 else math.nan
    falling = before - losses[-1] > _STILL_FALLING * abs(before)
    return ", and was still falling: train for more epochs, or raise the learning rate" if falling else ""


def assert_healthy(model: Net, X: Any = None, y: Any = None, *, loss: str | Loss | None = None, notes: bool = False) -> None:
    """Assert that the health report of a model lists no problem.

    Parameters
    ----------
    model : Sequential or Model
        A model that has been fitted; with `X`, any model.
    X, y : array_like, optional
        Data on which health is measured, see `health`; default: the last epoch of training.
    loss : str or Loss, optional
        The loss of `y`; default: that of the last ``fit``.
    notes : bool
        Whether notes, which are also common in nets that learn well, fail too.

    Raises
    ------
    AssertionError
        If there is a problem. The message lists the advice and the report.
    ValueError
        If the model has not been fitted, and there is no `X`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from pynn.testing import assert_healthy
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> model = pynn.Sequential(pynn.Linear(1, 10, seed=0), "relu", pynn.Linear(10, 1, seed=1))
    >>> assert_healthy(model, X)
    >>> model[0].bias[:6] = -100
    >>> assert_healthy(model, X)
    Traceback (most recent call last):
    AssertionError: Sequential has 1 health problem on the given data:
    - problem: layer 1: 60 % of ReLU units never fired on these data; ...
    """
    if not isinstance(model, Net):
        raise TypeError(f"model: expected a pynn.Sequential or pynn.Model, got {model!r}")
    health = model.health(X, y, loss=loss)
    found = health.advice if notes else [f"problem: {text}" for text in health.problems]
    if found:
        when = "on the given data" if health.epoch is None else f"in epoch {health.epoch}"
        head = f"{type(model).__name__} has {_counted(found)} {when}:"
        raise AssertionError("\n".join([head, *(f"- {text}" for text in found), "", str(health)]))


def _counted(found: Iterable[str]) -> str:
    texts = [*found]
    kinds = {"problem": sum(text.startswith("problem") for text in texts)}
    kinds["note"] = len(texts) - kinds["problem"]
    return " and ".join(f"{n} health {kind}{'s' * (n > 1)}" for kind, n in kinds.items() if n)
