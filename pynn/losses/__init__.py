"""The losses of the core's table: one class a row, made here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from .. import _core
from .._tables import LazyTable, Parameters, known_name, lazy_attributes, make_function, make_init, parse_parameters
from ._base import FunctionLoss, Loss, SequenceLoss

_TARGETS = {
    "r": "real numbers like the prediction",
    "a": "real numbers like the prediction",
    "u": "numbers in [0, 1] like the prediction",
    "v": "numbers in [0, 1] like the prediction",
    "s": "1 or -1",
    "i": "class indices (integers), one a row",
    "c": "class indices (integers), one a row",
    "p": "class indices (integers), one a row, or class probabilities like the prediction",
    "m": "of each row the indices of its classes (integers), the rest filled with -1",
}
_VALUES = {"e": "one an element", "r": "one a row", "b": "one a box", "w": "one a sample", "s": "one a sequence"}
_SHAPES = {
    "e": "Of any shape.",
    "r": "Of shape (rows, columns) or (columns,).",
    "b": "Boxes of shape (..., 4): x1, y1, x2, y2.",
    "w": "Probabilities of shape (samples, ...).",
    "by class": "Scores of shape (rows, classes), (rows, classes, d1, ...) or (classes,).",
}
_ARRAYS = {
    "e": "Multiplies each element's value; broadcast against the input. In `fit` one a column.",
    "r": "Of shape (classes,): what each class counts.",
}
_INPUTS = {
    "var": "Variances of 0 or more, like the input or with axes of 1; or one a row, of shape ``input.shape[:-1]``.",
    "log_probs": "Log-probabilities of shape (steps, sequences, classes), or (steps, classes) for one sequence.",
    "targets": "Class indices (integers) of shape (sequences, longest), or of all sequences in a row.",
    "input_lengths": "How many steps of each sequence count.",
    "target_lengths": "How many labels each sequence has.",
}
_EXAMPLES = {
    "r": "[0.5, 2.0], [1.0, 0.0]",
    "a": "[-1.2, -0.4], [0.5, 0.5]",
    "u": "[0.2, 0.9], [0.0, 1.0]",
    "v": "[0.2, 0.9], [0.0, 1.0]",
    "s": "[0.5, 2.0], [1.0, -1.0]",
    "i": "[[2.0, 1.5, 0.0]], [0]",
    "c": "[[-0.4, -1.4, -2.4]], [0]",
    "p": "[[2.0, 1.0, 0.0]], [0]",
    "m": "[[2.0, 1.5, 0.0]], [[0, -1, -1]]",
    "n": "[[0.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]",
    "input target var": "[0.5, 2.0], [1.0, 0.0], [1.0, 4.0]",
    "input1 input2 target": "[0.5, 2.0], [1.0, 0.0], [1.0, 1.0]",
    "cosine_embedding": "[[1.0, 2.0]], [[2.0, 1.0]], [1.0]",
    "kind b": "[[0.0, 0.0, 2.0, 2.0]], [[1.0, 1.0, 3.0, 3.0]]",
    "kind w": "[[0.2, 0.9]], [[0.0, 1.0]]",
    "kind s": "[[-1.0, -0.5], [-0.7, -0.7]], [1], 2, 1",
}
_PARAMETERS = {
    "ignore_index": "A class index whose rows count nothing, neither in the sum nor in the mean.",
    "label_smoothing": "The share of each target that is spread over all classes (Szegedy et al., 2016).",
    "pos_weight": "Multiplies what a target of 1 counts; broadcast against the input. In `fit` one a column.",
    "beta": "Where squares end and absolute values begin; 0 for none.",
    "delta": "Where squares end and absolute values begin.",
    "q": "The quantile.",
    "alpha": "The share of what a target of 1 counts; -1 counts both alike.",
    "gamma": "How strongly what is right already counts less; 0 for plain cross-entropy.",
    "log_target": "Whether the target is logarithms too.",
    "log_input": "Whether the input is logarithms of rates.",
    "full": "Whether to add the part that does not depend on the input.",
    "eps": "Added or kept to, so that nothing is divided by 0.",
    "margin": "How far apart is enough.",
    "p": "The power of the norm, or of the hinge.",
    "swap": "Whether the positive may stand for the anchor where it is nearer to the negative (Balntas et al., 2016).",
    "smooth": "Added above and below; with 0 an empty mask without a prediction is 0 / 0.",
    "blank": "The class index that stands for no label.",
    "zero_infinity": "Whether sequences too short for their labels count 0 instead of infinity.",
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


def _call_document(row: Mapping[str, Any]) -> str:
    names = row["inputs"].split()
    first = _SHAPES.get("by class" if row["target"] in "cp" else row["kind"], "")
    described = {"target": f"{_TARGETS.get(row['target'], '').capitalize()}.", names[0]: first, **_INPUTS}
    lines = [f"{name} : array_like\n    {described.get(name) or f'Like {names[0]}.'}" for name in names]
    if row["kind"] != "s":
        each = "" if row["kind"] == "w" or (row["kind"] in "rb" and row["target"] not in "cp") else ", or one a value"
        text = (
            f"One number a sample{each}, which multiplies value and gradient. A mean divides by the sum of their magnitudes; a negative\n"
            "    weight pushes away from the target."
        )
        lines.append(f"sample_weight : array_like, optional\n    {text}")
    return f"""Return the loss, and keep its gradient for ``backward``.

Parameters
----------
{chr(10).join(lines)}

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
        kind = "array_like, optional" if parameters.kinds.get(name) == "array" else f"{type(default).__name__}, default {default!r}"
        text = _PARAMETERS.get(name) or (_ARRAYS[row["kind"]] if name == "weight" else "")
        lines.append(f"{name} : {kind}" + (f"\n    {text}" if text else ""))
    return "".join(f"{line}\n" for line in lines)


def _example_of(row: Mapping[str, Any]) -> str:
    """Return the arguments of a call: those of the row's name, its inputs, its kind or its target."""
    keys = (row["name"], row["inputs"], f"kind {row['kind']}", row["target"])
    return next(_EXAMPLES[key] for key in keys if key in _EXAMPLES)


def _document(row: Mapping[str, Any], parameters: Parameters, cls: type[Loss]) -> str:
    arguments = _example_of(row)
    result = eval(f"loss({arguments})", {"loss": cls()})
    errors = f"\nRaises\n------\nValueError\n    Unless ``{row['check']}``.\n" if row["check"] else ""
    inputs = [name for name in row["inputs"].split() if name != "target"]
    target = f", and ``t`` the target: {_TARGETS[row['target']]}" if row["target"] in _TARGETS else ""
    described = (f"``{short}`` the {name}" for short, name in zip("xzn", inputs, strict=False))
    names = ", ".join(described) if row["kind"] != "s" else "``log_probs``"
    batchmean = ", 'batchmean'" if row["cls"] == "KLDivLoss" else ""
    extra = "\n    'batchmean' divides the sum by the number of rows, which is the divergence itself." if batchmean else ""
    return f"""{row["summary"]}

``{row["formula"]}`` with {names}{target}.

Parameters
----------
{_parameter_lines(row, parameters)}reduction : {{'mean', 'sum', 'none'{batchmean}}}
    What becomes of the values, {_VALUES[row["kind"]]}.{extra}
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
    cls: type[Loss] = type(row["cls"], (SequenceLoss if row["kind"] == "s" else Loss,), body)
    cls.__doc__ = _document(row, parameters, cls)
    return cls


def get(loss: Any) -> Loss:
    """Return the loss that a name or a function stands for; a loss is returned as it is.

    Case and separators of a name do not matter, nor does "loss" at its end, and common names of other libraries are known:
    "cross_entropy" is also "CrossEntropyLoss" and "ce", "l1" also "MAE" and "mean_absolute_error".
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise TypeError(f"loss: expected a loss, got its class; make one: {loss.__name__}()")
    if callable(loss):
        return FunctionLoss(loss)
    return by_name[known_name("loss", loss, by_name)]()


by_name: LazyTable[type[Loss]] = LazyTable({row["name"]: partial(_make, i, row) for i, row in enumerate(_core.LOSSES)})
"""String name to class: what ``fit(..., loss="cross_entropy")`` means."""

_classes = LazyTable({row["cls"]: partial(by_name.__getitem__, row["name"]) for row in _core.LOSSES})

__all__ = [*_classes, "FunctionLoss"]
__getattr__ = lazy_attributes(globals(), _classes)


def __dir__() -> list[str]:
    return __all__
