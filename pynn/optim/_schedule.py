"""Schedules of the learning rate: records of the core, what all schedules share, and the classes of the core's table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._tables import REQUIRED, LazyTable, Parameters, make_function, parse_docs, parse_parameters, unknown_name

if TYPE_CHECKING:
    from ._base import Optimizer

RECORD = _core.SCHEDULE_RECORD
"""The index of each number in a record of the core, and the size of a record; the settings of the kind come last."""

_KINDS = {row["name"]: i for i, row in enumerate(_core.SCHEDULES)}
_SETTINGS = {row["name"]: [*parse_parameters(row["params"]).defaults] for row in _core.SCHEDULES}
"""The names of the settings of each kind, in the order of a record."""
INTERVALS = ("epoch", "step")
classes: dict[str, type[LRScheduler]] = {}
"""The schedule classes created so far, by class name."""


def record(kind: str, settings: Mapping[str, float], *, momentum: int | None = None) -> list[float]:
    """Return the core's record of a schedule that applies at all times."""
    made = [0.0] * RECORD["size"]
    made[RECORD["kind"]], made[RECORD["until"]] = _KINDS[kind], math.inf
    made[RECORD["momentum"]] = -1.0 if momentum is None else momentum
    for at, name in enumerate(_SETTINGS[kind], RECORD["v"]):
        made[at] = float(settings[name])
    return made


def _changed(record: list[float], **numbers: float) -> list[float]:
    """Return a record with other numbers."""
    changed = [*record]
    for name, number in numbers.items():
        changed[RECORD[name.rstrip("_")]] = number
    return changed


def shifted(records: list[list[float]], start: float, until: float) -> list[list[float]]:
    """Return records that begin at ``start`` and end before ``until``."""
    since, end = RECORD["from"], RECORD["until"]
    return [_changed(r, from_=r[since] + start, until=min(r[end] + start, until)) for r in records]


def held_record(rate: float | None, *, counts_steps: bool) -> list[float]:
    """Return the record of a rate that was set by hand and holds until time advances; None: a record that never applies."""
    [found] = shifted([record("held", {"rate": 0.0 if rate is None else rate})], 0.0, float(rate is not None))
    return _changed(found, counts_steps=float(counts_steps))


def check_numbers(
    owner: str, name: str, value: Any, *, low: float = 0.0, above: bool = False, high: float = math.inf, several: bool = False
) -> None:
    """Raise unless ``value`` is a finite number in ``[low, high)``, or with ``several`` a list of those; ``above`` excludes ``low``."""
    given = value if several and isinstance(value, (list, tuple)) else [value]
    for one in given:
        if isinstance(one, (bool, np.bool_)) or not isinstance(one, Real):
            raise TypeError(f"{owner}: {name} must be a number{' or a list of them' if several else ''}, got {value!r}")
        if not (low < float(one) if above else low <= float(one)) or not float(one) < high:
            limit = "" if high == math.inf else f" and below {high:g}"
            raise ValueError(f"{owner}: {name} must be finite and {'over' if above else 'at least'} {low:g}{limit}, got {value!r}")


def check_count(owner: str, name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{owner}: {name} must be an integer of {least} or more, got {value!r}")


class Scheduled:
    """Base of `Optimizer`: an object with learning rates, to which a schedule can be bound."""


class LRScheduler:
    """Base class of schedules: the learning rates of an optimizer as a function of time.

    ``StepLR(optimizer, step_size=30)`` works as in PyTorch: call ``scheduler.step()`` once per epoch (or per batch). A schedule created
    without an optimizer is passed to one, as in ``Adam(schedule=StepLR(step_size=30))``. Then ``fit`` advances it and computes the rates
    inside its loop: once per epoch, or with ``interval="step"`` once per batch. Several schedules of one optimizer apply one after the
    other, in the order in which they were created.
    """

    interval: str = "epoch"

    writes = False
    """Whether the schedule sets the rates itself, instead of being a function of time that the core computes."""
    calls = False
    """Whether the schedule calls a Python function at each time."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__name__.startswith("_"):
            classes[cls.__name__] = cls

    def __init__(self, optimizer: Optimizer | None, last_epoch: int, interval: str | None = None, **settings: Any) -> None:
        missing = [name for name, value in settings.items() if value is REQUIRED]
        if missing:
            raise TypeError(f"{type(self).__name__}: {missing[0]} is required")
        if interval not in (None, *INTERVALS):
            raise ValueError(f"{type(self).__name__}: interval must be 'epoch' or 'step', got {interval!r}")
        check_count(type(self).__name__, "last_epoch", last_epoch, -1)
        self._check(settings)
        self.interval = interval or type(self).interval
        self.settings = settings
        self.optimizer: Optimizer | None = None
        self.last_epoch = last_epoch
        if optimizer is not None:
            self.bind(optimizer)

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Raise if the settings are invalid."""

    def bind(self, optimizer: Optimizer) -> None:
        """Attach the schedule to the optimizer whose rates it changes; called by an optimizer that is given a schedule."""
        if not isinstance(optimizer, Scheduled):
            raise TypeError(f"{type(self).__name__}: optimizer must be a pynn.Optimizer, got {type(optimizer).__name__}")
        if self.optimizer is not None and self.optimizer is not optimizer:
            raise ValueError(f"{type(self).__name__}: it already belongs to another optimizer")
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
        """Check the settings that depend on the optimizer."""

    def _bound(self) -> Optimizer:
        if self.optimizer is None:
            raise RuntimeError(f"{type(self).__name__} has no optimizer yet; pass one to it, or pass it to an optimizer as schedule=")
        return self.optimizer

    def _own_records(self, group: int, active: bool = True) -> list[list[float]]:
        """Return a constant number of records for a group, from time 0. With ``active=False`` no Python function is called."""
        raise NotImplementedError

    def records(self, group: int) -> list[list[float]]:
        """Return the records for a group, with the present time."""
        counts_steps = float(self.interval == "step")
        return [_changed(r, counts_steps=counts_steps, start=float(self.last_epoch)) for r in self._own_records(group)]

    def _per_group(self, name: str) -> list[float]:
        """Return the value of a setting for each group; it was given as one number, or as one for each group."""
        groups, value = self._bound().param_groups, self.settings[name]
        if not isinstance(value, (list, tuple)):
            return [float(value)] * len(groups)
        if len(value) != len(groups):
            raise ValueError(f"{type(self).__name__}: {name} has {len(value)} values for {len(groups)} parameter groups")
        return [float(v) for v in value]

    # ---- time ------------------------------------------------------------------------------------------------------
    def step(self) -> None:
        """Advance by one epoch, or one batch with ``interval="step"``."""
        self._bound().advance(self, lambda: self._seek(self.last_epoch + 1))

    def _seek(self, time: int) -> None:
        """Set the time."""
        self.last_epoch = time

    def count(self, steps: int) -> None:
        """Advance by the number of updates that ``fit`` has made."""
        if self.interval == "step" and steps:
            self._bound().advance(self, lambda: self._seek(self.last_epoch + steps))

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """Advance by an epoch that ``fit`` has completed."""
        if self.interval == "epoch":
            self._bound().advance(self, lambda: self._seek(self.last_epoch + 1))

    def get_last_lr(self) -> list[float]:
        """Return the present rate of each group."""
        return [group["lr"] for group in self._bound().param_groups]

    # ---- saving ----------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Return the state of the schedule as plain data, without settings that are functions."""
        return {name: value for name, value in vars(self).items() if name not in ("optimizer", "settings")} | {
            "settings": {name: value for name, value in self.settings.items() if not _is_code(value)}
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that ``state_dict`` of a schedule of the same class returned.

        Raises
        ------
        ValueError
            If the state is that of another schedule, or its settings are invalid. Nothing has been changed then.
        """
        self.take(self._taken(state))
        if self.optimizer is not None:
            self.optimizer.reschedule()

    def _taken(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes to restore from a state, after checking them."""
        owner, settings = type(self).__name__, dict(state.get("settings", {}))
        if not settings.keys() <= self.settings.keys():
            invalid = sorted(settings.keys() - self.settings.keys())
            raise ValueError(f"{owner}: the state belongs to another schedule, with {invalid[0]!r}; expected {', '.join(self.settings)}")
        settings = {**self.settings, **{k: tuple(v) if isinstance(self.settings[k], tuple) else v for k, v in settings.items()}}
        self._check(settings)
        own = {name: value for name, value in state.items() if name in vars(self) and name not in ("optimizer", "settings")}
        check_count(owner, "last_epoch", own.get("last_epoch", self.last_epoch), -1)
        if own.get("interval", self.interval) not in INTERVALS:
            raise ValueError(f"{owner}: interval must be 'epoch' or 'step', got {own['interval']!r}")
        return {**own, "settings": settings}

    def take(self, taken: Mapping[str, Any]) -> None:
        """Set attributes that `_taken` has checked."""
        vars(self).update(taken)

    def get_config(self) -> dict[str, Any]:
        """Return the name of the class and the settings."""
        return {"class": type(self).__name__, **self.settings, "interval": self.interval}

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.settings.items()]
        return f"{type(self).__name__}({', '.join([*shown, *[f'interval={self.interval!r}'] * (self.interval != type(self).interval)])})"


def _is_code(value: Any) -> bool:
    return callable(value) or (isinstance(value, (list, tuple)) and any(map(callable, value)))


def get(schedule: Any) -> LRScheduler:
    """Return the schedule that a configuration describes; a schedule is returned unchanged."""
    if isinstance(schedule, LRScheduler):
        return schedule
    if not isinstance(schedule, Mapping):
        raise TypeError(f"schedule: expected one of pynn.optim.lr_scheduler, got {schedule!r}")
    rest = dict(schedule)
    name = rest.pop("class", None)
    if name not in classes and name not in of_the_table:
        raise unknown_name("schedule", name, [*of_the_table, *(known for known in classes if known not in of_the_table)])
    return (classes[name] if name in classes else of_the_table[name])(**rest)


def simple(row: Mapping[str, Any], module: str) -> type[LRScheduler]:
    """Create the class of a schedule that is fully described by its row."""
    owner, kind, parameters = row["cls"], row["name"], parse_parameters(row["params"], row["check"])
    arguments = ", ".join(f"{n}: float = {'...' if v is REQUIRED else repr(v)}" for n, v in parameters.defaults.items())
    values = ", ".join(f"{n!r}: {n}" for n in parameters.defaults)

    def setup(self: LRScheduler, values: dict[str, Any], optimizer: Optimizer | None, last_epoch: int, interval: str) -> None:
        LRScheduler.__init__(self, optimizer, last_epoch, interval, **values)

    def check(self: LRScheduler, settings: Mapping[str, Any]) -> None:
        parameters.verify_scalars(owner, settings)

    def own_records(self: LRScheduler, group: int, active: bool = True) -> list[list[float]]:
        return [record(kind, self.settings)]

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
        The unit of time in ``fit``.

    Raises
    ------
    ValueError
        If ``{row["check"]}`` does not hold, or `interval` has another value.
    TypeError
        If a parameter is not a number, or one without a default is missing.
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


of_the_table = LazyTable({row["cls"]: partial(simple, row, "pynn.optim.lr_scheduler") for row in _core.SCHEDULES if row["cls"]})
"""Class name to class, for the schedules that are fully described by their row."""
