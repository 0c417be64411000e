"""Several optimizers as one, each with parameters of its own."""

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
    """Several optimizers as one, for ``fit`` and for loops of one's own: Muon for the matrices and AdamW for all else, say.

    Settings, schedules, averages and clipping by value are each optimizer's own.

    Parameters
    ----------
    *optimizers : Optimizer
        Made with their parameters, none of which two of them share.
    clip_norm : float, optional
        The gradients of all of them, taken as one vector, are scaled down to at most this length.

    Raises
    ------
    TypeError
        If one is no optimizer, or LBFGS or LevenbergMarquardt, whose step is a search of its own.
    ValueError
        If one has no parameters, two share some, or one clips by norm, which is that of all gradients together and so given here; or if
        ``clip_norm`` is not over 0.

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
                raise TypeError(f"optimizers: expected those of pynn.optim but LBFGS, LevenbergMarquardt and MultiOptimizer, got {one!r}")
            own = {p for group in one.param_groups for p in group["params"]}
            if not own or own & seen:
                raise ValueError(f"optimizers: {one!r} needs parameters of its own: {type(one).__name__}([...])")
            if one.options.get("clip_norm"):
                raise ValueError(f"clip_norm: goes by all gradients together, of which {one!r} would see a part; give it to MultiOptimizer")
            seen |= own
        if not optimizers:
            raise ValueError("optimizers: expected at least one")
        self.optimizers, self.clip_norm = optimizers, clip_norm
        _check_option("MultiOptimizer", "clip_norm", clip_norm)
        self._exports, self._last, self._given, self._filled, self._used_lr, self._epoch = [], None, None, None, None, 0

    # ---- what they have together --------------------------------------------------------------------------------------
    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of all of them."""
        return [group for one in self.optimizers for group in one.param_groups]

    @property
    def state(self) -> dict[Parameter, dict[str, Array]]:  # type: ignore[override]
        """The states of all parameters."""
        return {p: state for one in self.optimizers for p, state in one.state.items()}

    @property
    def schedulers(self) -> list[LRScheduler]:  # type: ignore[override]
        """The schedules of all of them."""
        return [scheduler for one in self.optimizers for scheduler in one.schedulers]

    @property
    def options(self) -> dict[Any, Any]:  # type: ignore[override]
        """The options of all of them, by their number, and the norm to which their gradients together are clipped."""
        return {"clip_norm": self.clip_norm, **{i: {**one.options} for i, one in enumerate(self.optimizers)}}

    @property
    def steps(self) -> int:  # type: ignore[override]
        """How many steps they have taken."""
        return self.optimizers[0].steps

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Refuse: a group belongs to one of the optimizers."""
        raise TypeError("MultiOptimizer: add the group to one of its optimizers")

    # ---- what each does ------------------------------------------------------------------------------------------------
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
        """Have the optimizer write whose group it is; the norm is that of all."""
        owner, own = next((one, i) for k, (one, i) in enumerate(self._numbered()) if k == export.group)
        owner._fill(export._replace(group=own), scheduled and bool(owner.schedulers), steps, epoch)
        export.settings[SETTINGS["clip_norm"]] = _check_option("MultiOptimizer", "clip_norm", self.clip_norm)

    def _numbered(self) -> Iterator[tuple[Optimizer, int]]:
        """Yield for each group its optimizer, and its number there."""
        for one in self.optimizers:
            for i in range(len(one.param_groups)):
                yield one, i

    def _rebase(self) -> None:
        for one in self.optimizers:
            one._rebase()

    def follow(self) -> None:
        """Take up and drop parameters as each does."""
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
        """Take note of the core's count of updates."""
        if steps != self.steps:
            self._note_rates(steps)
        for one in self.optimizers:
            one.count_steps(steps)

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """Move the schedules that go by epochs."""
        for one in self.optimizers:
            one.end_epoch(logs)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter from its gradient; a closure is called once, first, and its loss returned."""
        loss = closure() if closure is not None else None
        update = self._ready()
        for one in self.optimizers:
            one.steps += 1
        self._used_lr = None
        update.step(self.steps, 0)
        return loss

    def swap_averages(self) -> None:
        """Exchange parameters and their moving averages, where an optimizer keeps them."""
        keeping = [one for one in self.optimizers if one.options.get("ema_decay") is not None]
        if not keeping:
            raise RuntimeError("MultiOptimizer: none of its optimizers keeps averages; make them with ema_decay=0.999 or so")
        for one in keeping:
            one.swap_averages()

    # ---- saving ----------------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        """Return what each has to save, its parameters numbered behind those before."""
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
        """Take what ``state_dict`` of such optimizers over parameters of the same shapes returned."""
        groups, schedulers, held = [*saved_groups(state)], [*state.get("schedulers", ())], [*state.get("held", ())]
        if len(groups) != len(self.param_groups):
            raise ValueError(f"state: {len(groups)} groups, expected {len(self.param_groups)}")
        for one in self.optimizers:
            n, m = len(one.param_groups), len(one.schedulers)
            one.load_state_dict({**state, "param_groups": groups[:n], "schedulers": schedulers[:m], "held": held[:n]})
            groups, schedulers, held = groups[n:], schedulers[m:], held[n:]

    def get_config(self) -> dict[str, Any]:
        """Return the configurations of all of them, in order."""
        clip = {} if self.clip_norm is None else {"clip_norm": self.clip_norm}
        return {"optimizers": [{"class": type(one).__name__, **one.get_config()} for one in self.optimizers], **clip}

    def __repr__(self) -> str:
        clip = [] if self.clip_norm is None else [f"clip_norm={self.clip_norm!r}"]
        return f"MultiOptimizer({', '.join([*map(repr, self.optimizers), *clip])})"
