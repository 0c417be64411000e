"""Schedules that need several records, or settings that a row of the table cannot describe: milestones and cycles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._tables import REQUIRED, unknown_name
from ._schedule import LRScheduler, check_count, check_numbers, record, shifted

if TYPE_CHECKING:
    from ._base import Optimizer


class MultiStepLR(LRScheduler):
    """Multiply the rate by ``gamma`` at each milestone.

    Parameters
    ----------
    optimizer : Optimizer, optional
        The optimizer whose rates change; None if the schedule is given to one as ``schedule=``.
    milestones : iterable of int
        The times at which the rate changes; one that is given twice counts twice.
    gamma : float
        The factor of each change.
    last_epoch : int
        -1 for a new training, otherwise the count to resume from.
    interval : {'epoch', 'step'}
        The unit of time in ``fit``.

    Raises
    ------
    TypeError
        If there are no milestones.
    ValueError
        If a milestone or ``gamma`` is negative or not finite.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt = pynn.optim.SGD([pynn.Parameter(np.zeros(3))], lr=1.0)
    >>> schedule, rates = pynn.optim.lr_scheduler.MultiStepLR(opt, [1, 3], gamma=0.5), []
    >>> for epoch in range(4):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        milestones: Iterable[int] = REQUIRED,
        gamma: float = 0.1,
        last_epoch: int = -1,
        *,
        interval: str = "epoch",
    ) -> None:
        times = milestones if milestones is REQUIRED else list(milestones)
        if times is not REQUIRED:
            for time in times:
                check_numbers("MultiStepLR", "milestones", time)
            times = sorted(times)
        super().__init__(optimizer, last_epoch, interval, milestones=times, gamma=gamma)

    def _check(self, settings: Mapping[str, Any]) -> None:
        check_numbers("MultiStepLR", "milestones", settings["milestones"], several=True)
        check_numbers("MultiStepLR", "gamma", settings["gamma"])

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        change = record("factor", {"factor": self.settings["gamma"]})
        return [r for milestone in self.settings["milestones"] for r in shifted([change], milestone, math.inf)]


class _Cycling(LRScheduler):
    """A schedule that moves the momentum, or the first of the betas, in the opposite direction to the rate."""

    interval = "step"
    _rates: tuple[str, ...] = ()
    _flags: tuple[str, ...] = ("cycle_momentum",)

    def _start(self) -> None:
        optimizer = self._bound()
        for name in self._rates:
            self._per_group(name)
        if self.settings["cycle_momentum"]:
            if optimizer._momentum_index() is None:
                raise ValueError(
                    f"{type(self).__name__}: cycle_momentum needs an optimizer with momentum or betas, got {type(optimizer).__name__}; "
                    "pass cycle_momentum=False"
                )
            high = 1.0 if "betas" in optimizer.defaults else math.inf
            for name in ("base_momentum", "max_momentum"):
                for value in self._per_group(name):
                    check_numbers(type(self).__name__, name, value, high=high)

    def _check(self, settings: Mapping[str, Any]) -> None:
        owner = type(self).__name__
        for name in self._rates:
            check_numbers(owner, name, settings[name], several=True)
        for name in ("base_momentum", "max_momentum"):
            check_numbers(owner, name, settings[name], several=True)
        for name in self._flags:
            if not isinstance(settings[name], (bool, np.bool_)):
                raise TypeError(f"{owner}: {name} must be True or False, got {settings[name]!r}")

    def _cycle(self, kind: str, group: int, **settings: float) -> list[list[float]]:
        """Return the record of a group, with the rates and momentums of that group and the other settings of the schedule."""
        of_group = {name: self._per_group(name)[group] for name in (*self._rates, "base_momentum", "max_momentum")}
        momentum = self._bound()._momentum_index() if self.settings["cycle_momentum"] else None
        return [record(kind, {**self.settings, **of_group, **settings}, momentum=momentum)]


class OneCycleLR(_Cycling):
    """Follow one cycle (Smith and Topin, 2017): from ``max_lr / div_factor`` up to ``max_lr``, then down to far below the first rate.

    ``fit`` advances it once per batch unless ``interval="epoch"``. Give ``total_steps``, or ``epochs`` and ``steps_per_epoch``. After the
    end of the cycle, ``fit`` keeps the last rate.

    Parameters
    ----------
    optimizer : Optimizer, optional
        The optimizer whose rates change; None if the schedule is given to one as ``schedule=``.
    max_lr : float or list of float
        The highest rate; one for all groups, or one for each.
    total_steps, epochs, steps_per_epoch : int, optional
        The length of the cycle, or its two factors.
    pct_start : float
        The fraction of the cycle in which the rate rises, between 0 and 1.
    anneal_strategy : {'cos', 'linear'}
        The shape of the curve from one rate to the next.
    cycle_momentum : bool
        Whether the momentum, or the first of the betas, moves in the opposite direction: from ``max_momentum`` to ``base_momentum`` and
        back.
    base_momentum, max_momentum : float or list of float
        The limits of the momentum.
    div_factor, final_div_factor : float
        The first rate is ``max_lr / div_factor``, and the last is the first divided by ``final_div_factor``.
    three_phase : bool
        Whether the rate falls as steeply as it rises, and then anneals to the last rate in a third phase.
    last_epoch : int
        -1 for a new training, otherwise the count to resume from.
    interval : {'step', 'epoch'}
        The unit of time in ``fit``.

    Raises
    ------
    ValueError
        If the length is missing or not a positive integer, a fraction is not between 0 and 1, a phase has no steps, a rate or factor is
        negative, not finite, or 0 where it is a divisor, a name is unknown, or ``step`` is called after the end of the cycle.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt = pynn.optim.Adam([pynn.Parameter(np.zeros(3))])
    >>> schedule, rates = pynn.optim.lr_scheduler.OneCycleLR(opt, max_lr=1.0, total_steps=6, pct_start=0.5), []
    >>> for batch in range(6):
    ...     rates.append(round(schedule.get_last_lr()[0], 2))
    ...     schedule.step()
    >>> rates
    [0.04, 0.52, 1.0, 0.75, 0.25, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        max_lr: float | list[float] = REQUIRED,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
        *,
        interval: str = "step",
    ) -> None:
        for name, value in (("total_steps", total_steps), ("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
            if value is not None:
                check_count("OneCycleLR", name, value, 1)
        length = total_steps if total_steps is not None else None if epochs is None or steps_per_epoch is None else epochs * steps_per_epoch
        if length is None:
            given = f"{total_steps}, {epochs} and {steps_per_epoch}"
            raise ValueError(f"OneCycleLR: give total_steps, or epochs and steps_per_epoch; got {given}")
        settings = {"max_lr": max_lr, "total_steps": length, "pct_start": pct_start, "anneal_strategy": anneal_strategy}
        settings |= {"cycle_momentum": cycle_momentum, "base_momentum": base_momentum, "max_momentum": max_momentum}
        settings |= {"div_factor": div_factor, "final_div_factor": final_div_factor, "three_phase": three_phase}
        super().__init__(optimizer, last_epoch, interval, **settings)

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        total, share, three = settings["total_steps"], settings["pct_start"], settings["three_phase"]
        check_count("OneCycleLR", "total_steps", total, 1)
        check_numbers("OneCycleLR", "pct_start", share, above=True, high=1.0)
        if settings["anneal_strategy"] not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {settings['anneal_strategy']!r}")
        for name in ("div_factor", "final_div_factor"):
            check_numbers("OneCycleLR", name, settings[name], above=True)
        up = share * total - 1  # the step with the highest rate, as in the core
        if up == 0 or (three and not 0 < 2 * up < total - 1):
            phases = f"{'three phases' if three else 'two phases'} of total_steps={total} steps with pct_start={share}"
            raise ValueError(f"OneCycleLR: {phases} leave a phase without a step; use more steps or another pct_start")

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        flags = (self.settings["anneal_strategy"] == "linear") + 2 * bool(self.settings["three_phase"])
        return self._cycle("one_cycle", group, flags=flags)

    _rates = ("max_lr",)
    _flags = ("cycle_momentum", "three_phase")

    def step(self) -> None:
        """Advance by one batch; raise ValueError after the end of the cycle."""
        if self.last_epoch >= self.settings["total_steps"]:
            raise ValueError(f"OneCycleLR: all {self.settings['total_steps']} steps have been taken")
        super().step()


class CyclicLR(_Cycling):
    """Follow a triangle wave between two rates (Smith, 2015).

    Parameters
    ----------
    optimizer : Optimizer, optional
        The optimizer whose rates change; None if the schedule is given to one as ``schedule=``.
    base_lr, max_lr : float or list of float
        The lowest and the highest rate; one for all groups, or one for each.
    step_size_up, step_size_down : int
        The number of batches in which the rate rises, and falls (None: as many).
    mode : {'triangular', 'triangular2', 'exp_range'}
        Waves of constant height, of a height halved at each cycle, or of a height multiplied by ``gamma**t``.
    gamma : float
        The base for 'exp_range'.
    cycle_momentum : bool
        Whether the momentum, or the first of the betas, moves in the opposite direction.
    base_momentum, max_momentum : float or list of float
        The limits of the momentum.
    last_epoch : int
        -1 for a new training, otherwise the count to resume from.
    interval : {'step', 'epoch'}
        The unit of time in ``fit``.

    Raises
    ------
    ValueError
        If a name is unknown, a length is not positive, a number is negative or not finite, ``base_lr`` is larger than ``max_lr``, or the
        optimizer has no momentum to cycle.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt = pynn.optim.SGD([pynn.Parameter(np.zeros(3))], momentum=0.9)
    >>> schedule, rates = pynn.optim.lr_scheduler.CyclicLR(opt, base_lr=0.0, max_lr=1.0, step_size_up=2), []
    >>> for batch in range(6):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        base_lr: float | list[float] = REQUIRED,
        max_lr: float | list[float] = REQUIRED,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        *,
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
        interval: str = "step",
    ) -> None:
        down = step_size_up if step_size_down is None else step_size_down
        settings = {"base_lr": base_lr, "max_lr": max_lr, "step_size_up": step_size_up, "step_size_down": down, "mode": mode}
        settings |= {"gamma": gamma, "cycle_momentum": cycle_momentum, "base_momentum": base_momentum, "max_momentum": max_momentum}
        super().__init__(optimizer, last_epoch, interval, **settings)

    _rates = ("base_lr", "max_lr")

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if settings["mode"] not in _WAVES:
            raise unknown_name("mode of CyclicLR", settings["mode"], _WAVES)
        for name in ("step_size_up", "step_size_down"):
            check_numbers("CyclicLR", name, settings[name], above=True)
        check_numbers("CyclicLR", "gamma", settings["gamma"])

    def _start(self) -> None:
        super()._start()
        if any(low > high for low, high in zip(self._per_group("base_lr"), self._per_group("max_lr"), strict=True)):
            raise ValueError(f"CyclicLR: base_lr must not exceed max_lr, got {self.settings['base_lr']} and {self.settings['max_lr']}")

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return self._cycle("cyclic", group, mode=_WAVES.index(self.settings["mode"]))


_WAVES = ("triangular", "triangular2", "exp_range")
