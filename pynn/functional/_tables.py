"""Functions made from the tables: activations, losses, and layers without parameters."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import _core, activations, layers, losses
from .._tables import REQUIRED, make_function, parse_docs, parse_parameters
from ..losses._examples import example_arguments
from ._apply import apply

_LOSS_NAMES = {
    "bce": "binary_cross_entropy",
    "bce_with_logits": "binary_cross_entropy_with_logits",
    "cross_entropy": "cross_entropy",
    "kl_div": "kl_div",
}
"""PyTorch's names of losses that are not the name of the row with ``_loss``."""

_LAYERS = {
    "AdaptiveAvgPool1d": "np.ones((1, 2, 6)), 3",
    "AdaptiveAvgPool2d": "np.ones((1, 2, 6, 6)), 3",
    "AdaptiveMaxPool1d": "np.ones((1, 2, 6)), 3",
    "AdaptiveMaxPool2d": "np.ones((1, 2, 6, 6)), 3",
    "AvgPool1d": "np.ones((1, 2, 6)), 2",
    "AvgPool2d": "np.ones((1, 2, 6, 6)), 2",
    "Fold": "np.ones((1, 4, 2)), (2, 3), 2",
    "GLU": "np.ones((1, 6))",
    "LocalResponseNorm": "np.ones((1, 2, 6)), 2",
    "LPPool1d": "np.ones((1, 2, 6)), 2.0, 2",
    "LPPool2d": "np.ones((1, 2, 6, 6)), 2.0, 2",
    "MaxPool1d": "np.ones((1, 2, 6)), 2",
    "MaxPool2d": "np.ones((1, 2, 6, 6)), 2",
    "PixelShuffle": "np.ones((1, 4, 3, 3)), 2",
    "PixelUnshuffle": "np.ones((1, 1, 6, 6)), 2",
    "Unfold": "np.ones((1, 1, 3, 3)), 2",
    "Upsample": "np.ones((1, 1, 3)), scale_factor=2.0",
}
"""Layers without parameters, and arguments of an example call of their function."""
_RANDOM = {
    "AlphaDropout": "np.ones(4), 0.5, seed=0",
    "Dropout": "np.ones(4), 0.5, seed=0",
    "Dropout1d": "np.ones((1, 4, 2)), 0.5, seed=0",
    "Dropout2d": "np.ones((1, 4, 2, 2)), 0.5, seed=0",
    "FeatureAlphaDropout": "np.ones((1, 4, 2)), 0.5, seed=0",
    "RReLU": "-np.ones(4), seed=0",
}
"""Layers that draw random numbers in training, and arguments of an example call."""
_NOT_TRAINING = ("RReLU",)
"""Random layers whose function in PyTorch has ``training=False`` by default; the others have True."""


def layer_name(cls: str) -> str:
    """Return the name of a layer's function: ``max_pool2d`` of MaxPool2d, ``lp_pool1d`` of LPPool1d."""
    special = {"Upsample": "interpolate", "RReLU": "rrelu"}
    return special.get(cls) or re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls).lower()


def names() -> dict[str, Callable[[], Any]]:
    """Return what makes each function, by its name."""
    found: dict[str, Callable[[], Any]] = {}
    for row in (*_core.ACTIVATIONS, *_core.ROWWISE):
        found[row["name"]] = partial(_activation, row)
    for row in _core.LOSSES:
        found[_LOSS_NAMES.get(row["name"], f"{row['name']}_loss")] = partial(_loss, row)
    for cls in (*_LAYERS, *_RANDOM):
        found[layer_name(cls)] = partial(_layer, cls)
    return found


def _finish(function: Any, document: str) -> Any:
    function.__module__ = __package__
    function.__doc__ = document
    return function


# ---- activations ------------------------------------------------------------------------------------------------------
_ACTIVATION = """{summary}

``y = {formula}``{where}

Parameters
----------
input : array_like
    Real numbers of any shape.
{parameters}
Returns
-------
ndarray or scalar
    As `pynn.{name}`, which this function calls.

Raises
------
TypeError
    If `input` does not consist of real numbers{errors}.

Examples
--------
>>> import pynn
>>> pynn.functional.{call}.round(4).tolist()
{result}
"""
_INPLACE = "inplace : bool\n    Whether to write the result to `input`, which must be an array of floats.\n"


def _activation(row: Mapping[str, Any]) -> Any:
    """Return the function of an activation row, with PyTorch's argument names."""
    name, along_axis = row["name"], "params" not in row
    public = getattr(activations, name)
    parameters = parse_parameters("" if along_axis else row["params"], "" if along_axis else row["check"])
    choice = name in activations.approximations
    if along_axis:
        signature, passed = "dim: int = -1", "axis=dim"
        texts = "dim : int\n    The axis along which to compute.\n"
    else:
        options = ["approximate: str = 'none'"] * choice
        signature = ", ".join(filter(None, (parameters.signature("ArrayLike"), *options, "inplace: bool = False")))
        passed = ", ".join(f"{n}={n}" for n in (*parameters.defaults, *["approximate"] * choice))
        passed = ", ".join(filter(None, (passed, "out=input if inplace else None")))
        docs = parse_docs(row["docs"])
        texts = "".join(f"{n} : float or array_like\n    {docs[n]} Broadcast against `input`.\n" for n in parameters.defaults)
        texts += "approximate : {'none', 'tanh'}\n    'tanh' computes an approximation, as in `pynn.gelu`.\n" * choice + _INPLACE
    source = f"def {name}(input: ArrayLike, {signature}) -> Any:\n    return function(input, {passed})"
    function = make_function(source, {"function": public})
    required = [0.5 * k for k, default in enumerate(parameters.defaults.values(), 1) if default is REQUIRED]
    arguments = [[-2.0, 0.5, 2.0], *required]
    document = _ACTIVATION.format(
        summary=row["summary"],
        formula=row["formula"],
        where=" along `dim`" if along_axis else "",
        parameters=texts,
        name=name,
        errors="" if along_axis or not row["check"] else f".\nValueError\n    Unless ``{row['check']}``",
        call=f"{name}({', '.join(map(repr, arguments))})",
        result=function(*arguments).round(4).tolist(),
    )
    return _finish(function, document)


# ---- losses -----------------------------------------------------------------------------------------------------------
_LOSS = """{summary}

The value is ``{formula}``, reduced. `pynn.{cls}` also computes the gradient.

Parameters
----------
{parameters}reduction : {{'mean', 'sum', 'none'}}
    How the values are reduced, see `pynn.{cls}`.{weight}

Returns
-------
numpy.floating or numpy.ndarray
    A number, or with ``reduction="none"`` the array of the values.

Raises
------
ValueError, TypeError
    As `pynn.{cls}`.

Examples
--------
>>> import pynn
>>> round(float(pynn.functional.{name}({example})), 4)
{result}
"""


def _loss(row: Mapping[str, Any]) -> Any:
    """Return the function of a loss row, which creates the loss and calls it."""
    name = _LOSS_NAMES.get(row["name"], f"{row['name']}_loss")
    cls, parameters, inputs = getattr(losses, row["cls"]), parse_parameters(row["params"]), row["inputs"].split()
    weighted = row["kind"] != "s"
    first = ", ".join(f"{n}: ArrayLike" for n in inputs)
    last = "*, reduction: str = 'mean'" + ", sample_weight: ArrayLike | None = None" * weighted
    made = ", ".join([*(f"{n}={n}" for n in parameters.defaults), "reduction=reduction"])
    called = ", ".join(inputs) + ", sample_weight=sample_weight" * weighted
    signature = ", ".join(filter(None, (first, parameters.signature(), last)))
    function = make_function(f"def {name}({signature}) -> Any:\n    return cls({made})({called})", {"cls": cls})
    docs = parse_docs(row["docs"])
    texts = {n: f"{n} : array_like\n    As in a call of `pynn.{row['cls']}`.\n" for n in inputs}
    texts |= {n: f"{n} : {'array_like, optional' if parameters.kinds.get(n) == 'array' else type(d).__name__}\n    {docs[n]}\n"
              for n, d in parameters.defaults.items()}
    example = example_arguments(row)
    document = _LOSS.format(
        summary=row["summary"],
        formula=row["formula"],
        cls=row["cls"],
        parameters="".join(texts.values()),
        weight="\nsample_weight : array_like, optional\n    One number per sample or per value." if weighted else "",
        name=name,
        example=example,
        result=round(float(function(*ast.literal_eval(f"({example})"))), 4),
    )
    return _finish(function, document)


# ---- layers -----------------------------------------------------------------------------------------------------------
_LAYER = """{summary}

This is the function of the layer `pynn.{cls}`.

Parameters
----------
input : array_like
    The input of the layer.
{arguments}
    The arguments of `pynn.{cls}`.{training}

Returns
-------
ndarray{several}
    The output of the layer.

Raises
------
ValueError, TypeError
    As the layer, for invalid arguments or shapes.

Examples
--------
>>> import numpy as np, pynn
>>> pynn.functional.{name}({example}){shown}
{result}
"""


def _layer(cls_name: str) -> Any:
    """Return the function of a layer without parameters, whose arguments follow the input."""
    name, cls = layer_name(cls_name), getattr(layers, cls_name)
    random = cls_name in _RANDOM
    given = sorted(inspect.signature(cls, eval_str=True).parameters.values(), key=lambda p: p.name == "return_indices")  # as in PyTorch
    texts = [f"{p.name}: {_annotation(p)}" + (f" = {p.default!r}" if p.default is not p.empty else "") for p in given if p.name != "seed"]
    passed = ", ".join(f"{p.name}={p.name}" for p in given)
    if random:
        texts.insert(sum(p.name != "seed" and p.name != "inplace" for p in given), f"training: bool = {cls_name not in _NOT_TRAINING}")
        texts.append("*, seed: int | None = None")
    call = f"apply(cls({passed}), input{', training=training' if random else ''})"
    source = f"def {name}({', '.join(['input: ArrayLike', *texts])}) -> Any:\n    return {call}"
    function = make_function(source, {"cls": cls, "apply": apply})
    example = (_RANDOM if random else _LAYERS)[cls_name]
    result = eval(f"function({example})", {"function": function, "np": np})
    document = _LAYER.format(
        summary=(inspect.getdoc(cls) or "").partition("\n")[0],
        cls=cls_name,
        name=name,
        arguments=", ".join(p.name for p in given),
        training="\ntraining : bool\n    Whether to draw random numbers; otherwise the result is that of evaluation." if random else "",
        several=" or tuple" if "return_indices" in passed else "",
        example=example,
        shown=".tolist()" if random and result.size < 5 else ".shape",
        result=result.tolist() if random and result.size < 5 else result.shape,
    )
    return _finish(function, document)


def _annotation(p: inspect.Parameter) -> str:
    return inspect.formatannotation(p.annotation).replace("collections.abc.", "")
