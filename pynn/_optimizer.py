"""What all optimizers share: parameter groups, state, and the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from . import _core
from ._layer import Array, Parameter
from ._tables import Parameters


def _flat(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(v) for value in values for v in (value if isinstance(value, tuple) else (value,)))


class Optimizer:
    """The base of every optimizer: ``opt.zero_grad()`` and ``opt.step()``, or given to ``fit``."""

    _index: int
    _row: Mapping[str, Any]
    _hyper: Parameters

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]] | None, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Parameter, dict[str, Array]] = {}
        self.steps = 0
        if params is not None:
            self.bind(params)

    @property
    def bound(self) -> bool:
        """Whether the optimizer has been given parameters."""
        return bool(self.param_groups)

    def bind(self, params: Iterable[Parameter] | Iterable[dict[str, Any]]) -> None:
        """Take parameters, or groups of them with settings of their own; ``fit`` does it for an optimizer made without."""
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a group: ``{"params": [...], "lr": ...}``; settings it does not name are the defaults."""
        unknown = group.keys() - {"params"} - self.defaults.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no setting {sorted(unknown)[0]!r}; it has {', '.join(self.defaults)}")
        members = [group["params"]] if isinstance(group["params"], Parameter) else list(group["params"])
        for i, p in enumerate(members):
            if not isinstance(p, Parameter):
                raise TypeError(f"params: expected pynn.Parameter, got {type(p).__name__}; wrap an array as pynn.Parameter(array)")
            if any(p is q for q in members[:i]) or any(p is q for g in self.param_groups for q in g["params"]):
                raise ValueError(f"params: {p!r} appears twice")
        values = {name: group.get(name, default) for name, default in self.defaults.items()}
        self._hyper.verify_scalars(type(self).__name__, values)
        self.param_groups.append({"params": members, **values})

    def _states(self, p: Parameter) -> dict[str, Array]:
        return self.state.setdefault(p, {name: np.zeros_like(p.data) for name in self._row["states"].split()})

    def core_groups(self) -> list[tuple[int, tuple[float, ...], list[tuple[Array, Array, tuple[Array, ...]]]]]:
        """Return the groups as the core reads them, without what is frozen."""
        return [
            (
                self._index,
                _flat(group[name] for name in self.defaults),
                [(p.data, p.grad, tuple(self._states(p).values())) for p in group["params"] if p.requires_grad],
            )
            for group in self.param_groups
        ]

    def step(self) -> None:
        """Update every parameter from its gradient."""
        if not self.bound:
            raise RuntimeError(f"{type(self).__name__}.step needs parameters: {type(self).__name__}(model.parameters())")
        self.steps += 1
        _core.update(self.core_groups(), self.steps)

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.fill(0)

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the state: the step count, the settings of each group, and the arrays of each parameter in order."""
        return {
            "steps": self.steps,
            "groups": [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups],
            "state": [{k: a.copy() for k, a in self._states(p).items()} for group in self.param_groups for p in group["params"]],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what ``state_dict`` of an optimizer over parameters of the same shapes returned."""
        members = [p for group in self.param_groups for p in group["params"]]
        if len(state["groups"]) != len(self.param_groups) or len(state["state"]) != len(members):
            raise ValueError(
                f"state: {len(state['state'])} parameters in {len(state['groups'])} groups, "
                f"expected {len(members)} in {len(self.param_groups)}"
            )
        for p, arrays in zip(members, state["state"], strict=True):
            for name, own in self._states(p).items():
                if np.shape(arrays[name]) != own.shape:
                    raise ValueError(f"state: {name} has shape {np.shape(arrays[name])}, expected {own.shape}")
        for p, arrays in zip(members, state["state"], strict=True):
            for name, own in self._states(p).items():
                own[...] = arrays[name]
        for group, settings in zip(self.param_groups, state["groups"], strict=True):
            group.update(settings)
        self.steps = int(state["steps"])

    def get_config(self) -> dict[str, Any]:
        """Return the settings, as plain JSON types."""
        return dict(self.defaults)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.defaults.items())})"
