"""Warnings about the health of the layers while a net is being trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._training.advice import PROBLEM, HealthThresholds, sentences
from .._training.callback import Callback, Expected, Logs
from .._training.messages import warn


class HealthMonitor(Callback):
    """Warn during training about problems of the layers, and record their health in every epoch.

    Each layer and cause is reported once. ``history.health`` holds a `Health` for each epoch.

    Parameters
    ----------
    dead, saturated : float
        The share of dead, or saturated, units of a layer above which to warn.
    gradient : float
        The largest ratio of the gradient norms of the first and the last layer, in either direction.
    update : float
        The largest change of a layer's parameters in one step, relative to their length.
    output : float
        The largest mean, or standard deviation, of the outputs of a hidden layer.

    Raises
    ------
    ValueError
        If a threshold is not over 0, or ``fit`` is called with ``health=False``.

    Warns
    -----
    UserWarning
        The sentences of ``model.health().problems`` for these thresholds. Notes are not reported.

    Examples
    --------
    >>> import numpy as np, pynn, warnings
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> model = pynn.Sequential(pynn.Linear(1, 10, seed=0), "relu", pynn.Linear(10, 1, seed=1))
    >>> model[0].bias[:6] = -100
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     hist = model.fit(X, X**2, loss="mse", epochs=3, callbacks=[pynn.callbacks.HealthMonitor()], seed=0)
    >>> [str(one.message) for one in caught]
    ['layer 1: 60 % of ReLU units never fired in the last epoch; use LeakyReLU or GELU, or restart with a lower learning rate']
    >>> [health["1"].dead for health in hist.health]
    [0.6, 0.6, 0.6]
    """

    def __init__(
        self,
        *,
        dead: float = PROBLEM.dead,
        saturated: float = PROBLEM.saturated,
        gradient: float = PROBLEM.gradient,
        update: float = PROBLEM.update,
        output: float = PROBLEM.output,
    ) -> None:
        self.limits = HealthThresholds(dead, saturated, gradient, update, output)
        for name, value in self.limits._asdict().items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ValueError(f"{name}: expected a number over 0, got {value!r}")
        self._reported: set[tuple[str, str]] = set()

    _adds_logs = False
    _any_thread = True

    def _check(self, expected: Expected) -> None:
        """Check that the health is recorded."""
        if not expected.health:
            raise ValueError("HealthMonitor: needs the health of the layers, which health=False disables; call fit without health=False")

    def on_train_begin(self, logs: Logs) -> None:
        """Clear the record of reported problems."""
        self._reported = set()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Record the health, and warn about new problems."""
        health = self.model.health()
        if self.model.history is not None:
            self.model.history.health.append(health)
        new = [one for one in health.findings(self.limits, None) if (one.rule, one.where) not in self._reported]
        self._reported |= {(one.rule, one.where) for one in new}
        for text in sentences(new):
            warn(text)

    def state_dict(self) -> dict[str, Any]:
        """Return the problems that have been reported."""
        return {"told": sorted(self._reported)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the problems that have been reported."""
        self._reported = {(str(kind), str(layer)) for kind, layer in state["told"]}
