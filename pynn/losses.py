"""The losses of the core's table: one class a row, made here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _core
from ._loss import Loss
from ._tables import Parameters, make_function, make_init, parse_parameters, unknown_name

by_name: dict[str, type[Loss]] = {}
"""String name to class: what ``fit(..., loss="cross_entropy")`` means."""

_TARGETS = {
    "r": "real numbers like the prediction",
    "u": "numbers in [0, 1] like the prediction",
    "c": "class indices, one a row",
    "p": "class indices (integers), one a row, or class probabilities like the prediction",
}
_VALUES = {"e": "one an element", "r": "one a row"}
_SHAPES = {
    "e": "Of any shape.",
    "r": "Of shape (rows, columns) or (columns,).",
    "by class": "Scores of shape (rows, classes), (rows, classes, d1, ...) or (classes,).",
}
_ARRAYS = {
    "e": "Multiplies each element's value; broadcast against the input. In `fit` one a column.",
    "r": "Of shape (classes,): what each class counts.",
}
_EXAMPLES = {
    "r": "[0.5, 2.0], [1.0, 0.0]",
    "u": "[0.2, 0.9], [0.0, 1.0]",
    "c": "[[-0.4, -1.4, -2.4]], [0]",
    "p": "[[2.0, 1.0, 0.0]], [0]",
}
_PARAMETERS = {
    "ignore_index": "A class index whose rows count nothing, neither in the sum nor in the mean.",
    "label_smoothing": "The share of each target that is spread over all classes (Szegedy et al., 2016).",
    "pos_weight": "Multiplies what a target of 1 counts; broadcast against the input. In `fit` one a column.",
}


def _call(row: Mapping[str, Any], document: str) -> Any:
    names = row["inputs"].split()
    arguments = ", ".join(f"{name}: ArrayLike" for name in names)
    given = ", ".join(f"{name!r}: {name}" for name in names)
    call = make_function(
        f"def __call__(self, {arguments}, *, sample_weight: ArrayLike | None = None) -> Any:\n"
        f"    return self._run({{{given}}}, sample_weight)",
        {},
    )
    call.__qualname__ = f"{row['cls']}.__call__"
    call.__doc__ = document
    return call


def _call_document(row: Mapping[str, Any]) -> str:
    names = [name for name in row["inputs"].split() if name != "target"]
    shape = _SHAPES["by class" if row["target"] in "cp" else row["kind"]]
    lines = [f"{name} : array_like\n    {shape if i == 0 else f'Like {names[0]}.'}" for i, name in enumerate(names)]
    if "target" in row["inputs"].split():
        lines.append(f"target : array_like\n    {_TARGETS[row['target']].capitalize()}.")
    return f"""Return the loss, and keep its gradient for ``backward``.

Parameters
----------
{chr(10).join(lines)}
sample_weight : array_like, optional
    One number of 0 or more a sample, which multiplies its value and gradient; a mean divides by their sum.

Returns
-------
numpy.floating or numpy.ndarray
    A number of the first argument's dtype, or with ``reduction="none"`` an array.

Raises
------
ValueError
    If shapes differ, or a number is not among those allowed; the text names the argument.
TypeError
    If an array does not hold real numbers, or class indices are not integers.
"""


def _parameter_lines(row: Mapping[str, Any], parameters: Parameters) -> str:
    lines = []
    for name, default in parameters.defaults.items():
        kind = "array_like, optional" if default is None else f"{type(default).__name__}, default {default!r}"
        text = _PARAMETERS.get(name) or (_ARRAYS[row["kind"]] if name == "weight" else "")
        lines.append(f"{name} : {kind}" + (f"\n    {text}" if text else ""))
    return "".join(f"{line}\n" for line in lines)


def _document(row: Mapping[str, Any], parameters: Parameters, cls: type[Loss]) -> str:
    arguments = _EXAMPLES[row["target"]]
    result = eval(f"loss({arguments})", {"loss": cls()})
    errors = f"\nRaises\n------\nValueError\n    Unless ``{row['check']}``.\n" if row["check"] else ""
    inputs = [name for name in row["inputs"].split() if name != "target"]
    names = " and ".join(f"``{short}`` the {name}" for short, name in zip("xz", inputs, strict=False))
    return f"""{row["summary"]}

``{row["formula"]}`` with {names}, and ``t`` the target: {_TARGETS[row["target"]]}.

Parameters
----------
{_parameter_lines(row, parameters)}reduction : {{'mean', 'sum', 'none'}}
    What becomes of the values, {_VALUES[row["kind"]]}.
{errors}
Examples
--------
>>> import pynn
>>> loss = pynn.{row["cls"]}()
>>> round(float(loss({arguments})), 4)
{round(float(result), 4)}
"""


def _setup(self: Loss, values: dict[str, Any], reduction: str) -> None:
    Loss.__init__(self, values, reduction)


def _make(index: int, row: Mapping[str, Any]) -> type[Loss]:
    parameters = parse_parameters(row["params"], row["check"])
    body = {
        "__init__": make_init(row["cls"], parameters, _setup, after="*, reduction: str = 'mean'"),
        "__call__": _call(row, _call_document(row)),
        "__module__": __name__,
        "_index": index,
        "_row": row,
        "_parameters": parameters,
    }
    cls = type(row["cls"], (Loss,), body)
    cls.__doc__ = _document(row, parameters, cls)
    return cls


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
