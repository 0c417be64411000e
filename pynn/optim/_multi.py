"""Several optimizers for different parameters, used as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from .._arrays import Array
from .._graph import Parameter
from ._base import SETTINGS, Optimizer, _check_option, _Export, saved_groups
from ._schedule import RECORD, LRScheduler
from ._solver import Solver


class MultiOptimizer(Optimizer):
    """Combine several optimizers, for ``fit`` and for custom training loops: for example Muon for matrices and AdamW for the rest.

    Each optimizer keeps its settings, schedules, averages and clipping by value.

    Parameters
    ----------
    *optimizers : Optimizer
        The optimizers, created with their parameters. No two of them may share a parameter.
    clip_norm : float, optional
        The largest norm of the gradients of all parameters together, as one vector; longer ones are scaled down to it.

    Raises
    ------
    TypeError
        If one is not an optimizer, or is LBFGS, LevenbergMarquardt or a MultiOptimizer, which cannot be combined.
    ValueError
        If one has no parameters, two share a parameter, one has ``clip_norm``, which must be set here since it applies to all gradients
        together, or ``clip_norm`` is not over 0.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> model = pynn.Sequential(pynn.Linear(4, 8, seed=0), "tanh", pynn.Linear(8, 1, seed=1))
    >>> matrices = [p for p in model.parameters() if p.data.ndim == 2]
    >>> rest = [p for p in model.parameters() if p.data.ndim != 2]
    >>> opt = pynn.optim.MultiOptimizer(pynn.optim.Muon(matrices, lr=0.02), pynn.optim.AdamW(rest, lr=0.01))
    >>> hist = model.fit(np.eye(4), np.arange(4.0), loss="mse", optimizer=opt, epochs=50, seed=0)
    >>> hist.history["loss"][-1] < 0.5 * hist.history["loss"][0]
    True
    """

    def __init__(self, *optimizers: Optimizer, clip_norm: float | None = None) -> None:
        seen: set[Parameter] = set()
        for one in optimizers:
            if not isinstance(one, Optimizer) or isinstance(one, (Solver, MultiOptimizer)):
                raise TypeError(f"optimizers: expected any of pynn.optim except LBFGS, LevenbergMarquardt and MultiOptimizer, got {one!r}")
            own = {p for group in one.param_groups for p in group["params"]}
            if not own or own & seen:
                raise ValueError(f"optimizers: {one!r} needs parameters that no other has: {type(one).__name__}([...])")
            if one.options.get("clip_norm"):
                raise ValueError(f"clip_norm: applies to all gradients together; pass it to MultiOptimizer instead of {one!r}")
            seen |= own
        if not optimizers:
            raise ValueError("optimizers: expected at least one")
        self.optimizers, self.clip_norm = optimizers, clip_norm
        _check_option("MultiOptimizer", "clip_norm", clip_norm)
        self._exports, self._last, self._given, self._filled, self._used_lr, self._epoch = [], None, None, None, None, 0

    # ---- combined attributes ------------------------------------------------------------------------------------------
    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The parameter groups of all optimizers."""
        return [group for one in self.optimizers for group in one.param_groups]

    @property
    def state(self) -> dict[Parameter, dict[str, Array]]:  # type: ignore[override]
        """The states of all parameters."""
        return {p: state for one in self.optimizers for p, state in one.state.items()}

    @property
    def schedulers(self) -> list[LRScheduler]:  # type: ignore[override]
        """The schedules of all optimizers."""
        return [scheduler for one in self.optimizers for scheduler in one.schedulers]

    @property
    def options(self) -> dict[Any, Any]:  # type: ignore[override]
        """The options of each optimizer by its index, and the common ``clip_norm``."""
        return {"clip_norm": self.clip_norm, **{i: {**one.options} for i, one in enumerate(self.optimizers)}}

    @property
    def steps(self) -> int:  # type: ignore[override]
        """The number of steps taken."""
        return self.optimizers[0].steps

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Raise TypeError: a group must be added to one of the optimizers."""
        raise TypeError("MultiOptimizer: add the group to one of its optimizers")

    # ---- calls of each optimizer ---------------------------------------------------------------------------------------
    def _copy(self) -> Self:
        return type(self)(*(one._copy() for one in self.optimizers), clip_norm=self.clip_norm)

    def _groups(self, scheduled: bool, epoch: int) -> tuple[list[tuple[Any, ...]], list[_Export]]:
        groups, exports, first = [], list[_Export](), 0
        for one in self.optimizers:
            its, written = one._groups(scheduled and bool(one.schedulers), epoch)
            groups += its
            exports += [export._replace(group=first + export.group) for export in written]
            first += len(one.param_groups)
        clip = _check_option("MultiOptimizer", "clip_norm", self.clip_norm)
        for export in exports:
            export.settings[SETTINGS["clip_norm"]] = clip
        return groups, exports

    def _fill(self, export: _Export, scheduled: bool, steps: int, epoch: int) -> None:
        """Let the optimizer of the group write its settings, and add the common ``clip_norm``."""
        owner, own = next((one, i) for k, (one, i) in enumerate(self._numbered()) if k == export.group)
        owner._fill(export._replace(group=own), scheduled and bool(owner.schedulers), steps, epoch)
        export.settings[SETTINGS["clip_norm"]] = _check_option("MultiOptimizer", "clip_norm", self.clip_norm)

    def _numbered(self) -> Iterator[tuple[Optimizer, int]]:
        """Yield for each group its optimizer, and its index there."""
        for one in self.optimizers:
            for i in range(len(one.param_groups)):
                yield one, i

    def _rebase(self) -> None:
        for one in self.optimizers:
            one._rebase()

    def follow(self) -> None:
        """Add and drop parameters in each optimizer."""
        for one in self.optimizers:
            one.follow()

    @property
    def _since(self) -> int:  # type: ignore[override]
        return max(one._since for one in self.optimizers)

    def _check(self) -> None:
        for one in self.optimizers:
            one._check()

    def _records(self, group: int, *, held: bool = True) -> Array:
        owner, own = next(numbered for k, numbered in enumerate(self._numbered()) if k == group)
        return owner._records(own, held=held) if owner.schedulers else np.zeros((0, RECORD["size"]))

    def _arrays(self) -> list[Any]:
        return [a for one in self.optimizers for a in one._arrays()]

    def count_steps(self, steps: int) -> None:
        """Record the core's count of updates."""
        if steps != self.steps:
            self._note_rates(steps)
        for one in self.optimizers:
            one.count_steps(steps)

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """Advance the schedules that count epochs."""
        for one in self.optimizers:
            one.end_epoch(logs)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter from its gradient. A closure is called once beforehand, and its loss is returned."""
        loss = closure() if closure is not None else None
        update = self._ready()
        for one in self.optimizers:
            one.steps += 1
        self._used_lr = None
        update.step(self.steps, 0)
        return loss

    def swap_averages(self) -> None:
        """Exchange parameters and their moving averages in the optimizers that keep averages."""
        keeping = [one for one in self.optimizers if one.options.get("ema_decay") is not None]
        if not keeping:
            raise RuntimeError("MultiOptimizer: none of its optimizers keeps averages; create them with ema_decay, such as ema_decay=0.999")
        for one in keeping:
            one.swap_averages()

    # ---- saving ----------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Return the states of all optimizers in one, with consecutive parameter indices."""
        whole: dict[str, Any] = {"state": {}, "param_groups": [], "schedulers": [], "steps": self.steps, "held": []}
        first = 0
        for one in self.optimizers:
            own = one.state_dict()
            whole["state"] |= {first + i: state for i, state in own["state"].items()}
            whole["param_groups"] += [{**group, "params": [first + i for i in group["params"]]} for group in own["param_groups"]]
            whole["schedulers"] += own["schedulers"]
            whole["held"] += [*own["held"], *[None] * (len(one.param_groups) - len(own["held"]))]
            first += sum(len(group["params"]) for group in own["param_groups"])
        return whole

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from ``state_dict`` of the same optimizers with parameters of the same shapes."""
        groups, schedulers, held = [*saved_groups(state)], [*state.get("schedulers", ())], [*state.get("held", ())]
        if len(groups) != len(self.param_groups):
            raise ValueError(f"state: {len(groups)} groups, expected {len(self.param_groups)}")
        for one in self.optimizers:
            n, m = len(one.param_groups), len(one.schedulers)
            one.load_state_dict({**state, "param_groups": groups[:n], "schedulers": schedulers[:m], "held": held[:n]})
            groups, schedulers, held = groups[n:], schedulers[m:], held[n:]

    def get_config(self) -> dict[str, Any]:
        """Return the configurations of all optimizers, in order."""
        clip = {} if self.clip_norm is None else {"clip_norm": self.clip_norm}
        return {"optimizers": [{"class": type(one).__name__, **one.get_config()} for one in self.optimizers], **clip}

    def __repr__(self) -> str:
        clip = [] if self.clip_norm is None else [f"clip_norm={self.clip_norm!r}"]
        return f"MultiOptimizer({', '.join([*map(repr, self.optimizers), *clip])})"
