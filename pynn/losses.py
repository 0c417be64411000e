"""The losses of the core's table: one class a row, made here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _core
from ._loss import Loss
from ._tables import make_init, parse_parameters, unknown_name

by_name: dict[str, type[Loss]] = {}
"""String name to class: what ``fit(..., loss="cross_entropy")`` means."""

_TARGETS = {
    "r": "real numbers like the prediction",
    "u": "numbers in [0, 1] like the prediction",
    "c": "class indices, one a row",
    "p": "class indices, one a row, or class probabilities like the prediction",
}


def _setup(self: Loss, values: dict[str, Any], reduction: str) -> None:
    Loss.__init__(self, reduction)


def _make(index: int, row: Mapping[str, Any]) -> type[Loss]:
    doc = f"""{row["summary"]}

    ``{row["formula"]}`` of prediction ``x`` and target ``t``; the target is {_TARGETS[row["target"]]}.

    Parameters
    ----------
    reduction : {{'mean', 'sum', 'none'}}
        What becomes of the values, {"one a row" if row["kind"] == "r" else "one an element"}.
    """
    body = {
        "__init__": make_init(row["cls"], parse_parameters(""), _setup, after="*, reduction: str = 'mean'"),
        "__doc__": doc,
        "__module__": __name__,
        "_index": index,
        "_row": row,
    }
    return type(row["cls"], (Loss,), body)


def get(loss: str | Loss) -> Loss:
    """Return the loss that a name stands for; a loss is returned as it is."""
    if isinstance(loss, Loss):
        return loss
    if loss not in by_name:
        raise unknown_name("loss", loss, by_name)
    return by_name[loss]()


for _i, _row in enumerate(_core.LOSSES):
    by_name[_row["name"]] = globals()[_row["cls"]] = _make(_i, _row)

__all__ = [cls.__name__ for cls in by_name.values()]
