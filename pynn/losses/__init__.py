"""Losses, one class per row of the core's table. The classes are created here."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import partial
from typing import Any

from .. import _core
from .._tables import LazyTable, Parameters, known_name, lazy_attributes, make_function, make_init, parse_docs, parse_parameters
from ._base import REDUCTIONS, FunctionLoss, Loss, SequenceLoss
from ._examples import example_arguments
from ._formula_loss import FormulaLoss

_TARGETS = {
    "r": "Finite numbers, of the shape of the prediction.",
    "a": "Numbers, of the shape of the prediction.",
    "u": "Numbers in [0, 1], of the shape of the prediction.",
    "s": "1 or -1, of the shape of the prediction.",
    "i": "Class indices (integers), one per row.",
    "c": "Class indices (integers), one per row.",
    "p": "Class indices (integers), one per row; or class probabilities (floating point) of the shape of the input.",
    "m": "Integers of the shape of the input: the indices of the classes of each row, the rest filled with -1.",
}
_VALUES = {"e": "one per element", "r": "one per row", "b": "one per box", "w": "one per sample", "s": "one per sequence"}
_SHAPES = {
    "e": "of any shape",
    "r": "of shape (rows, columns) or (columns,)",
    "b": "boxes of shape (..., 4), each x1, y1, x2, y2",
    "w": "of shape (samples, ...)",
    "by class": "of shape (rows, classes), (rows, classes, d1, ...) or (classes,)",
}


def _call(row: Mapping[str, Any], document: str) -> Any:
    names = row["inputs"].split()
    arguments = ", ".join(f"{name}: ArrayLike" for name in names)
    given = ", ".join(f"{name!r}: {name}" for name in names)
    weight = "" if row["kind"] == "s" else ", *, sample_weight: ArrayLike | None = None"
    call = make_function(
        f"def __call__(self, {arguments}{weight}) -> Any:\n    return self._run({{{given}}}, {'sample_weight' if weight else None})", {}
    )
    call.__qualname__ = f"{row['cls']}.__call__"
    call.__doc__ = document
    return call


def _by_class(row: Mapping[str, Any]) -> bool:
    return row["target"] in "cp"


def _described(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each argument of a call."""
    names = row["inputs"].split()
    what, shape = (row["takes"] or "numbers").capitalize(), _SHAPES.get("by class" if _by_class(row) else row["kind"], "")
    texts = dict.fromkeys(names, f"As `{names[0]}`, and of its shape.")
    target = "1 or -1, one per row." if row["target"] == "s" and row["kind"] == "r" else _TARGETS.get(row["target"], "")
    texts |= {"target": target, names[0]: f"{what} {shape}. Computed in float32 if they are, otherwise in float64."}
    return texts | parse_docs(row["docs"])


def _call_document(row: Mapping[str, Any]) -> str:
    texts = _described(row)
    lines = [f"{name} : array_like\n    {texts[name]}" for name in row["inputs"].split()]
    if row["kind"] != "s":
        one = row["kind"] == "w" or (row["kind"] in "rb" and not _by_class(row))
        lines.append(
            f"sample_weight : array_like, optional\n    One number per sample{'' if one else ', or one per value'}, which multiplies value "
            "and gradient. A mean divides by the sum of their magnitudes; a\n    negative weight pushes away from the target."
        )
    allowed = "the input or the target" if row["takes"] == "probabilities" else "the target"
    return f"""Return the loss, and keep its gradient for ``backward``.

Parameters
----------
{chr(10).join(lines)}

Returns
-------
numpy.floating or numpy.ndarray
    A number of the first argument's dtype, or with ``reduction="none"`` an array of the values, {_VALUES[row["kind"]]}.

Raises
------
ValueError
    If shapes do not fit, or {allowed} holds a number that is not allowed; the text names the argument.
TypeError
    If an array does not hold real numbers, or class indices are not integers.
"""


def _parameter_lines(row: Mapping[str, Any], parameters: Parameters) -> str:
    texts = parse_docs(row["docs"])
    kinds = {name: "array_like, optional" for name, kind in parameters.kinds.items() if kind == "array"}
    return "".join(
        f"{name} : {kinds.get(name) or f'{type(default).__name__}, default {default!r}'}\n    {texts[name]}\n"
        for name, default in parameters.defaults.items()
    )


def _reduction_lines(row: Mapping[str, Any]) -> str:
    names = REDUCTIONS if row["has_batchmean"] else REDUCTIONS[:3]
    divisor = "the sum of the weights of their classes, or their number without `weight`" if _by_class(row) else "their number"
    extra = "; 'batchmean' divides it by the number of rows, which gives the divergence itself" if row["has_batchmean"] else ""
    return (
        f"reduction : {{{', '.join(map(repr, names))}}}, default 'mean'\n"
        f"    How the values, {_VALUES[row['kind']]}, are reduced: 'sum' adds them, 'none' returns them as they are, and 'mean' divides\n"
        f"    their sum by {divisor}{extra}."
    )


def _document(row: Mapping[str, Any], parameters: Parameters, cls: type[Loss]) -> str:
    arguments = example_arguments(row)
    loss = cls()
    value, result = float(loss(*ast.literal_eval(f"({arguments})"))), loss.backward()
    inputs = [name for name in row["inputs"].split() if name != "target"]
    described = [f"``{short}`` the {name}" for short, name in zip("xzn", inputs, strict=False)] if row["kind"] != "s" else []
    described += ["``t`` the target"] if row["target"] != "n" else []
    names = f", with {', '.join(described)}" if described else ""
    takes = f" The {inputs[0]} holds {row['takes']}." if row["takes"] and row["kind"] != "s" else ""
    invalid = f"``{row['check']}`` does not hold, or " if row["check"] else ""
    references = f"\nReferences\n----------\n{row['source']}\n" if row["source"] else ""
    gradients = result if isinstance(result, tuple) else (result,)
    shown = ", ".join(repr(g.shape) for g in gradients)
    return f"""{row["summary"]}

The value is ``{row["formula"]}``{names}.{takes}

Parameters
----------
{_parameter_lines(row, parameters)}{_reduction_lines(row)}

Raises
------
ValueError
    If {invalid}`reduction` has another value.
TypeError
    If a parameter has the wrong type.
{references}
Examples
--------
>>> import pynn
>>> loss = pynn.{row["cls"]}()
>>> round(float(loss({arguments})), 4)
{round(value, 4)}
>>> g = loss.backward()
>>> {"g.shape" if len(gradients) == 1 else "[one.shape for one in g]"}
{shown if len(gradients) == 1 else f"[{shown}]"}
"""


def _make(index: int, row: Mapping[str, Any]) -> type[Loss]:
    parameters = parse_parameters(row["params"], row["check"])
    body = {
        "__init__": make_init(row["cls"], parameters, Loss.__init__, after="*, reduction: str = 'mean'"),
        "__call__": _call(row, _call_document(row)),
        "__module__": __name__,
        "_index": index,
        "_row": row,
        "_parameters": parameters,
    }
    cls: type[Loss] = type(row["cls"], (SequenceLoss if row["kind"] == "s" else Loss,), body)
    cls.__doc__ = _document(row, parameters, cls)
    return cls


def get(loss: Any) -> Loss:
    """Return the loss of a name, or a `FunctionLoss` of a function. A loss is returned unchanged.

    Case, separators and a trailing "loss" are ignored, and common names from other libraries are accepted: "cross_entropy" is also
    "CrossEntropyLoss" and "ce", and "l1" is also "MAE" and "mean_absolute_error".
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise TypeError(f"loss: expected a loss, got the class {loss.__name__}; call it: {loss.__name__}()")
    if callable(loss):
        return FunctionLoss(loss)
    return by_name[known_name("loss", loss, by_name)]()


def row_of(name: str) -> Mapping[str, Any]:
    """Return the row of a loss, without creating its class."""
    return _rows[name]


_rows: dict[str, Mapping[str, Any]] = {row["name"]: row for row in _core.LOSSES}

by_name: LazyTable[type[Loss]] = LazyTable({row["name"]: partial(_make, i, row) for i, row in enumerate(_core.LOSSES)})
"""String name to class: what ``fit(..., loss="cross_entropy")`` means."""

_classes = LazyTable({row["cls"]: partial(by_name.__getitem__, row["name"]) for row in _core.LOSSES})

saved_as_text: dict[str, type[Loss]] = {"FormulaLoss": FormulaLoss}
"""The classes of custom losses that files hold, by name."""

__all__ = [*_classes, "FormulaLoss", "FunctionLoss"]
__getattr__ = lazy_attributes(globals(), _classes)


def __dir__() -> list[str]:
    return __all__
