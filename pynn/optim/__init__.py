"""Optimizers, one class per row of the core's table. The classes are created here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from .. import _core
from .._tables import LazyTable, Parameters, known_name, lazy_attributes, make_init, parse_docs, parse_parameters
from . import _schedule, lr_scheduler
from ._base import OPTIONS, Optimizer, parse_states
from ._clip import clip_grad_norm_, clip_grad_value_
from ._multi import MultiOptimizer
from ._solver import LBFGS, LevenbergMarquardt


def _setup(self: Optimizer, values: dict[str, Any], params: Any, schedule: Any, **options: Any) -> None:
    Optimizer.__init__(self, params, values, {**options, "schedule": None if schedule is None else _schedule.get(schedule)})


def _type_of(default: Any, words: tuple[str, ...] | None) -> str:
    if words is not None:
        return f"{{{', '.join(map(repr, words))}}}, optional"
    kinds = [type(one).__name__ for one in (default if isinstance(default, tuple) else (default,)) if one is not None]
    return f"{'tuple of ' if isinstance(default, tuple) else ''}{kinds[0]}, default {default!r}"


def _document(row: Mapping[str, Any], hyper: Parameters) -> str:
    texts = parse_docs(row["docs"])
    settings = "\n".join(
        f"    {name} : {_type_of(default, hyper.words.get(name))}\n        {texts[name]}" for name, default in hyper.defaults.items()
    )
    formula = "\n        ".join(row["formula"].split("; "))
    kept = [state.name for state in parse_states(row["states"])] + [number.partition("=")[0] for number in row["numbers"].split()]
    state = f" Each parameter's state is {', '.join(f'``{name}``' for name in kept)}." if kept else ""
    references = f"\n    References\n    ----------\n    {row['source']}\n" if row["source"] else ""
    matrices = "\n        Also if a parameter is not a matrix." if row["matrices_only"] else ""
    return f"""{row["summary"]}

    A step computes, with ``p`` a parameter, ``g`` its gradient (its negative if `maximize`) and ``t`` the number of the step from 1::

        {formula}

    Parameters are float32 or float64, of any shape, and are updated in place.{state}

    Parameters
    ----------
    params : iterable of Parameter or of dict, optional
        The parameters to update, or groups ``{{"params": [...], "lr": ...}}`` with individual settings; None: those of the model in `fit`.
{settings}
    clip_norm : float, optional
        The largest norm of all gradients together, as one vector; longer ones are scaled down to it.
    clip_value : float, optional
        The largest magnitude of an element of a gradient; larger ones are clipped to it.
    l1_decay : float, default 0.0
        The factor of an L1 penalty: ``l1_decay * sign(p)`` is added to ``g``.
    decay_exclude : {{'vectors'}}, optional
        'vectors': apply weight_decay and l1_decay only to parameters of two or more dimensions, not to biases and normalization scales.
    ema_decay : float, optional
        Keeps a moving average of each parameter, ``average = ema_decay * average + (1 - ema_decay) * p`` after each step; see `averages`.
        It starts at the value before the first step, without bias correction, so the influence of the initial values lasts for about
        ``1 / (1 - ema_decay)`` steps.
    schedule : LRScheduler, optional
        A schedule from `pynn.optim.lr_scheduler`, which `fit` advances.

    Raises
    ------
    ValueError
        If ``{row["check"]}`` does not hold, or an option is out of range.{matrices}
    TypeError
        If a setting has another type, or `params` holds an object that is not a `Parameter`.
{references}
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


def _make(index: int, row: Mapping[str, Any]) -> type[Optimizer]:
    hyper = parse_parameters(row["hyper"], row["check"])
    body = {
        "__init__": make_init(row["cls"], hyper, _setup, before="params: Any = None", after=OPTIONS),
        "__doc__": _document(row, hyper),
        "__module__": __name__,
        "_index": index,
        "_row": row,
        "_hyper": hyper,
    }
    return type(row["cls"], (Optimizer,), body)


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return a new optimizer for a name, in which case is ignored; an optimizer is returned unchanged."""
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
