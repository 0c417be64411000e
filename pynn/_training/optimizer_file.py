"""Optimizers as plain data, for the files of models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import optim
from ..optim import _schedule
from ..optim._base import Optimizer, parse_states
from ..optim._multi import MultiOptimizer
from ..optim._solver import Solver

if TYPE_CHECKING:
    from .._arrays import Array
    from ..layers._base import Layer

_CLASSES: dict[str, type[Optimizer]] = {cls.__name__: cls for cls in optim.by_name.values()}
_MEMORY = "memory"


def describe(opt: Optimizer, net: Layer) -> dict[str, Any]:
    """Return what a file stores of an optimizer beside its arrays: class, settings, groups with the names of parameters, and progress.

    An optimizer that is not plain data is stored by name only, with the reason.
    """
    names = {p: name for name, p in reversed(net._all_parameters().items())}
    try:
        if any(p not in names for group in opt.param_groups for p in group["params"]):
            raise TypeError("it updates parameters that are no longer the model's")
        facts = {
            "name": type(opt).__name__,
            "parts": [_plain(part, names) for part in _parts(opt)],
            "clip_norm": opt.clip_norm if isinstance(opt, MultiOptimizer) else None,
            "made_by_name": opt.made_by_name,
            "state": {"steps": opt.steps, "schedulers": [s.state_dict() for s in opt.schedulers]},
        }
        return dict(json.loads(json.dumps(facts, default=_number)))
    except (TypeError, ValueError) as error:
        return {"name": type(opt).__name__, "reason": str(error)}


def _number(value: Any) -> Any:
    """Return a NumPy number as JSON supports it."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} is no plain data")


def _parts(opt: Optimizer) -> list[Optimizer]:
    return [*opt.optimizers] if isinstance(opt, MultiOptimizer) else [opt]


def _plain(opt: Optimizer, names: Mapping[Any, str]) -> dict[str, Any]:
    if _CLASSES.get(type(opt).__name__) is not type(opt):
        raise TypeError(f"{type(opt).__name__} is no optimizer of pynn.optim")
    config = {name: value for name, value in opt.get_config().items() if name != "schedule"}
    groups = [{**group, "params": [names[p] for p in group["params"]]} for group in opt.param_groups]
    schedules = [s.get_config() for s in opt.schedulers]
    return {"class": type(opt).__name__, "config": config, "groups": groups, "schedules": schedules}


def arrays_of(opt: Optimizer) -> dict[str, Array]:
    """Return the arrays of an optimizer's state by names: the index of a parameter and their own; and the memory of a solver."""
    members = [p for group in opt.param_groups for p in group["params"]]
    found = {f"{i}/{name}": a for i, p in enumerate(members) for name, a in opt.state.get(p, {}).items()}
    memory = getattr(opt, "_memory", None)
    return found if memory is None else found | {_MEMORY: memory}


def state_of(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Return the arrays from `arrays_of` in the form of ``state_dict``."""
    states: dict[int, dict[str, Array]] = {}
    for key, a in arrays.items():
        number, _, name = key.partition("/")
        if key != _MEMORY:
            states.setdefault(int(number), {})[name] = a
    return {"state": states, "memory": arrays.get(_MEMORY)}


def build(facts: Mapping[str, Any], arrays: Mapping[str, Array], net: Layer) -> Optimizer | str:
    """Return the optimizer that `describe` and `arrays_of` stored, or the reason why there is none."""
    if "parts" not in facts:
        return f"{facts['name']} ({facts['reason']})"
    parameters, every = net._all_parameters(), net.parameters()
    parts = [_made(part, parameters, every) for part in facts["parts"]]
    several = facts["name"] == MultiOptimizer.__name__
    opt = MultiOptimizer(*parts, clip_norm=facts["clip_norm"]) if several else parts[0]
    opt.made_by_name = bool(facts["made_by_name"])
    opt.load_state_dict({"param_groups": opt.state_dict()["param_groups"], **state_of(arrays), **facts["state"]})
    for part in parts:
        part.lacks_state = not arrays and _remembers(part)
    opt.lacks_state = any(part.lacks_state for part in parts)
    return opt


def _made(facts: Mapping[str, Any], parameters: Mapping[str, Any], every: list[Any]) -> Optimizer:
    opt = _CLASSES[facts["class"]](**facts["config"])
    groups = [{**group, "params": [parameters[name] for name in group["params"]]} for group in facts["groups"]]
    for group in groups:
        group["params"] = every if group["params"] == every else group["params"]  # of which the optimizer follows the net
    opt.bind([{name: tuple(v) if isinstance(v, list) and name != "params" else v for name, v in group.items()} for group in groups])
    for schedule in facts["schedules"]:
        _schedule.get(schedule).bind(opt)
    return opt


def _remembers(opt: Optimizer) -> bool:
    """Return whether the next step of an optimizer depends on more than its settings and the gradients."""
    switched = [s for s in parse_states(opt._row["states"]) if any(s.mark != "?" or group[s.word] for group in opt.param_groups)]
    return bool(switched or opt._row["numbers"] or opt.options.get("ema_decay") is not None or isinstance(opt, Solver))
