"""The schedule that reduces the rate when a score stops improving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from .._tables import REQUIRED, unknown_name
from ._schedule import LRScheduler, check_count, check_numbers

if TYPE_CHECKING:
    from ._base import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by ``factor`` when a score has not improved for more than ``patience`` epochs.

    In a custom training loop call ``scheduler.step(score)``. In ``fit`` the score is ``logs[monitor]``.

    Parameters
    ----------
    optimizer : Optimizer, optional
        The optimizer whose rates change; None if the schedule is given to one as ``schedule=``.
    mode : {'min', 'max'}
        Whether a smaller or a greater score is better.
    factor : float
        The factor of each reduction, in [0, 1).
    patience : int
        The number of epochs without an improvement that are tolerated.
    threshold, threshold_mode : float, {'rel', 'abs'}
        The smallest improvement that counts, relative to the magnitude of the best score or as a difference.
    cooldown : int
        The number of epochs after a reduction in which missing improvements are not counted.
    min_lr : float or list of float
        The lowest rate; one for all groups, or one for each.
    eps : float
        Reductions of a rate by no more than this are skipped.
    monitor : str, optional
        The name of the score in `fit`; None for ``"val_loss"`` if there is one, else ``"loss"``.

    Raises
    ------
    ValueError
        If ``factor`` is not in [0, 1), another number is negative or not finite, or a name is unknown.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt = pynn.optim.SGD([pynn.Parameter(np.zeros(3))], lr=1.0)
    >>> schedule = pynn.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
        *,
        monitor: str | None = None,
    ) -> None:
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        settings = {"mode": mode, "factor": factor, "patience": patience, "threshold": threshold, "threshold_mode": threshold_mode}
        super().__init__(optimizer, -1, "epoch", **settings, cooldown=cooldown, min_lr=min_lr, eps=eps, monitor=monitor)

    writes = True

    def _check(self, settings: Mapping[str, Any]) -> None:
        owner, factor = type(self).__name__, settings["factor"]
        if isinstance(factor, bool) or not isinstance(factor, Real) or not 0 <= float(factor) < 1:
            raise ValueError(f"{owner}: factor must be at least 0 and below 1, got {factor!r}")
        for name, allowed in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
            if settings[name] not in allowed:
                raise ValueError(f"{owner}: {name} must be {' or '.join(map(repr, allowed))}, got {settings[name]!r}")
        for name in ("patience", "cooldown"):
            check_count(owner, name, settings[name], 0)
        for name in ("threshold", "eps", "min_lr"):
            check_numbers(owner, name, settings[name], several=name == "min_lr")

    def _taken(self, state: Mapping[str, Any]) -> dict[str, Any]:
        own = super()._taken(state)
        for name in ("num_bad_epochs", "cooldown_counter"):
            check_count(type(self).__name__, name, own.get(name, 0), 0)
        return {**own, "best": float(own.get("best", self.best))}

    def _start(self) -> None:
        self._per_group("min_lr")

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return []

    def get_config(self) -> dict[str, Any]:
        return {"class": type(self).__name__, **self.settings}

    def step(self, metrics: float = REQUIRED) -> None:
        """Record the score of an epoch, and reduce the rates if it is due."""
        if metrics is REQUIRED:
            raise TypeError("ReduceLROnPlateau.step needs the score to monitor: scheduler.step(val_loss)")
        self._bound().advance(self, lambda: self._take(float(metrics)))

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        name = self.settings["monitor"] or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise unknown_name("score to monitor", name, logs)
        if logs[name] is not None:  # an epoch without validation
            self._bound().advance(self, lambda: self._take(float(logs[name])))

    def _is_better(self, score: float) -> bool:
        sign, threshold, best = (-1 if self.settings["mode"] == "min" else 1), self.settings["threshold"], self.best
        margin = threshold * abs(best) if self.settings["threshold_mode"] == "rel" else threshold
        bar = best if math.isinf(best) else best + sign * margin
        return bool(score < bar if self.settings["mode"] == "min" else score > bar)

    def _take(self, score: float) -> None:
        self.last_epoch += 1
        if self._is_better(score):
            self.best, self.num_bad_epochs = score, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.settings["patience"]:
            self.cooldown_counter, self.num_bad_epochs = self.settings["cooldown"], 0
            for group, least in zip(self._bound().param_groups, self._per_group("min_lr"), strict=True):
                lower = max(group["lr"] * self.settings["factor"], least)
                if group["lr"] - lower > self.settings["eps"]:
                    group["lr"] = lower
