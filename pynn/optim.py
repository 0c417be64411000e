"""The optimizers of the core's table: one class a row, made here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _core
from ._optimizer import Optimizer
from ._tables import make_init, parse_parameters, unknown_name

by_name: dict[str, type[Optimizer]] = {}
"""String name to class: what ``fit(..., optimizer="adam")`` means."""


def _setup(self: Optimizer, values: dict[str, Any], params: Any) -> None:
    Optimizer.__init__(self, params, values)


def _make(index: int, row: Mapping[str, Any]) -> type[Optimizer]:
    hyper = parse_parameters(row["hyper"], row["check"])
    settings = "\n".join(f"    {name}\n        Default {default!r}." for name, default in hyper.defaults.items())
    doc = f"""{row["summary"]}

    ``{row["formula"]}`` with ``g`` the gradient of parameter ``p``, and ``t`` the number of the step.

    Parameters
    ----------
    params : iterable of Parameter or of dict, optional
        What to update, or groups ``{{"params": [...], "lr": ...}}``; None: what ``fit`` trains.
{settings}

    Raises
    ------
    ValueError
        Unless ``{row["check"]}``.
    """
    body = {
        "__init__": make_init(row["cls"], hyper, _setup, before="params: Any = None"),
        "__doc__": doc,
        "__module__": __name__,
        "_index": index,
        "_row": row,
        "_hyper": hyper,
    }
    return type(row["cls"], (Optimizer,), body)


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer that a name stands for; an optimizer is returned as it is."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if optimizer not in by_name:
        raise unknown_name("optimizer", optimizer, by_name)
    return by_name[optimizer]()


for _i, _row in enumerate(_core.OPTIMIZERS):
    by_name[_row["name"]] = globals()[_row["cls"]] = _make(_i, _row)

__all__ = [cls.__name__ for cls in by_name.values()]
