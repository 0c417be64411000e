"""Schedules of the learning rate: what all share, and those that are more than one row of the core's table."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._tables import REQUIRED, Parameters, make_function, parse_docs, parse_parameters, unknown_name

if TYPE_CHECKING:
    from ._base import Optimizer

RECORD = _core.SCHEDULE_RECORD
"""Where in a record the core reads each of its numbers, and its size; those of the schedule's kind come last."""

_KINDS = {row["name"]: i for i, row in enumerate(_core.SCHEDULES)}
INTERVALS = ("epoch", "step")
classes: dict[str, type[LRScheduler]] = {}
"""Class name to class."""


def record(kind: str, numbers: Iterable[float], *, momentum: int | None = None) -> list[float]:
    """Return a record of the core that holds at all times."""
    made = [0.0] * RECORD["size"]
    made[RECORD["kind"]], made[RECORD["until"]] = _KINDS[kind], math.inf
    made[RECORD["momentum"]] = -1.0 if momentum is None else momentum
    for at, number in enumerate(numbers, RECORD["v"]):
        made[at] = float(number)
    return made


def _changed(record: list[float], **numbers: float) -> list[float]:
    """Return a record with other numbers."""
    changed = [*record]
    for name, number in numbers.items():
        changed[RECORD[name.rstrip("_")]] = number
    return changed


def _shifted(records: list[list[float]], start: float, until: float) -> list[list[float]]:
    """Return records that begin at ``start`` and end before ``until``."""
    since, end = RECORD["from"], RECORD["until"]
    return [_changed(r, from_=r[since] + start, until=min(r[end] + start, until)) for r in records]


def held_record(rate: float | None, *, each_step: bool) -> list[float]:
    """Return the record of a rate that was written by hand, which counts until time moves; None: a record that never applies."""
    [found] = _shifted([record("held", [0.0 if rate is None else rate])], 0.0, float(rate is not None))
    return _changed(found, each_step=float(each_step))


def _numbers(
    owner: str, name: str, value: Any, *, low: float = 0.0, above: bool = False, high: float = math.inf, several: bool = False
) -> None:
    """Raise unless ``value`` is a finite number from ``low`` on and below ``high``; with ``several`` also a list of those."""
    given = value if several and isinstance(value, (list, tuple)) else [value]
    for one in given:
        if isinstance(one, (bool, np.bool_)) or not isinstance(one, Real):
            raise TypeError(f"{owner}: {name} must be a number{' or a list of them' if several else ''}, got {value!r}")
        if not (low < float(one) if above else low <= float(one)) or not float(one) < high:
            limit = "" if high == math.inf else f" and below {high:g}"
            raise ValueError(f"{owner}: {name} must be finite and {'over' if above else 'at least'} {low:g}{limit}, got {value!r}")


def _count(owner: str, name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{owner}: {name} must be an integer of {least} or more, got {value!r}")


class Scheduled:
    """The base of `Optimizer`: an object with learning rates that a schedule can be bound to."""


class LRScheduler:
    """The base of every schedule: a function of time by which an optimizer's learning rates are changed.

    ``StepLR(optimizer, step_size=30)`` is PyTorch's: call ``scheduler.step()`` once an epoch (or a batch). Made without an optimizer and
    given to one, ``Adam(schedule=StepLR(step_size=30))``, it is moved by ``fit``, which computes the rates inside its loop:
    by epochs, or with ``interval="step"`` by batches. Schedules of one optimizer apply in turn, in the order they were made.
    """

    interval: str = "epoch"

    writes = False
    """Whether the schedule writes rates itself, instead of being a function of time that the core computes."""
    calls = False
    """Whether the schedule calls Python for each time."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__name__.startswith("_"):
            classes[cls.__name__] = cls

    def __init__(self, optimizer: Optimizer | None, last_epoch: int, interval: str | None = None, **settings: Any) -> None:
        missing = [name for name, value in settings.items() if value is REQUIRED]
        if missing:
            raise TypeError(f"{type(self).__name__}: {missing[0]} is needed")
        if interval not in (None, *INTERVALS):
            raise ValueError(f"{type(self).__name__}: interval must be 'epoch' or 'step', got {interval!r}")
        _count(type(self).__name__, "last_epoch", last_epoch, -1)
        self._check(settings)
        self.interval = interval or type(self).interval
        self.settings = settings
        self.optimizer: Optimizer | None = None
        self.last_epoch = last_epoch
        if optimizer is not None:
            self.bind(optimizer)

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Raise unless the settings make sense."""

    def bind(self, optimizer: Optimizer) -> None:
        """Take the optimizer whose rates to change; an optimizer that is given a schedule does it."""
        if not isinstance(optimizer, Scheduled):
            raise TypeError(f"{type(self).__name__}: optimizer must be a pynn.Optimizer, got {type(optimizer).__name__}")
        if self.optimizer is not None and self.optimizer is not optimizer:
            raise ValueError(f"{type(self).__name__}: it belongs to another optimizer already")
        for i, group in enumerate(optimizer.param_groups):
            if "lr" not in group:
                raise ValueError(f"{type(self).__name__}: {type(optimizer).__name__} has no learning rate")
            if self.last_epoch != -1 and "initial_lr" not in group:
                raise KeyError(f"{type(self).__name__}: resuming with last_epoch={self.last_epoch} needs 'initial_lr' in param_groups[{i}]")
            group.setdefault("initial_lr", group["lr"])
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        time, self.last_epoch = self.last_epoch + 1, 0
        self._start()
        self._seek(max(time, self.last_epoch))
        optimizer.schedulers.append(self)
        optimizer.reschedule()

    def _start(self) -> None:
        """Check what only an optimizer can tell."""

    def _bound(self) -> Optimizer:
        if self.optimizer is None:
            raise RuntimeError(f"{type(self).__name__} has no optimizer yet; give it one, or give it to one as schedule=")
        return self.optimizer

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        """Return the core's records for a group, from time 0, always as many; a part that is not ``active`` now calls no Python."""
        raise NotImplementedError

    def records(self, group: int) -> list[list[float]]:
        """Return the records with where in time they stand."""
        each_step = float(self.interval == "step")
        return [_changed(r, each_step=each_step, start=float(self.last_epoch)) for r in self._own_records(group)]

    def _per_group(self, name: str) -> list[float]:
        """Return a setting that may be a number, or one for each group."""
        groups, value = self._bound().param_groups, self.settings[name]
        if not isinstance(value, (list, tuple)):
            return [float(value)] * len(groups)
        if len(value) != len(groups):
            raise ValueError(f"{type(self).__name__}: {name} has {len(value)} values for {len(groups)} parameter groups")
        return [float(v) for v in value]

    # ---- time ------------------------------------------------------------------------------------------------------
    def step(self) -> None:
        """Go on by one epoch, or whatever the schedule counts."""
        self._bound().advance(self, lambda: self._seek(self.last_epoch + 1))

    def _seek(self, time: int) -> None:
        """Move to a time."""
        self.last_epoch = time

    def count(self, steps: int) -> None:
        """Take note of updates that ``fit`` has made."""
        if self.interval == "step" and steps:
            self._bound().advance(self, lambda: self._seek(self.last_epoch + steps))

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """Take note of an epoch that ``fit`` has ended."""
        if self.interval == "epoch":
            self._bound().advance(self, lambda: self._seek(self.last_epoch + 1))

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group now."""
        return [group["lr"] for group in self._bound().param_groups]

    # ---- saving ----------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule stands, as plain data; settings that are functions are left out."""
        return {name: value for name, value in vars(self).items() if name not in ("optimizer", "settings")} | {
            "settings": {name: value for name, value in self.settings.items() if not _is_code(value)}
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what ``state_dict`` of such a schedule returned.

        Raises
        ------
        ValueError
            If it is the state of another schedule, or its settings make no sense; nothing has been changed then.
        """
        self.take(self._taken(state))
        if self.optimizer is not None:
            self.optimizer.reschedule()

    def _taken(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return what there is to take of a state, checked."""
        owner, settings = type(self).__name__, dict(state.get("settings", {}))
        if not settings.keys() <= self.settings.keys():
            invalid = sorted(settings.keys() - self.settings.keys())
            raise ValueError(f"{owner}: the state is another schedule's, with {invalid[0]!r}; expected {', '.join(self.settings)}")
        settings = {**self.settings, **{k: tuple(v) if isinstance(self.settings[k], tuple) else v for k, v in settings.items()}}
        self._check(settings)
        own = {name: value for name, value in state.items() if name in vars(self) and name not in ("optimizer", "settings")}
        _count(owner, "last_epoch", own.get("last_epoch", self.last_epoch), -1)
        if own.get("interval", self.interval) not in INTERVALS:
            raise ValueError(f"{owner}: interval must be 'epoch' or 'step', got {own['interval']!r}")
        return {**own, "settings": settings}

    def take(self, taken: Mapping[str, Any]) -> None:
        """Take what has been checked."""
        vars(self).update(taken)

    def get_config(self) -> dict[str, Any]:
        """Return the class's name and the settings."""
        return {"class": type(self).__name__, **self.settings, "interval": self.interval}

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.settings.items()]
        return f"{type(self).__name__}({', '.join([*shown, *[f'interval={self.interval!r}'] * (self.interval != type(self).interval)])})"


def _is_code(value: Any) -> bool:
    return callable(value) or (isinstance(value, (list, tuple)) and any(map(callable, value)))


def get(schedule: Any) -> LRScheduler:
    """Return the schedule that a configuration stands for; a schedule is returned as it is."""
    if isinstance(schedule, LRScheduler):
        return schedule
    if not isinstance(schedule, Mapping):
        raise TypeError(f"schedule: expected one of pynn.optim.lr_scheduler, got {schedule!r}")
    rest = dict(schedule)
    name = rest.pop("class", None)
    if name not in classes:
        raise unknown_name("schedule", name, classes)
    return classes[name](**rest)


def simple(row: Mapping[str, Any], module: str) -> type[LRScheduler]:
    """Make the class of a row whose parameters are all there is to it."""
    owner, kind, parameters = row["cls"], row["name"], parse_parameters(row["params"], row["check"])
    arguments = ", ".join(f"{n}: float = {'...' if v is REQUIRED else repr(v)}" for n, v in parameters.defaults.items())
    values = ", ".join(f"{n!r}: {n}" for n in parameters.defaults)

    def setup(self: LRScheduler, values: dict[str, Any], optimizer: Optimizer | None, last_epoch: int, interval: str) -> None:
        LRScheduler.__init__(self, optimizer, last_epoch, interval, **values)

    def check(self: LRScheduler, settings: Mapping[str, Any]) -> None:
        parameters.verify_scalars(owner, settings)

    def own_records(self: LRScheduler, group: int, active: bool = True) -> list[list[float]]:
        return [record(kind, self.settings.values())]

    init = make_function(
        f"def __init__(self, optimizer: Any = None, {arguments}, last_epoch: int = -1, *, interval: str = 'epoch') -> None:\n"
        f"    setup(self, {{{values}}}, optimizer, last_epoch, interval)",
        {"setup": setup},
    )
    body = {"__init__": init, "__doc__": _document(row, parameters), "__module__": module, "_own_records": own_records, "_check": check}
    return type(owner, (LRScheduler,), body)


def _document(row: Mapping[str, Any], parameters: Parameters) -> str:
    texts = parse_docs(row["docs"])
    settings = "".join(
        f"\n    {name} : float" + ("" if default is REQUIRED else f", default {default!r}") + f"\n        {texts[name]}"
        for name, default in parameters.defaults.items()
    )
    formula = f"\n    ``rate = {row['formula']}`` at time ``t`` from 0, with ``lr`` the group's rate.\n" if row["formula"] else ""
    references = f"\n    References\n    ----------\n    {row['source']}\n" if row["source"] else ""
    return f"""{row["summary"]}
{formula}
    Parameters
    ----------
    optimizer : Optimizer, optional
        The optimizer whose rates change; None if the schedule is given to one as ``schedule=``.{settings}
    last_epoch : int
        -1 for a new training, otherwise the count to resume from.
    interval : {{'epoch', 'step'}}
        What ``fit`` counts as time.

    Raises
    ------
    ValueError
        If ``{row["check"]}`` does not hold, or `interval` is another word.
    TypeError
        If a parameter is no number, or one without a default is missing.
{references}
    Examples
    --------
    >>> import numpy as np, pynn
    >>> opt = pynn.optim.SGD([pynn.Parameter(np.zeros(3))], lr=1.0)
    >>> schedule, rates = pynn.optim.lr_scheduler.{row["cls"]}(opt{", " + row["example"] if row["example"] else ""}), []
    >>> for epoch in range(5):
    ...     rates.append(round(schedule.get_last_lr()[0], 4))
    ...     schedule.step()
    >>> len(rates)
    5
    """


# ---- those that call Python ---------------------------------------------------------------------------------------------
class _Function:
    """A user's function on its way through pickle or `copy.deepcopy`: pickle keeps one that it finds by name, and else only the text."""

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
    """Return what stands for a function that pickle could not keep."""

    def lost(time: int) -> float:
        raise RuntimeError(f"lr_lambda: pickle could not keep {text}, which is not a module's function; make the schedule again")

    return _Function(lost)


class _Called(LRScheduler):
    """A factor for each group that a function of the user's gives, once an epoch."""

    def __init__(
        self, optimizer: Optimizer | None, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]], last_epoch: int
    ) -> None:
        given = lr_lambda if isinstance(lr_lambda, (list, tuple)) else [lr_lambda]
        if lr_lambda is not REQUIRED and not all(map(callable, given)):
            raise TypeError(f"{type(self).__name__}: lr_lambda must be a function of the epoch, or a list of them, got {lr_lambda!r}")
        super().__init__(optimizer, last_epoch, "epoch", lr_lambda=lr_lambda)

    calls = True

    def _functions(self) -> list[Callable[[int], float]]:
        groups, given = self._bound().param_groups, self.settings["lr_lambda"]
        if not isinstance(given, (list, tuple)):
            return [given] * len(groups)
        if len(given) != len(groups):
            raise ValueError(f"{type(self).__name__}: lr_lambda has {len(given)} functions for {len(groups)} parameter groups")
        return list(given)

    def _factor(self, function: Callable[[int], float], time: int) -> float:
        """Return what a function gives, or raise where no rate can come of it."""
        factor = function(time)
        try:
            value = float(factor)
        except (TypeError, ValueError):
            value = math.nan
        if not 0 <= value < math.inf:
            raise ValueError(f"{type(self).__name__}: lr_lambda must return a finite factor of 0 or more, got {factor!r} for time {time}")
        return value

    def get_config(self) -> dict[str, Any]:
        raise TypeError(f"{type(self).__name__} holds a function, which is no plain data")

    def __getstate__(self) -> dict[str, Any]:
        given = self.settings["lr_lambda"]
        wrapped = [_Function(f) for f in given] if isinstance(given, (list, tuple)) else _Function(given)
        return {**vars(self), "settings": {**self.settings, "lr_lambda": wrapped}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        held = state["settings"]["lr_lambda"]
        self.settings = {**state["settings"], "lr_lambda": [f.function for f in held] if isinstance(held, list) else held.function}


class LambdaLR(_Called):
    """The rate times ``lr_lambda(t)``, a function of the user's, called once an epoch.

    Parameters
    ----------
    optimizer : Optimizer, optional
        Whose rates to change; None: it is given to one as ``schedule=``.
    lr_lambda : callable, or list of callable
        From the epoch to a factor; one for all groups, or one for each.
    last_epoch : int
        -1 to begin; the count to resume from.

    Raises
    ------
    TypeError
        If ``lr_lambda`` is no function.

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
        optimizer: Optimizer | None = None,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]] = REQUIRED,
        last_epoch: int = -1,
    ) -> None:
        super().__init__(optimizer, lr_lambda, last_epoch)

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return [record("factor", [self._factor(self._functions()[group], self.last_epoch) if active else 1.0])]


class MultiplicativeLR(_Called):
    """The rate of the epoch before times ``lr_lambda(t)``, a function of the user's, called once an epoch from the second on.

    Parameters
    ----------
    optimizer : Optimizer, optional
        Whose rates to change; None: it is given to one as ``schedule=``.
    lr_lambda : callable, or list of callable
        From the epoch to a factor; one for all groups, or one for each.
    last_epoch : int
        -1 to begin; the count to resume from.

    Raises
    ------
    TypeError
        If ``lr_lambda`` is no function.

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
        optimizer: Optimizer | None = None,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]] = REQUIRED,
        last_epoch: int = -1,
    ) -> None:
        self.factors: list[float] = []
        super().__init__(optimizer, lr_lambda, last_epoch)

    def _taken(self, state: Mapping[str, Any]) -> dict[str, Any]:
        own = super()._taken(state)
        _numbers(type(self).__name__, "factors", list(own.get("factors", self.factors)), several=True)
        return own

    def _seek(self, time: int) -> None:
        """Multiply by the factor of each time on the way; back in time, and at the start, it begins anew."""
        functions = self._functions()
        if time < self.last_epoch:
            self.factors, self.last_epoch = [], 0
        factors = self.factors + [1.0] * (len(functions) - len(self.factors))
        for now in range(self.last_epoch + 1, time + 1):
            factors = [f * self._factor(function, now) for f, function in zip(factors, functions, strict=True)]
        self.factors, self.last_epoch = factors, time

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return [record("factor", [self.factors[group] if group < len(self.factors) else 1.0])]


class ReduceLROnPlateau(LRScheduler):
    """The rate times ``factor`` whenever a score has not got better for more than ``patience`` epochs.

    In a hand-written loop: ``scheduler.step(score)``. In ``fit`` the score is ``logs[monitor]``.

    Parameters
    ----------
    optimizer : Optimizer, optional
        Whose rates to change; None: it is given to one as ``schedule=``.
    mode : {'min', 'max'}
        Whether less or more is better.
    factor : float
        Below 1.
    patience : int
        Epochs without getting better that are let pass.
    threshold, threshold_mode : float, {'rel', 'abs'}
        How much better counts: a share of the best score's magnitude, or a difference.
    cooldown : int
        Epochs after a cut in which nothing is counted.
    min_lr : float or list of float
        The lowest rate; one for all groups, or one for each.
    eps : float
        Smaller changes of a rate are not made.
    monitor : str, optional
        The score that ``fit`` watches; None: ``"val_loss"`` if there is one, else ``"loss"``.

    Raises
    ------
    ValueError
        If ``factor`` is not in [0, 1), another number is negative or not finite, or a word is unknown.

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
            _count(owner, name, settings[name], 0)
        for name in ("threshold", "eps", "min_lr"):
            _numbers(owner, name, settings[name], several=name == "min_lr")

    def _taken(self, state: Mapping[str, Any]) -> dict[str, Any]:
        own = super()._taken(state)
        for name in ("num_bad_epochs", "cooldown_counter"):
            _count(type(self).__name__, name, own.get(name, 0), 0)
        return {**own, "best": float(own.get("best", self.best))}

    def _start(self) -> None:
        self._per_group("min_lr")

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return []

    def get_config(self) -> dict[str, Any]:
        return {"class": type(self).__name__, **self.settings}

    def step(self, metrics: float = REQUIRED) -> None:
        """Take the score of an epoch."""
        if metrics is REQUIRED:
            raise TypeError("ReduceLROnPlateau.step needs the score that it watches: scheduler.step(val_loss)")
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


# ---- those that are several records, or have settings of another kind ----------------------------------------------------
class MultiStepLR(LRScheduler):
    """The rate times ``gamma`` at each milestone.

    Parameters
    ----------
    optimizer : Optimizer, optional
        Whose rates to change; None: it is given to one as ``schedule=``.
    milestones : iterable of int
        When; one that stands twice counts twice.
    gamma : float
        The factor.
    last_epoch : int
        -1 to begin; the count to resume from.
    interval : {'epoch', 'step'}
        What ``fit`` counts as time.

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
                _numbers("MultiStepLR", "milestones", time)
            times = sorted(times)
        super().__init__(optimizer, last_epoch, interval, milestones=times, gamma=gamma)

    def _check(self, settings: Mapping[str, Any]) -> None:
        _numbers("MultiStepLR", "milestones", settings["milestones"], several=True)
        _numbers("MultiStepLR", "gamma", settings["gamma"])

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return [r for m in self.settings["milestones"] for r in _shifted([record("factor", [self.settings["gamma"]])], m, math.inf)]


class _Cycling(LRScheduler):
    """A schedule that moves momentum, or the first of betas, against the rate."""

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
                    _numbers(type(self).__name__, name, value, high=high)

    def _check(self, settings: Mapping[str, Any]) -> None:
        owner = type(self).__name__
        for name in self._rates:
            _numbers(owner, name, settings[name], several=True)
        for name in ("base_momentum", "max_momentum"):
            _numbers(owner, name, settings[name], several=True)
        for name in self._flags:
            if not isinstance(settings[name], (bool, np.bool_)):
                raise TypeError(f"{owner}: {name} must be True or False, got {settings[name]!r}")

    def _cycle(self, kind: str, numbers: Iterable[float]) -> list[list[float]]:
        return [record(kind, numbers, momentum=self._bound()._momentum_index() if self.settings["cycle_momentum"] else None)]


class OneCycleLR(_Cycling):
    """One cycle (Smith and Topin, 2017): up from ``max_lr / div_factor`` to ``max_lr``, down again, and far below.

    ``fit`` moves it by batches unless ``interval="epoch"``; give ``total_steps``, or ``epochs`` and ``steps_per_epoch``. Beyond the end of
    the cycle, ``fit`` keeps its last rate.

    Parameters
    ----------
    optimizer : Optimizer, optional
        Whose rates to change; None: it is given to one as ``schedule=``.
    max_lr : float or list of float
        The peak; one for all groups, or one for each.
    total_steps, epochs, steps_per_epoch : int, optional
        The length of the cycle, or its two factors.
    pct_start : float
        The share of the cycle that goes up, between 0 and 1.
    anneal_strategy : {'cos', 'linear'}
        The way from one rate to the next.
    cycle_momentum : bool
        Whether momentum, or the first of betas, goes the other way, from ``max_momentum`` to ``base_momentum`` and back.
    base_momentum, max_momentum : float or list of float
        Between which it goes.
    div_factor, final_div_factor : float
        The first rate is ``max_lr / div_factor``; the last is that over ``final_div_factor``.
    three_phase : bool
        Whether to come down as steeply as up, and then go below.
    last_epoch : int
        -1 to begin; the count to resume from.
    interval : {'step', 'epoch'}
        What ``fit`` counts as time.

    Raises
    ------
    ValueError
        If the length is missing or no positive integer, a share is not between 0 and 1, a phase has no steps, a rate or factor is negative,
        0 where it divides, or not finite, a word is unknown, or ``step`` goes past the end.

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
                _count("OneCycleLR", name, value, 1)
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
        _count("OneCycleLR", "total_steps", total, 1)
        _numbers("OneCycleLR", "pct_start", share, above=True, high=1.0)
        if settings["anneal_strategy"] not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {settings['anneal_strategy']!r}")
        for name in ("div_factor", "final_div_factor"):
            _numbers("OneCycleLR", name, settings[name], above=True)
        up = share * total - 1  # the step at which the rate is highest, as in the core
        if up == 0 or (three and not 0 < 2 * up < total - 1):
            phases = f"{'three phases' if three else 'two phases'} of total_steps={total} steps with pct_start={share}"
            raise ValueError(f"OneCycleLR: {phases} leave a phase without a step; take more steps or another pct_start")

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        s = self.settings
        peak, low, high = (self._per_group(name)[group] for name in ("max_lr", "base_momentum", "max_momentum"))
        flags = (s["anneal_strategy"] == "linear") + 2 * bool(s["three_phase"])
        return self._cycle("one_cycle", [peak, s["total_steps"], s["pct_start"], s["div_factor"], s["final_div_factor"], low, high, flags])

    _rates = ("max_lr",)
    _flags = ("cycle_momentum", "three_phase")

    def step(self) -> None:
        """Go on by one batch; past the end is an error."""
        if self.last_epoch >= self.settings["total_steps"]:
            raise ValueError(f"OneCycleLR: its {self.settings['total_steps']} steps are over")
        super().step()


class CyclicLR(_Cycling):
    """A triangle wave between two rates (Smith, 2015).

    Parameters
    ----------
    optimizer : Optimizer, optional
        Whose rates to change; None: it is given to one as ``schedule=``.
    base_lr, max_lr : float or list of float
        Between which to go; one for all groups, or one for each.
    step_size_up, step_size_down : int
        Batches on the way up, and down (None: as many).
    mode : {'triangular', 'triangular2', 'exp_range'}
        Waves of one height, each half as high as the one before, or ``gamma**t`` times as high.
    gamma : float
        For 'exp_range'.
    cycle_momentum : bool
        Whether momentum, or the first of betas, goes the other way.
    base_momentum, max_momentum : float or list of float
        Between which it goes.
    last_epoch : int
        -1 to begin; the count to resume from.
    interval : {'step', 'epoch'}
        What ``fit`` counts as time.

    Raises
    ------
    ValueError
        If a word is unknown, a length not positive, a number negative or not finite, ``base_lr`` over ``max_lr``, or the optimizer has no
        momentum to cycle.

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
            _numbers("CyclicLR", name, settings[name], above=True)
        _numbers("CyclicLR", "gamma", settings["gamma"])

    def _start(self) -> None:
        super()._start()
        if any(low > high for low, high in zip(self._per_group("base_lr"), self._per_group("max_lr"), strict=True)):
            raise ValueError(f"CyclicLR: base_lr must not exceed max_lr, got {self.settings['base_lr']} and {self.settings['max_lr']}")

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        s = self.settings
        low, high, least, most = (self._per_group(name)[group] for name in ("base_lr", "max_lr", "base_momentum", "max_momentum"))
        return self._cycle("cyclic", [low, high, s["step_size_up"], s["step_size_down"], _WAVES.index(s["mode"]), s["gamma"], least, most])


_WAVES = ("triangular", "triangular2", "exp_range")


# ---- those made of others ------------------------------------------------------------------------------------------------
class _Composite(LRScheduler):
    """A schedule of schedules: those that have an optimizer leave it to this one."""

    schedulers: list[LRScheduler]

    def _adopt(self, schedulers: Any) -> None:
        self.schedulers = [get(s) for s in schedulers]
        if not self.schedulers:
            raise ValueError(f"{type(self).__name__}: expected at least one schedule")
        for s in self.schedulers:
            if s.writes:
                raise ValueError(f"{type(self).__name__}: {type(s).__name__} waits for a score, so it can't be a part of another")
        self.calls = any(s.calls for s in self.schedulers)

    def _check(self, settings: Mapping[str, Any]) -> None:
        """The parts check theirs."""

    def _start(self) -> None:
        optimizer = self._bound()
        if self.calls and self.interval == "step":
            part = next(type(s).__name__ for s in self.schedulers if s.calls)
            raise ValueError(f"{type(self).__name__}: {part} calls Python once an epoch, so it can't be a part with interval='step'")
        for s in self.schedulers:
            if s.optimizer not in (None, optimizer):
                raise ValueError(f"{type(self).__name__}: {s!r} belongs to another optimizer")
        for s in self.schedulers:
            if s.optimizer is None:
                s.bind(optimizer)
            optimizer.schedulers.remove(s)

    def _part_time(self, part: int, time: int) -> int:
        """Return where a part stands at a time of the whole."""
        raise NotImplementedError

    def _seek(self, time: int) -> None:
        self.last_epoch = time
        for i, s in enumerate(self.schedulers):
            s._seek(self._part_time(i, time))

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule stands, and its parts."""
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
    """One schedule after another, each from its own beginning.

    Parameters
    ----------
    optimizer : Optimizer, optional
        Whose rates to change; None: it is given to one as ``schedule=``.
    schedulers : list of LRScheduler
        The parts.
    milestones : list of int
        When the second and later parts begin.
    last_epoch : int
        -1 to begin; the count to resume from.
    interval : {'epoch', 'step'}
        What ``fit`` counts as time; for all parts.

    Raises
    ------
    ValueError
        If the milestones are not one fewer than the parts or don't rise, or a part can't be one.

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
            raise TypeError("SequentialLR: schedulers and milestones are needed")
        self._adopt(schedulers)
        whole = all(isinstance(m, (int, np.integer)) and not isinstance(m, bool) and m >= 0 for m in milestones)
        if len(milestones) != len(self.schedulers) - 1 or not whole or list(milestones) != sorted(milestones):
            n = len(self.schedulers)
            raise ValueError(f"SequentialLR: {n} schedules need {n - 1} rising milestones, integers of 0 or more, got {milestones!r}")
        super().__init__(optimizer, last_epoch, interval, schedulers=self.schedulers, milestones=list(milestones))

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        starts, now = [0, *self.settings["milestones"], math.inf], self.last_epoch
        parts = zip(self.schedulers, starts[:-1], starts[1:], strict=True)
        return [r for s, a, b in parts for r in _shifted(s._own_records(group, active and a <= now < b), a, b)]

    def _part_time(self, part: int, time: int) -> int:
        starts = [0, *self.settings["milestones"], math.inf]
        last = max(starts[part], min(time, starts[part + 1] - 1))
        return int(last - starts[part])


class ChainedScheduler(_Composite):
    """Several schedules at once, one applied to what the one before gives.

    Parameters
    ----------
    schedulers : list of LRScheduler
        The parts.
    optimizer : Optimizer, optional
        Whose rates to change; None: the parts', if they have one.
    last_epoch : int
        -1 to begin, or to go on from where the parts stand; the count to resume from.
    interval : {'epoch', 'step'}
        What ``fit`` counts as time; for all parts.

    Raises
    ------
    ValueError
        If there are none, one can't be a part, or they stand at different times.

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
            raise TypeError("ChainedScheduler: schedulers is needed")
        self._adopt(schedulers)
        super().__init__(optimizer or self.schedulers[0].optimizer, last_epoch, interval, schedulers=self.schedulers)

    def _start(self) -> None:
        """Go on from the time of parts that were resumed."""
        super()._start()
        times = {s.last_epoch for s in self.schedulers}
        if len(times) > 1:
            raise ValueError(f"ChainedScheduler: its parts stand at different times: {', '.join(map(str, sorted(times)))}")
        self.last_epoch = times.pop()

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        return [r for s in self.schedulers for r in s._own_records(group, active)]

    def _part_time(self, part: int, time: int) -> int:
        return time
