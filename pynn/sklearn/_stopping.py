"""The rules by which scikit-learn's multi-layer perceptrons record their loss, lower the learning rate, and stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._training.callback import Callback

_SMALLEST_RATE = 1e-6
"""With ``learning_rate="adaptive"``, training stops instead of lowering a rate that is not over this."""


class Order:
    """The order of the rows in each epoch: that of the last one, permuted by the random state."""

    def __init__(self, random_state: np.random.RandomState) -> None:
        self.random_state = random_state
        self.at: NDArray[np.intp] | None = None

    def __call__(self, rows: int) -> NDArray[np.intp]:
        """Return the order of the next epoch."""
        permutation = np.arange(rows)
        self.random_state.shuffle(permutation)
        self.at = permutation if self.at is None else self.at[permutation]
        return self.at


class Progress:
    """What an estimator has recorded over all its trainings, from which a warm start continues.

    Attributes
    ----------
    curve : list of float
        The loss of each epoch.
    best_loss : float or None
        The smallest loss; None with early stopping.
    scores : list of float or None
        The validation score of each epoch; None without early stopping.
    best_score : float or None
        The largest score.
    losses : list of float
        The loss on the validation rows, if there are any.
    waited : int
        The number of epochs without an improvement.
    samples : int
        The number of samples seen.
    """

    def __init__(self, early_stopping: bool) -> None:
        self.curve: list[float] = []
        self.best_loss: float | None = None if early_stopping else math.inf
        self.scores: list[float] | None = [] if early_stopping else None
        self.best_score: float | None = -math.inf if early_stopping else None
        self.losses: list[float] = []
        self.waited = 0
        self.samples = 0


class Rate:
    """The learning rate of stochastic gradient descent.

    Parameters
    ----------
    kind : {'constant', 'invscaling', 'adaptive'}
        'invscaling' divides the initial rate by a power of the number of samples seen; 'adaptive' divides the rate by 5 instead of
        stopping, until it is tiny.
    initial, power : float
        The initial rate, and the power of 'invscaling'.
    """

    def __init__(self, kind: str, initial: float, power: float) -> None:
        self.kind, self.initial, self.power, self.learning_rate = kind, float(initial), power, float(initial)

    def after_epoch(self, samples: int) -> None:
        """Update the rate after an epoch."""
        if self.kind == "invscaling":
            self.learning_rate = self.initial / (samples + 1) ** self.power

    def lowered(self) -> bool:
        """Lower the rate when training would stop, and return whether it was lowered."""
        if self.kind != "adaptive" or self.learning_rate <= _SMALLEST_RATE:
            return False
        self.learning_rate /= 5.0
        return True


class Stopping(Callback):
    """Record the loss of each epoch, and decide when to stop.

    Parameters
    ----------
    progress : Progress
        The record, which is continued.
    rate : Rate
        The learning rate.
    reported : callable
        Maps the loss of the core and its penalty to the loss that is reported.
    tol, patience, verbose
        The estimator's ``tol``, ``n_iter_no_change`` and ``verbose``.
    rows : int
        The number of samples of an epoch.
    score : callable, optional
        Returns the validation score of a net, for early stopping.
    """

    _any_thread = True
    _adds_logs = False

    def __init__(
        self,
        progress: Progress,
        rate: Rate,
        reported: Callable[[float, float], float],
        *,
        tol: float,
        patience: float,
        verbose: Any,
        rows: int,
        score: Callable[[Any], float] | None = None,
    ) -> None:
        self.progress, self.rate, self.reported = progress, rate, reported
        self.tol, self.patience, self.verbose, self.rows, self.score = tol, patience, verbose, rows, score
        self.epochs = 0
        self.stopped = False
        self.best: list[NDArray[Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Record the loss, and stop training or lower the rate."""
        progress = self.progress
        penalty = logs["penalty"]
        loss = self.reported(logs["loss"], penalty)
        self.epochs += 1
        progress.samples += self.rows
        progress.curve.append(loss)
        if self.verbose:
            print(f"Iteration {self.epochs}, loss = {loss:.8f}")
        if "val_loss" in logs:
            progress.losses.append(self.reported(logs["val_loss"], 0.0))
        if self.score is None:
            self._compare_loss(loss)
        else:
            self._compare_score(self.score(self.model))
        before = self.rate.learning_rate
        self.rate.after_epoch(progress.samples)
        if progress.waited > self.patience:
            self._give_up()
        if self.rate.learning_rate != before:
            self._set_rate(before)

    def _compare_loss(self, loss: float) -> None:
        progress = self.progress
        assert progress.best_loss is not None
        progress.waited = progress.waited + 1 if loss > progress.best_loss - self.tol else 0
        progress.best_loss = min(progress.best_loss, loss) if not math.isnan(loss) else progress.best_loss

    def _compare_score(self, score: float) -> None:
        progress = self.progress
        assert progress.scores is not None
        assert progress.best_score is not None
        progress.scores.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        progress.waited = progress.waited + 1 if score < progress.best_score + self.tol else 0
        if score > progress.best_score:
            progress.best_score = score
            self.best = [array.data.copy() for array in self.model._all_state().values()]

    def _give_up(self) -> None:
        what = "Training loss" if self.score is None else "Validation score"
        text = f"{what} did not improve more than tol={self.tol:f} for {self.patience} consecutive epochs."
        if self.rate.lowered():
            self.progress.waited = 0
            how = f"Setting learning rate to {self.rate.learning_rate:f}"
        else:
            self.stopped = self.model.stop_training = True
            how = "Learning rate too small. Stopping." if self.rate.kind == "adaptive" else "Stopping."
        if self.verbose:
            print(f"{text} {how}")

    def _set_rate(self, before: float) -> None:
        """Set the rate of the optimizer. The buffers of momentum are scaled, since scikit-learn's contain the rate of their time."""
        optimizer = self.optimizer
        optimizer.set_rate(self.rate.learning_rate)
        for state in optimizer.state.values():
            if "momentum_buffer" in state:
                state["momentum_buffer"] *= before / self.rate.learning_rate
