"""Base class of optimizers: parameter groups, state, options, and the step."""

from __future__ import annotations

import copy
import numbers
import reprlib
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from .. import _core
from .._arrays import Array, writable, zeros
from .._graph import Parameter, ParameterList, moment
from .._hints import hinted
from .._tables import Parameters
from ..layers._base import Layer
from ._schedule import RECORD, LRScheduler, Scheduled, held_record

OPTIONS = (
    "*, clip_norm: float | None = None, clip_value: float | None = None, l1_decay: float = 0.0, "
    "decay_exclude: str | None = None, ema_decay: float | None = None, schedule: Any = None"
)
"""The options of every optimizer, in addition to the settings of its row, as source text of a signature."""

SETTINGS = _core.OPTIMIZER_SETTINGS
"""The index of each option in the core's array of settings, and the size of that array; the settings of the row come first."""


class _State(NamedTuple):
    """A state array of a row: its name, its mark (= ? : or none), and the setting or the shape that the mark names."""

    name: str
    mark: str
    word: str


def _parse_states(text: str) -> tuple[_State, ...]:
    """Parse a row's states, such as ``"prev step_size=lr"``."""
    return tuple(
        _State(*next((word.partition(mark) for mark in "=?:" if mark in word), (word, "", ""))) for word in text.split()
    )


parse_states = cache(_parse_states)


def saved_groups(state: Any) -> list[Mapping[str, Any]]:
    """Return the parameter groups of a saved state, or raise."""
    groups = state.get("param_groups") if isinstance(state, Mapping) else None
    if not isinstance(groups, (list, tuple)) or not all(isinstance(g, Mapping) and "params" in g for g in groups):
        raise TypeError(f"state: expected the result of an optimizer's state_dict(), got {reprlib.repr(state)}")
    return [*groups]


def new_settings() -> Array:
    """Return an array for the settings of a group in the core's form."""
    return np.zeros(SETTINGS["size"])


def _check_option(owner: str, name: str, value: Any, high: float = float("inf")) -> float:
    """Return a number in (0, high), with 0 for None, or raise."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{owner}: {name} must be a number or None, got {value!r}")
    if not 0 < value < high:
        allowed = "over 0" if high == float("inf") else f"between 0 and {high:g}"
        raise ValueError(f"{owner}: {name} must be {allowed}, or None to disable it; got {value!r}")
    return float(value)


class _Export(NamedTuple):
    """The arrays of a group that the core reads at each step."""

    group: int
    decays: bool
    settings: Array
    schedules: Array


class _Last(NamedTuple):
    """The core's update of the last ``step``, with all arrays that it holds and the settings at that time."""

    arrays: list[Any]
    settings: list[tuple[Any, ...]]
    options: dict[Any, Any]
    exports: list[_Export]
    update: _core.Update


class _Followed:
    """A layer whose parameters form a group, with those parameters as last seen by the optimizer."""

    def __init__(self, layer: Layer, seen: Iterable[Parameter]) -> None:
        self.layer: Callable[[], Layer | None] = weakref.ref(layer)
        self.seen, self.changes = list(seen), layer._changes

    def __getstate__(self) -> tuple[Layer | None, list[Parameter]]:
        return self.layer(), self.seen

    def __setstate__(self, state: tuple[Layer | None, list[Parameter]]) -> None:
        layer, self.seen = state
        self.layer, self.changes = (weakref.ref(layer) if layer is not None else lambda: None), -1


if TYPE_CHECKING:
    _OptimizerBase = object
else:
    _OptimizerBase = hinted("optimizer", __name__)


class Optimizer(Scheduled, _OptimizerBase):
    """Base class of optimizers: call ``opt.zero_grad()`` and ``opt.step()``, or pass the optimizer to ``fit``.

    ``param_groups`` and ``state`` have PyTorch's layout: a list of dicts of settings with the parameters under ``"params"``, and a dict
    from each parameter to its state, which holds ``"step"`` and arrays. ``schedulers`` lists the schedules that are attached to the
    optimizer, see `pynn.optim.lr_scheduler`.
    """

    _index: int
    _row: Mapping[str, Any]
    _hyper: Parameters
    whole_batches = False
    """Whether ``batch_size=None`` of ``fit`` means all rows."""
    made_by_name = False
    """Whether the optimizer was created from a name, so that later calls with the same name continue with it."""
    lacks_state = False
    """Whether the optimizer was read from a file that does not hold its state."""

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]] | None,
        defaults: dict[str, Any],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.defaults = defaults
        self.options: dict[str, Any] = dict(options or {})
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Parameter, dict[str, Array]] = {}
        self.schedulers: list[LRScheduler] = []
        self.steps = 0
        self._exports: list[_Export] = []
        self._epoch = 0
        self._last_lr: list[float] = []
        self._held: list[float | None] = []
        self._given: tuple[list[Any], Any] | None = None
        self._checked: Any = None
        self._filled: Any = None
        self._used_lr: list[float] | None = None
        self._last: _Last | None = None
        self._followed: list[_Followed | None] = []
        self._since = 0
        self._switches = [s.word for s in parse_states(self._row["states"]) if s.mark == "?"]
        self._options = self._check_options()
        if params is not None:
            self.bind(params)

    def _check_options(self) -> list[float]:
        owner, given = type(self).__name__, self.options
        if given.get("decay_exclude") not in (None, "vectors"):
            raise ValueError(f"{owner}: decay_exclude must be None or 'vectors', got {given['decay_exclude']!r}")
        if self.param_groups and given.get("schedule") is not None and given["schedule"] not in self.schedulers:
            raise ValueError(f"{owner}: schedule was set after the optimizer got its parameters; call schedule.bind(optimizer) instead")
        return [
            _check_option(owner, "clip_norm", given.get("clip_norm")),
            _check_option(owner, "clip_value", given.get("clip_value")),
            _check_option(owner, "l1_decay", given.get("l1_decay") or None),
            _check_option(owner, "ema_decay", given.get("ema_decay"), 1.0),
        ]

    # ---- parameters ------------------------------------------------------------------------------------------------
    @property
    def bound(self) -> bool:
        """Whether the optimizer has been given parameters."""
        return bool(self.param_groups)

    def bind(self, params: Iterable[Parameter] | Iterable[dict[str, Any]]) -> None:
        """Set the parameters, or groups of them with individual settings; ``fit`` calls this if the optimizer has none."""
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": params if isinstance(params, ParameterList) else given}]
        for group in groups:
            self.add_param_group(group)
        schedule = self.options.get("schedule")
        if schedule is not None and schedule not in self.schedulers:
            schedule.bind(self)
        self._check()

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a group, ``{"params": [...], "lr": ...}``; missing settings take their defaults."""
        unknown = group.keys() - {"params", "initial_lr"} - self.defaults.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no setting {sorted(unknown)[0]!r}; it has {', '.join(self.defaults)}")
        members = [group["params"]] if isinstance(group["params"], Parameter) else list(group["params"])
        for i, p in enumerate(members):
            if not isinstance(p, Parameter):
                raise TypeError(f"params: expected pynn.Parameter, got {type(p).__name__}; wrap an array as pynn.Parameter(array)")
            if any(p is q for q in members[:i]) or any(p is q for g in self.param_groups for q in g["params"]):
                raise ValueError(f"params: {p!r} appears twice")
            self._check_shape(p)
        values = {name: group.get(name, default) for name, default in self.defaults.items()}
        self._hyper.verify_settings(type(self).__name__, values)
        added = {"params": members, **values}
        if self.schedulers or "initial_lr" in group:
            added["initial_lr"] = group.get("initial_lr", values["lr"])
        source = group["params"]
        followed = _Followed(source.layer, members) if isinstance(source, ParameterList) else None
        self.param_groups.append(added)
        if self.schedulers:
            try:
                self.reschedule()
            except ValueError:
                self.param_groups.pop()
                raise
        self._followed.append(followed)
        self._since = moment()

    def _check_shape(self, p: Parameter) -> None:
        if self._row.get("matrices_only") and p.data.ndim != 2:
            raise ValueError(
                f"params: {type(self).__name__} updates matrices only, got {p!r}; use another optimizer for the other parameters: "
                f"pynn.optim.MultiOptimizer({type(self).__name__}(matrices), AdamW(rest))"
            )

    def follow(self) -> None:
        """Add the parameters that followed layers have gained since their groups were created, and drop those that they have lost."""
        for i, followed in enumerate(self._followed):
            layer = followed.layer() if followed is not None else None
            if followed is None or layer is None or layer._changes == followed.changes:
                continue
            now, before = layer.parameters(), set(followed.seen)
            if len(now) != len(before) or not before.issuperset(now):
                self._regroup(i, now, before)
                followed.seen = [*now]
            followed.changes = layer._changes

    def _regroup(self, i: int, now: list[Parameter], before: set[Parameter]) -> None:
        """Set a group's parameters to the present ones of a layer, in its order, followed by those that never belonged to the layer."""
        mine, others = self.param_groups[i]["params"], {p for k, g in enumerate(self.param_groups) if k != i for p in g["params"]}
        taken = [p for p in now if p in mine or (p not in before and p not in others)]
        for p in taken:
            self._check_shape(p)
        self.param_groups[i]["params"] = taken + [p for p in mine if p not in before and p not in now]
        for p in before.difference(now) - others:
            self.state.pop(p, None)
        self._since = moment()

    def _copy(self) -> Self:
        """Return a copy for the same parameters, with a copy of the state and without schedules."""
        self.follow()
        other = copy.copy(self)
        other._since = self._since
        other.options = {**self.options, "schedule": None}
        other._followed = [None for _ in self._followed]
        other.param_groups = [{**group, "lr": group["initial_lr"]} if "initial_lr" in group else {**group} for group in self.param_groups]
        other.state = {p: {name: a.copy() for name, a in state.items()} for p, state in self.state.items()}
        other._given, other._checked, other._filled = None, None, None
        other.schedulers, other._exports, other._last_lr, other._held, other._last = [], [], [], [], None
        return other

    def set_rate(self, rate: float) -> None:
        """Set the rate of the first group, and scale those of the others in proportion."""
        if any("lr" not in group for group in self.param_groups):
            raise ValueError(f"{type(self).__name__} has no learning rate")
        first = self.param_groups[0]["lr"] if self.param_groups else 1.0
        for group in self.param_groups:
            group["lr"] = rate * group["lr"] / first if first else rate

    # ---- state -----------------------------------------------------------------------------------------------------
    def _new_state(self, p: Parameter, group: Mapping[str, Any], state: _State) -> Array | None:
        shape = p.shape
        if state.mark == "?" and not group[state.word]:
            return None
        if state.mark == ":":
            if (len(shape) > 1) == (state.word == "flat"):
                return None
            if state.word != "flat":
                shape = (*shape[:-2], *((shape[-2], 1) if state.word == "rows" else (1, shape[-1])))
        array = zeros(shape, p.data.dtype)
        if state.mark == "=":
            array[...] = group[state.word]
        return array

    def _state(self, p: Parameter, group: Mapping[str, Any]) -> dict[str, Array]:
        """Return the state of a parameter, creating missing arrays; read-only arrays are replaced by copies."""
        state = self.state.setdefault(p, {})
        for name, kept_array in state.items():
            state[name] = writable(kept_array)
        for name, _, start in ("step=0".partition("="), *(n.partition("=") for n in self._row["numbers"].split())):
            if name not in state:
                state[name] = np.array(float(group.get(start, start)))
        for name in ("ema", *(kept.name for kept in parse_states(self._row["states"]))):
            if name in state and state[name].dtype != p.data.dtype:  # of a layer that was converted, see `Layer.to`
                state[name] = state[name].astype(p.data.dtype)
        for kept in parse_states(self._row["states"]):
            if kept.name not in state:
                array = self._new_state(p, group, kept)
                if array is not None:
                    state[kept.name] = array
        if self.options.get("ema_decay") is not None and "ema" not in state:
            state["ema"] = p.data.copy()
        return state

    def _export(self, p: Parameter, group: Mapping[str, Any]) -> tuple[Any, ...]:
        state = self._state(p, group)
        arrays = tuple(state.get(s.name) if s.mark != "?" or group[s.word] else None for s in parse_states(self._row["states"]))
        numbers = tuple(state[name] for name in ("step", *(n.partition("=")[0] for n in self._row["numbers"].split())))
        return p.data, p.grad, arrays, numbers, state.get("ema") if self.options.get("ema_decay") is not None else None

    # ---- the step --------------------------------------------------------------------------------------------------
    def _fill(self, export: _Export, scheduled: bool, steps: int, epoch: int) -> None:
        """Write the settings for the core, and the time of the schedules relative to its count of steps and epochs."""
        group = self.param_groups[export.group]
        values = {name: group[name] for name in self._hyper.defaults if name != "maximize"}
        if scheduled:
            values["lr"] = group["initial_lr"]
        if not export.decays and "weight_decay" in values:
            values["weight_decay"] = 0.0
        clip_norm, clip_value, l1, average = self._options
        flat, settings = self._hyper.flat(values), export.settings
        settings[: len(flat)] = flat
        settings[SETTINGS["maximize"]] = group.get("maximize", False)
        settings[SETTINGS["clip_norm"]], settings[SETTINGS["clip_value"]] = clip_norm, clip_value
        settings[SETTINGS["l1"]], settings[SETTINGS["average_decay"]] = l1 if export.decays else 0.0, average
        if scheduled:
            export.schedules[...] = self._records(export.group)
            counts_steps = export.schedules[:, RECORD["counts_steps"]] != 0
            export.schedules[:, RECORD["start"]] -= np.where(counts_steps, steps, epoch)

    def _records(self, group: int, *, held: bool = True) -> Array:
        rows = [record for s in self.schedulers for record in s.records(group)]
        if held:
            rate = self._held[group] if group < len(self._held) else None
            rows.append(held_record(rate, counts_steps=any(s.interval == "step" for s in self.schedulers)))
        return np.array(rows, np.float64).reshape(len(rows), RECORD["size"])

    def _groups(self, scheduled: bool, epoch: int) -> tuple[list[tuple[Any, ...]], list[_Export]]:
        """Return the groups in the core's form, without frozen parameters, and their arrays of settings, which `_fill` updates."""
        exports, groups = [], []
        for i, group in enumerate(self.param_groups):
            trained = [p for p in group["params"] if p.requires_grad]
            spare = self.options.get("decay_exclude") is not None
            for decays in (True, False) if spare else (True,):
                members = [p for p in trained if not spare or (p.data.ndim > 1) == decays]
                export = _Export(i, decays, new_settings(), self._records(i) if scheduled else np.zeros((0, RECORD["size"])))
                self._fill(export, scheduled, self.steps, epoch)
                exports.append(export)
                groups.append((self._index, export.settings, export.schedules, [self._export(p, group) for p in members]))
        return groups, exports

    def core_groups(self, epoch: int = 0) -> list[tuple[Any, ...]]:
        """Return the groups for a run of ``fit``, in which the core computes the schedules; ``epoch`` is the core's first epoch."""
        self.follow()
        self._check()
        self._rebase()
        self._epoch = epoch
        groups, self._exports = self._groups(bool(self.schedulers), epoch)
        self._given = self._arrays(), ({**self.options}, [len(export.schedules) for export in self._exports])
        self._filled = None
        return groups

    def outdated(self) -> bool:
        """Return whether the arrays from ``core_groups`` no longer match the groups, their states, the options and the schedules."""
        if self._given is None:
            return False
        counts = [len(self._records(e.group)) if self.schedulers else 0 for e in self._exports]
        arrays, known = self._arrays(), ({**self.options}, counts)
        return known != self._given[1] or len(arrays) != len(self._given[0]) or not all(map(is_, arrays, self._given[0]))

    def core_solver(self) -> tuple[Any, ...] | None:
        """Return the core's description of a solver, which evaluates the loss within its step; None for other optimizers."""
        return None

    def begin_epoch(self, epoch: int = 0, *, is_current: bool = False) -> None:
        """Update the settings of the core's groups, see ``core_groups``; ``epoch`` is the core's count.

        With ``is_current=True`` the caller has already checked ``outdated``.
        """
        if not is_current and self.outdated():
            raise RuntimeError(
                f"{type(self).__name__}: parameters, groups, schedules, state arrays or a setting that needs one (such as momentum) "
                "changed at a point where fit cannot apply it; change them between the epochs of a fit on arrays, or between calls of fit"
            )
        self._check()
        self._rebase()
        self._epoch = epoch
        scheduled = bool(self.schedulers)
        now = None if scheduled else ({**self.options}, [(*group.values(),) for group in self.param_groups])
        if now is None or now != self._filled:
            for export in self._exports:
                self._fill(export, scheduled, self.steps, epoch)
            self._filled = now

    def count_steps(self, steps: int) -> None:
        """Record the core's count of updates."""
        taken, self.steps = steps - self.steps, steps
        if taken:
            self._note_rates(steps)
        for scheduler in self.schedulers:
            scheduler.count(taken)

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """Advance the schedules that count epochs; those that depend on a score read it from ``logs``."""
        for scheduler in self.schedulers:
            scheduler.end_epoch(logs)

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group in the last update, or the initial rates before the first update."""
        return [group.get("lr", float("nan")) for group in self.param_groups] if self._used_lr is None else [*self._used_lr]

    def _note_rates(self, step: int) -> None:
        """Record the rates of the core's last update."""
        used = {i: float(group["lr"]) for i, group in enumerate(self.param_groups) if "lr" in group}
        for export in self._exports:
            settings = export.settings
            if len(export.schedules):
                settings = settings.copy()
                _core.schedule(export.schedules, settings, step, self._epoch)
            used[export.group] = float(settings[0])
        self._used_lr = [*used.values()]

    # ---- schedules ---------------------------------------------------------------------------------------------------
    def advance(self, scheduler: LRScheduler, move: Callable[[], None]) -> None:
        """Advance one schedule, and set the rates from all of them."""
        self._rebase()
        move()
        if scheduler.writes:
            self._rebase()
        else:
            self._held = []
            self._apply()

    def reschedule(self) -> None:
        """Set the rates from the schedules, after one was added or its state was restored."""
        self._rebase()
        self._apply()

    def _rebase(self) -> None:
        """Make the schedules continue from rates that were set by hand in the groups.

        Such a rate holds until time advances. From then on the schedules apply to the base rate that would have given it at the present
        time; if there is none, to the old base rate scaled by the same factor.
        """
        for i, (group, last) in enumerate(zip(self.param_groups, self._last_lr, strict=False)):
            if group["lr"] == last:
                continue
            self._verify(group)
            group["initial_lr"] = self._base_rate(i, group["lr"], last)
            self._held += [None] * (i + 1 - len(self._held))
            self._held[i] = self._last_lr[i] = group["lr"]

    def _base_rate(self, i: int, rate: float, last: float) -> float:
        """Return the base rate from which the schedules give this rate; each schedule is linear in its base rate."""
        least, slope = self._scheduled(i, 0.0), self._scheduled(i, 1.0) - self._scheduled(i, 0.0)
        base = (rate - least) / slope if slope > (1e-6 if least else 0.0) else -1.0
        scaled = rate / last if last else 1.0
        return float(base if 0 <= base < float("inf") else self.param_groups[i]["initial_lr"] * scaled)

    def _scheduled(self, i: int, rate: float) -> float:
        """Return the rate that the schedules give at the present time for a base rate."""
        settings = new_settings()
        settings[0] = rate
        _core.schedule(self._records(i, held=False), settings, 1, 0)
        return float(settings[0])

    def _apply(self) -> None:
        """Set the present rate of each group from the schedules, and its momentum where a schedule cycles it."""
        for i, group in enumerate(self.param_groups):
            if not self.schedulers:
                continue
            export = _Export(i, True, new_settings(), self._records(i))
            self._fill(export, True, 0, 0)
            _core.schedule(export.schedules, export.settings, 1, 0)
            group["lr"] = float(export.settings[0])
            if (at := self._momentum_index()) is not None and np.any(export.schedules[:, RECORD["momentum"]] >= 0):
                self._set_momentum(group, float(export.settings[at]))
        self._last_lr = [group["lr"] for group in self.param_groups] if self.schedulers else []

    def _check(self) -> None:
        """Check options and settings if they have changed since the last check."""
        now: tuple[Any, ...] = {**self.options}, [(*group.values(),) for group in self.param_groups]
        if self._checked is None or now != self._checked[:2]:
            self._options = self._check_options()
            for group in self.param_groups:
                self._verify(group)
            if self._checked is not None:
                self._check_starts(self._checked[2])
            self._checked = *now, self._starts()

    def _starts(self) -> list[dict[str, Any]]:
        """Return for each group the settings that are only initial values of a state."""
        names = [s.word for s in parse_states(self._row["states"]) if s.mark == "="]
        return [{name: group[name] for name in names} for group in self.param_groups]

    def _check_starts(self, before: list[dict[str, Any]]) -> None:
        """Raise if a setting that is only the initial value of a state was changed after the first step."""
        for group, old, new in zip(self.param_groups, before, self._starts(), strict=False):
            changed = [name for name in old if new[name] != old[name]]
            if changed and any(p in self.state for p in group["params"]):
                state = next(s.name for s in parse_states(self._row["states"]) if s.word == changed[0])
                raise ValueError(
                    f"{type(self).__name__}: {changed[0]} is only the initial value of the state {state!r}, and the first "
                    f"step has been taken; change opt.state[p][{state!r}][...] instead, or create a new optimizer"
                )

    def _verify(self, group: Mapping[str, Any]) -> None:
        """Raise if a group's settings, which user code may have changed, are invalid."""
        missing = [name for name in self.defaults if name not in group]
        if missing:
            raise ValueError(f"{type(self).__name__}: a parameter group lacks its setting {missing[0]!r}")
        values = {name: tuple(v) if isinstance(v := group[name], list) else v for name in self.defaults}
        self._hyper.verify_settings(type(self).__name__, values)
        if "initial_lr" in group:
            self._check_rate("initial_lr", group["initial_lr"])

    def _check_rate(self, name: str, rate: Any) -> None:
        if isinstance(rate, bool) or not (isinstance(rate, numbers.Real) and float(rate) >= 0):
            raise ValueError(f"{type(self).__name__}: {name} must be a number of 0 or more, got {rate!r}")

    def _momentum_index(self) -> int | None:
        """Return the index in the core's settings of momentum, or of the first of the betas; None if there is neither."""
        at = 0
        for name, default in self._hyper.defaults.items():
            if name in ("momentum", "betas"):
                return at
            at += 0 if name == "maximize" else len(default) if isinstance(default, tuple) else 1
        return None

    @staticmethod
    def _set_momentum(group: dict[str, Any], value: float) -> None:
        if "betas" in group:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter from its gradient.

        Parameters
        ----------
        closure : callable, optional
            Called first; it computes the gradients and returns the loss, which ``step`` returns.
        """
        if not self.bound:
            raise RuntimeError(f"{type(self).__name__}.step needs parameters: {type(self).__name__}(model.parameters())")
        loss = closure() if closure is not None else None
        update = self._ready()
        self.steps += 1
        self._used_lr = None
        update.step(self.steps, 0)
        return loss

    def _ready(self) -> _core.Update:
        """Return the core's update: that of the last step, unless something has changed."""
        self.follow()
        settings, arrays = [(*group.values(),) for group in self.param_groups], self._arrays()
        last, options = self._last, self.options
        if last is None or len(arrays) != len(last.arrays) or not all(map(is_, arrays, last.arrays)) or last.options != options:
            self._check()
            groups, exports = self._groups(False, 0)
            arrays = self._arrays()  # including the states that _groups has created
            last = self._last = _Last(arrays, settings, {**options}, exports, _core.Update(groups, self._gates()))
        elif last.settings != settings:
            self._check()
            for export in last.exports:
                self._fill(export, False, 0, 0)
            self._last = last._replace(settings=settings)
        return last.update

    def _gates(self) -> list[_core.Gate]:
        """Return the locks of the parameters that a step changes."""
        return [p._gate for group in self.param_groups for p in group["params"] if p.requires_grad]

    def _arrays(self) -> list[Any]:
        """Return all arrays that the core holds, and the values that determine which arrays those are."""
        switches, states = self._switches, self.state
        arrays: list[Any] = [bool(group[word]) for group in self.param_groups for word in switches] if switches else []
        for group in self.param_groups:
            for p in group["params"]:
                arrays += p.requires_grad, p._array, p._grad
                if (state := states.get(p)) is not None:
                    arrays += state.values()
        return arrays

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Set every gradient to zero. ``set_to_none`` is accepted for PyTorch's sake: arrays of gradients are never removed."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.fill(0)

    # ---- averages --------------------------------------------------------------------------------------------------
    def swap_averages(self) -> None:
        """Exchange parameters and their moving averages (``ema_decay``) in place; a second call restores them."""
        if self.options.get("ema_decay") is None:
            raise RuntimeError(f"{type(self).__name__} keeps no averages; create it with ema_decay, such as ema_decay=0.999")
        with _core.Writing([p._gate for p, state in self.state.items() if "ema" in state]):
            for p, state in self.state.items():
                if "ema" in state:
                    p.data[...], state["ema"][...] = state["ema"].copy(), p.data.copy()

    @contextmanager
    def averages(self) -> Iterator[None]:
        """Use the moving averages as parameters within a ``with`` block: ``with opt.averages(): model.predict(X)``."""
        self.swap_averages()
        try:
            yield
        finally:
            self.swap_averages()

    # ---- saving ----------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state in PyTorch's layout, with the count of steps and the state of the schedules.

        ``"state"`` maps the index of each parameter that has a state to its arrays, and ``"param_groups"`` holds the settings of each group
        with the indices of its parameters.
        """
        self._rebase()
        members = [p for group in self.param_groups for p in group["params"]]
        number = {p: i for i, p in enumerate(members)}
        return {
            "state": {i: {k: a.copy() for k, a in self.state[p].items()} for i, p in enumerate(members) if p in self.state},
            "param_groups": [{**group, "params": [number[p] for p in group["params"]]} for group in self.param_groups],
            "steps": self.steps,
            "schedulers": [s.state_dict() for s in self.schedulers],
            "held": [*self._held],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from ``state_dict`` of an optimizer of parameters with the same shapes; PyTorch's CPU tensors are accepted.

        Raises
        ------
        TypeError
            If it is not such a state.
        ValueError
            If groups, parameters or shapes differ. Nothing has been changed then.
        """
        groups, mine = saved_groups(state), self.param_groups
        sizes = [len(g["params"]) for g in groups], [len(g["params"]) for g in mine]
        if sizes[0] != sizes[1]:
            raise ValueError(f"state: groups of {sizes[0]} parameters, expected {sizes[1]}")
        known = {*self.defaults, "initial_lr"}
        settings = [{**g, **{k: v for k, v in new.items() if k in known}} for g, new in zip(mine, groups, strict=True)]
        for group in settings:
            group.update({name: tuple(v) for name in self.defaults if isinstance(v := group[name], list)})
            self._verify(group)
        saved = {
            p: self._loaded(p, group, state["state"][i])
            for group, new in zip(settings, groups, strict=True)
            for p, i in zip(group["params"], new["params"], strict=True)
            if i in state["state"]
        }
        schedules = [(s, s._taken(its)) for s, its in zip(self.schedulers, state.get("schedulers", ()), strict=False)]
        held = [None if rate is None else float(rate) for rate in state.get("held", ())]
        for rate in held:
            self._check_rate("held", rate or 0.0)
        for own, group in zip(mine, settings, strict=True):
            own.update(group)
        self._last_lr = [group["lr"] for group in mine] if self.schedulers else []
        self.state = saved
        self.steps = int(state.get("steps", max((int(s["step"]) for s in saved.values()), default=0)))
        for scheduler, its in schedules:
            scheduler.take(its)
        self._held, self._checked = held, None
        if schedules:
            self._apply()

    def _loaded(self, p: Parameter, group: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Array]:
        """Return a parameter's state from a saved one; a missing count of steps (PyTorch's SGD) is 1."""
        expected = {s.name: self._new_state(p, group, s) for s in parse_states(self._row["states"])}
        expected["ema"] = p.data if self.options.get("ema_decay") is not None else None
        state = {"step": np.array(float(given.get("step", 1)))}
        for name in (n.partition("=")[0] for n in self._row["numbers"].split()):
            state[name] = np.array(float(given[name]))
        for name, like in expected.items():
            if like is None or given.get(name) is None:
                continue
            array = np.asarray(given[name]).astype(like.dtype, order="C")
            if array.shape != like.shape:
                raise ValueError(f"state: {name} has shape {array.shape}, expected {like.shape}")
            state[name] = array
        return state

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_since": 0, "_exports": [], "_last": None, "_given": None, "_checked": None, "_filled": None}

    def get_config(self) -> dict[str, Any]:
        """Return the settings, and the options that differ from their defaults, as plain JSON types."""
        options = {k: v.get_config() if isinstance(v, LRScheduler) else v for k, v in self.options.items() if v is not None and v != 0}
        return {**self.defaults, **options}

    def __repr__(self) -> str:
        options = {k: v for k, v in self.options.items() if v is not None and v != 0}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in {**self.defaults, **options}.items())})"


if not TYPE_CHECKING:
    del _OptimizerBase
