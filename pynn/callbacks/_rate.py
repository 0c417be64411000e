"""A callback that sets the learning rate of each epoch from a function."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .._training.callback import Callback, Expected, Logs, check_call


class LRScheduler(Callback):
    """Set the learning rate of each epoch.

    Parameters
    ----------
    schedule : callable
        A function of the epoch that returns the learning rate, which is set for all parameter groups.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt, model = pynn.optim.SGD(), pynn.Sequential(pynn.Linear(2, 1))
    >>> halve = pynn.callbacks.LRScheduler(lambda epoch: 0.1 * 0.5**epoch)
    >>> hist = model.fit(np.eye(2), np.ones(2), loss="mse", optimizer=opt, epochs=3, callbacks=[halve])
    >>> opt.param_groups[0]["lr"]
    0.025
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule: expected a function of the epoch, got {schedule!r}")
        check_call(schedule, "LRScheduler's schedule", ("epoch",))
        self.schedule = schedule

    def _check(self, expected: Expected) -> None:
        """Check that the optimizer has a learning rate."""
        rated_groups(self)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Set the rate."""
        rate = float(self.schedule(epoch))
        if not 0 <= rate < math.inf:
            raise ValueError(f"schedule: expected a rate of 0 or more, got {rate!r} in epoch {epoch + 1}")
        for group in rated_groups(self):
            group["lr"] = rate


def rated_groups(callback: Callback) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups, or raise if they have no learning rate."""
    groups = callback.optimizer.param_groups
    if not all("lr" in group for group in groups):
        raise ValueError(f"{type(callback).__name__}: {type(callback.optimizer).__name__} has no learning rate")
    return groups
