"""Schedules whose factor is a user function, called once per epoch."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .._tables import REQUIRED
from ._schedule import LRScheduler, check_numbers, record

if TYPE_CHECKING:
    from ._base import Optimizer


class _Function:
    """Wrap a user function for pickle and `copy.deepcopy`: a function that pickle cannot find by name is replaced by its repr."""

    def __init__(self, function: Callable[[int], float]) -> None:
        self.function = function

    def __deepcopy__(self, memo: Any) -> _Function:
        return _Function(copy.deepcopy(self.function, memo))

    def __reduce__(self) -> Any:
        try:
            pickle.dumps(self.function)
        except (AttributeError, TypeError, pickle.PicklingError):
            return _lost, (repr(self.function),)
        return _Function, (self.function,)


def _lost(text: str) -> _Function:
    """Return a placeholder, which raises when called, for a function that could not be pickled."""

    def lost(time: int) -> float:
        why = "since it is not defined at the top level of a module"
        raise RuntimeError(f"lr_lambda: {text} could not be pickled, {why}; create the schedule again")

    return _Function(lost)


class _Called(LRScheduler):
    """A schedule whose factor for each group is returned by a user function, once per epoch."""

    def __init__(
        self,
        optimizer: Optimizer | Callable[[int], float] | Sequence[Callable[[int], float]] | None,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int,
    ) -> None:
        if lr_lambda is REQUIRED and optimizer is not None and (isinstance(optimizer, (list, tuple)) or callable(optimizer)):
            lr_lambda, optimizer = optimizer, None  # LambdaLR(f): the functions alone, for an optimizer's schedule=
        given = lr_lambda if isinstance(lr_lambda, (list, tuple)) else [lr_lambda]
        if lr_lambda is not REQUIRED and not all(map(callable, given)):
            raise TypeError(f"{type(self).__name__}: lr_lambda must be a function of the epoch, or a list of them, got {lr_lambda!r}")
        super().__init__(cast("Optimizer | None", optimizer), last_epoch, "epoch", lr_lambda=lr_lambda)

    calls = True

    def _functions(self) -> list[Callable[[int], float]]:
        groups, given = self._bound().param_groups, self.settings["lr_lambda"]
        if not isinstance(given, (list, tuple)):
            return [given] * len(groups)
        if len(given) != len(groups):
            raise ValueError(f"{type(self).__name__}: lr_lambda has {len(given)} functions for {len(groups)} parameter groups")
        return list(given)

    def _factor(self, function: Callable[[int], float], time: int) -> float:
        """Return the factor that a function returns, or raise if it is invalid."""
        factor = function(time)
        try:
            value = float(factor)
        except (TypeError, ValueError):
            value = math.nan
        if not 0 <= value < math.inf:
            raise ValueError(f"{type(self).__name__}: lr_lambda must return a finite factor of 0 or more, got {factor!r} at time {time}")
        return value

    def get_config(self) -> dict[str, Any]:
        raise TypeError(f"{type(self).__name__} holds a function, which is not plain data")

    def __getstate__(self) -> dict[str, Any]:
        given = self.settings["lr_lambda"]
        wrapped = [_Function(f) for f in given] if isinstance(given, (list, tuple)) else _Function(given)
        return {**vars(self), "settings": {**self.settings, "lr_lambda": wrapped}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        held = state["settings"]["lr_lambda"]
        self.settings = {**state["settings"], "lr_lambda": [f.function for f in held] if isinstance(held, list) else held.function}


class LambdaLR(_Called):
    """Multiply the initial rate by ``lr_lambda(epoch)``.

    ``rate = lr * lr_lambda(t)`` at epoch ``t`` from 0, with ``lr`` the group's rate. The factor does not depend on earlier epochs;
    `MultiplicativeLR` accumulates its factors.

    Parameters
    ----------
    optimizer : Optimizer, optional
        The optimizer whose rates change; None if the schedule is given to one as ``schedule=``, and then `lr_lambda` may also be
        the first argument.
    lr_lambda : callable, or list of callable
        Takes the epoch and returns a finite factor of 0 or more; one function for all groups, or one for each.
    last_epoch : int
        -1 for a new training, otherwise the epoch to resume from.

    Raises
    ------
    TypeError
        If `lr_lambda` is missing or not callable.
    ValueError
        If the number of functions differs from that of the groups, or a function does not return a finite factor of 0 or more.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt = pynn.optim.SGD([pynn.Parameter(np.zeros(3))], lr=1.0)
    >>> schedule = pynn.optim.lr_scheduler.LambdaLR(opt, lambda epoch: 0.5**epoch)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer | Callable[[int], float] | Sequence[Callable[[int], float]] | None = None,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]] = REQUIRED,
        last_epoch: int = -1,
    ) -> None:
        super().__init__(optimizer, lr_lambda, last_epoch)

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return [record("factor", {"factor": self._factor(self._functions()[group], self.last_epoch) if active else 1.0})]


class MultiplicativeLR(_Called):
    """Multiply the previous epoch's rate by ``lr_lambda(epoch)``.

    ``rate = lr * lr_lambda(1) * ... * lr_lambda(t)`` at epoch ``t`` from 0: the factors accumulate, and the first epoch has the group's
    rate ``lr`` itself. `LambdaLR` multiplies the initial rate instead. A schedule that resumes from a state keeps the product, so
    functions are not called again for past epochs.

    Parameters
    ----------
    optimizer : Optimizer, optional
        The optimizer whose rates change; None if the schedule is given to one as ``schedule=``, and then `lr_lambda` may also be
        the first argument.
    lr_lambda : callable, or list of callable
        Takes the epoch, from 1 on, and returns a finite factor of 0 or more; one function for all groups, or one for each.
    last_epoch : int
        -1 for a new training, otherwise the epoch to resume from; the factors up to it are computed again.

    Raises
    ------
    TypeError
        If `lr_lambda` is missing or not callable.
    ValueError
        If the number of functions differs from that of the groups, or a function does not return a finite factor of 0 or more.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt = pynn.optim.SGD([pynn.Parameter(np.zeros(3))], lr=1.0)
    >>> schedule = pynn.optim.lr_scheduler.MultiplicativeLR(opt, lambda epoch: 0.5)
    >>> schedule.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer | Callable[[int], float] | Sequence[Callable[[int], float]] | None = None,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]] = REQUIRED,
        last_epoch: int = -1,
    ) -> None:
        self.factors: list[float] = []
        super().__init__(optimizer, lr_lambda, last_epoch)

    def _taken(self, state: Mapping[str, Any]) -> dict[str, Any]:
        own = super()._taken(state)
        check_numbers(type(self).__name__, "factors", list(own.get("factors", self.factors)), several=True)
        return own

    def _seek(self, time: int) -> None:
        """Multiply by the factor of each time up to this one; going back in time restarts from the beginning."""
        functions = self._functions()
        if time < self.last_epoch:
            self.factors, self.last_epoch = [], 0
        factors = self.factors + [1.0] * (len(functions) - len(self.factors))
        for now in range(self.last_epoch + 1, time + 1):
            factors = [f * self._factor(function, now) for f, function in zip(factors, functions, strict=True)]
        self.factors, self.last_epoch = factors, time

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return [record("factor", {"factor": self.factors[group] if group < len(self.factors) else 1.0})]
