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
"""Where in a record the core reads each of its numbers, and its size; those of the schedule's kind come last."""

_KINDS = {row["name"]: i for i, row in enumerate(_core.SCHEDULES)}
_SETTINGS = {row["name"]: [*parse_parameters(row["params"]).defaults] for row in _core.SCHEDULES}
"""The names of the settings of each kind, in the order of a record."""
INTERVALS = ("epoch", "step")
classes: dict[str, type[LRScheduler]] = {}
"""Class name to class, of those that have been made."""


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
    """Return the record of a rate that was written by hand, which counts until time moves; None: a record that never applies."""
    [found] = shifted([record("held", {"rate": 0.0 if rate is None else rate})], 0.0, float(rate is not None))
    return _changed(found, counts_steps=float(counts_steps))


def check_numbers(
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


def check_count(owner: str, name: str, value: Any, least: int) -> None:
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
        check_count(type(self).__name__, "last_epoch", last_epoch, -1)
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
        counts_steps = float(self.interval == "step")
        return [_changed(r, counts_steps=counts_steps, start=float(self.last_epoch)) for r in self._own_records(group)]

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
        check_count(owner, "last_epoch", own.get("last_epoch", self.last_epoch), -1)
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
    if name not in classes and name not in of_the_table:
        raise unknown_name("schedule", name, [*of_the_table, *(known for known in classes if known not in of_the_table)])
    return (classes[name] if name in classes else of_the_table[name])(**rest)


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
        What ``fit`` counts as time.

    Raises
    ------
    ValueError
        If ``{row["check"]}`` does not hold, or `interval` has another value.
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


of_the_table = LazyTable({row["cls"]: partial(simple, row, "pynn.optim.lr_scheduler") for row in _core.SCHEDULES if row["cls"]})
"""Class name to class of the rows whose parameters are all there is to them."""
