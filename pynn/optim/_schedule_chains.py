"""Schedules made of other schedules: in sequence, or applied on top of each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._tables import REQUIRED
from ._schedule import LRScheduler, get, shifted

if TYPE_CHECKING:
    from ._base import Optimizer


class _Composite(LRScheduler):
    """A schedule made of others; parts that have an optimizer are detached from it, and this schedule drives them."""

    schedulers: list[LRScheduler]

    def _adopt(self, schedulers: Any) -> None:
        self.schedulers = [get(s) for s in schedulers]
        if not self.schedulers:
            raise ValueError(f"{type(self).__name__}: expected at least one schedule")
        for s in self.schedulers:
            if s.writes:
                raise ValueError(f"{type(self).__name__}: {type(s).__name__} depends on a score, so it cannot be part of another schedule")
        self.calls = any(s.calls for s in self.schedulers)

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Check nothing: each part has checked its settings."""

    def _start(self) -> None:
        optimizer = self._bound()
        if self.calls and self.interval == "step":
            part = next(type(s).__name__ for s in self.schedulers if s.calls)
            text = f"{part} calls a Python function once per epoch, so it cannot be part of a schedule with interval='step'"
            raise ValueError(f"{type(self).__name__}: {text}")
        for s in self.schedulers:
            if s.optimizer not in (None, optimizer):
                raise ValueError(f"{type(self).__name__}: {s!r} belongs to another optimizer")
        for s in self.schedulers:
            if s.optimizer is None:
                s.bind(optimizer)
            optimizer.schedulers.remove(s)

    def _part_time(self, part: int, time: int) -> int:
        """Return the time of a part at a time of the whole schedule."""
        raise NotImplementedError

    def _seek(self, time: int) -> None:
        self.last_epoch = time
        for i, s in enumerate(self.schedulers):
            s._seek(self._part_time(i, time))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the schedule and of its parts."""
        own = {name: value for name, value in super().state_dict().items() if name not in ("schedulers", "calls")}
        return {**own, "schedulers": [s.state_dict() for s in self.schedulers], "settings": {}}

    def _taken(self, state: Mapping[str, Any]) -> dict[str, Any]:
        parts = state.get("schedulers", ())
        if len(parts) != len(self.schedulers):
            raise ValueError(f"{type(self).__name__}: the state has {len(parts)} schedules, expected {len(self.schedulers)}")
        own = super()._taken({**state, "settings": {}})
        return {**own, "schedulers": [s._taken(its) for s, its in zip(self.schedulers, parts, strict=True)], "calls": self.calls}

    def take(self, taken: Mapping[str, Any]) -> None:
        for s, its in zip(self.schedulers, taken["schedulers"], strict=True):
            s.take(its)
        super().take({**taken, "schedulers": self.schedulers})

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "schedulers": [s.get_config() for s in self.schedulers]}


class SequentialLR(_Composite):
    """Apply schedules in sequence, each starting at its time 0.

    Parameters
    ----------
    optimizer : Optimizer, optional
        The optimizer whose rates change; None if the schedule is given to one as ``schedule=``.
    schedulers : list of LRScheduler
        The schedules to apply.
    milestones : list of int
        The times at which the second and later schedules begin.
    last_epoch : int
        -1 for a new training, otherwise the count to resume from.
    interval : {'epoch', 'step'}
        The unit of time in ``fit``, for all schedules.

    Raises
    ------
    ValueError
        If the milestones are not one fewer than the schedules, they do not increase, or a schedule cannot be part of another.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from pynn.optim.lr_scheduler import SequentialLR, StepLR, WarmupLR
    >>> opt = pynn.optim.SGD([pynn.Parameter(np.zeros(3))], lr=1.0)
    >>> schedule, rates = SequentialLR(opt, [WarmupLR(total_iters=2), StepLR(step_size=1)], milestones=[2]), []
    >>> for epoch in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.5, 1.0, 1.0, 0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        schedulers: Sequence[LRScheduler] = REQUIRED,
        milestones: Sequence[int] = REQUIRED,
        last_epoch: int = -1,
        *,
        interval: str = "epoch",
    ) -> None:
        if schedulers is REQUIRED or milestones is REQUIRED:
            raise TypeError("SequentialLR: schedulers and milestones are required")
        self._adopt(schedulers)
        whole = all(isinstance(m, (int, np.integer)) and not isinstance(m, bool) and m >= 0 for m in milestones)
        if len(milestones) != len(self.schedulers) - 1 or not whole or list(milestones) != sorted(milestones):
            n = len(self.schedulers)
            raise ValueError(f"SequentialLR: {n} schedules need {n - 1} increasing milestones, integers of 0 or more, got {milestones!r}")
        super().__init__(optimizer, last_epoch, interval, schedulers=self.schedulers, milestones=list(milestones))

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        starts, now = [0, *self.settings["milestones"], math.inf], self.last_epoch
        parts = zip(self.schedulers, starts[:-1], starts[1:], strict=True)
        return [r for s, a, b in parts for r in shifted(s._own_records(group, active and a <= now < b), a, b)]

    def _part_time(self, part: int, time: int) -> int:
        starts = [0, *self.settings["milestones"], math.inf]
        last = max(starts[part], min(time, starts[part + 1] - 1))
        return int(last - starts[part])


class ChainedScheduler(_Composite):
    """Apply several schedules at the same time, each to the rate that the previous one returns.

    Parameters
    ----------
    schedulers : list of LRScheduler
        The schedules to apply.
    optimizer : Optimizer, optional
        The optimizer whose rates change; None: that of the schedules, if they have one.
    last_epoch : int
        -1 for a new training, or to continue at the time of the schedules; otherwise the count to resume from.
    interval : {'epoch', 'step'}
        The unit of time in ``fit``, for all schedules.

    Raises
    ------
    ValueError
        If there are no schedules, one cannot be part of another, or they are at different times.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from pynn.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
    >>> opt = pynn.optim.SGD([pynn.Parameter(np.zeros(3))], lr=1.0)
    >>> schedule = ChainedScheduler([ConstantLR(opt, factor=0.5), ExponentialLR(opt, gamma=0.5)])
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        schedulers: Sequence[LRScheduler] = REQUIRED,
        optimizer: Optimizer | None = None,
        last_epoch: int = -1,
        *,
        interval: str = "epoch",
    ) -> None:
        if schedulers is REQUIRED:
            raise TypeError("ChainedScheduler: schedulers is required")
        self._adopt(schedulers)
        super().__init__(optimizer or self.schedulers[0].optimizer, last_epoch, interval, schedulers=self.schedulers)

    def _start(self) -> None:
        """Continue at the time of parts that were resumed."""
        super()._start()
        times = {s.last_epoch for s in self.schedulers}
        if len(times) > 1:
            raise ValueError(f"ChainedScheduler: its schedules are at different times: {', '.join(map(str, sorted(times)))}")
        self.last_epoch = times.pop()

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return [r for s in self.schedulers for r in s._own_records(group, active)]

    def _part_time(self, part: int, time: int) -> int:
        return time
