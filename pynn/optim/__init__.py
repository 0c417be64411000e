"""The optimizers of the core's table: one class a row, made here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from .. import _core
from .._tables import LazyTable, known_name, lazy_attributes, make_init, parse_parameters
from . import _schedule, lr_scheduler
from ._base import OPTIONS, Optimizer, clip_grad_norm_, clip_grad_value_
from ._multi import MultiOptimizer
from ._solver import LBFGS, LevenbergMarquardt


def _setup(self: Optimizer, values: dict[str, Any], params: Any, schedule: Any, **options: Any) -> None:
    Optimizer.__init__(self, params, values, {**options, "schedule": None if schedule is None else _schedule.get(schedule)})


def _make(index: int, row: Mapping[str, Any]) -> type[Optimizer]:
    hyper = parse_parameters(row["hyper"], row["check"])
    settings = "\n".join(f"    {name} : default {default!r}\n        In the formula." for name, default in hyper.defaults.items())
    formula = "\n        ".join(row["formula"].split("; "))
    doc = f"""{row["summary"]}

    With ``p`` a parameter, ``g`` its gradient (its negative if ``maximize``) and ``t`` the number of its step::

        {formula}

    Parameters
    ----------
    params : iterable of Parameter or of dict, optional
        What to update, or groups ``{{"params": [...], "lr": ...}}``; None: what ``fit`` trains.
{settings}
    clip_norm, clip_value : float, optional
        Gradients are first scaled so that all together are no longer than this, and cut at this magnitude.
    l1_decay : float
        Adds this times the sign of the parameter to its gradient.
    decay_exclude : {{'vectors'}}, optional
        Spares parameters of at most one dimension, which biases and the scales of norms are, weight_decay and l1_decay.
    ema_decay : float, optional
        Keeps a moving average of each parameter, ``average = ema_decay * average + (1 - ema_decay) * p`` after each step; see `averages`.
        It starts at the parameter as it is before the first step with this setting, without a correction for the start, so it begins as
        the initial values and takes some ``1 / (1 - ema_decay)`` steps to leave them behind.
    schedule : LRScheduler, optional
        One of `pynn.optim.lr_scheduler`, which ``fit`` moves.

    Raises
    ------
    ValueError
        Unless ``{row["check"]}``.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> p = pynn.Parameter(np.ones((2, 3)))
    >>> opt = pynn.optim.{row["cls"]}([p])
    >>> p.grad[...] = 1.0
    >>> opt.step()
    >>> bool((p.data < 1).all())
    True
    """
    body = {
        "__init__": make_init(row["cls"], hyper, _setup, before="params: Any = None", after=OPTIONS),
        "__doc__": doc,
        "__module__": __name__,
        "_index": index,
        "_row": row,
        "_hyper": hyper,
        "_matrices": "p.shape" in row["formula"],
    }
    return type(row["cls"], (Optimizer,), body)


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer that a name stands for, in any case; an optimizer is returned as it is."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        is_class = isinstance(optimizer, type) and issubclass(optimizer, Optimizer)
        got = f"the class {optimizer.__name__}; call it: {optimizer.__name__}()" if is_class else repr(optimizer)
        raise TypeError(f"optimizer: expected a name or an optimizer, got {got}")
    made = by_name[known_name("optimizer", optimizer, by_name)]()
    made.made_by_name = True
    return made


_SOLVERS: tuple[type[Optimizer], ...] = (LBFGS, LevenbergMarquardt)

by_name: LazyTable[type[Optimizer]] = LazyTable({
    **{row["name"]: partial(_make, i, row) for i, row in enumerate(_core.OPTIMIZERS)},
    **{cls._row["name"]: partial(lambda cls: cls, cls) for cls in _SOLVERS},
})
"""String name to class: what ``fit(..., optimizer="adam")`` means."""

_classes = LazyTable({row["cls"]: partial(by_name.__getitem__, row["name"]) for row in _core.OPTIMIZERS})

__all__ = [
    *_classes,
    *(cls.__name__ for cls in _SOLVERS),
    "MultiOptimizer",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lr_scheduler",
]
__getattr__ = lazy_attributes(globals(), _classes)


def __dir__() -> list[str]:
    return __all__
