"""Create the public function of each row of the activation tables, with its documentation.

A row without parameters is a ufunc. A row with parameters is a function with keyword arguments that calls a ufunc.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import _core
from .._arrays import is_masked_array
from .._tables import REQUIRED, Parameters, make_function, parse_docs, parse_parameters
from . import _ufuncs

_OPTIONS = "out: Any = None, casting: str = 'same_kind', order: str = 'K', dtype: Any = None, subok: bool = True, signature: Any = None"
_ELEMENTWISE = "where: ArrayLike = True, " + _OPTIONS
_DEFAULTS = {"where": True, "out": None, "casting": "same_kind", "order": "K", "dtype": None, "subok": True, "signature": None}
# Calls without options are tried first and pass none, because parsing them costs NumPy as much as a hundred elements.
_CALL = """\
    if {where}casting == 'same_kind' and order == 'K' and dtype is None and subok is True and signature is None:
        if out is None:
            return ufunc(x{arguments}{axis})
        if type(out) is ndarray:
            return ufunc(x{arguments}, out{axis})
    return ufunc(x{arguments}{axis}, **given({passed}))
"""


def _call(arguments: str = "", axis: str = "") -> str:
    """Return the source lines that call the ufunc; a function along an axis has no ``where``."""
    passed = ", ".join(f"{name}={name}" for name in _DEFAULTS if not (axis and name == "where"))
    return _CALL.format(where="" if axis else "where is True and ", arguments=arguments, axis=axis, passed=passed)


_UFUNC_ATTRIBUTES = [name for name in dir(np.ufunc) if not name.startswith("_")]

_PARAMETERS = """
Parameters
----------
x : array_like
    Real numbers of any shape.{parameters}
out, {where}casting, order, dtype, subok, signature
    As for every `numpy.ufunc`.
"""
_RESULT = """
Returns
-------
ndarray or scalar
    Has the shape of `x`{broadcast}. The dtypes float16 (computed in float32), float32 and
    float64 are kept; integers and booleans become float64{widen}.

Raises
------
TypeError
    If `x` is complex, long double, an object array or text.{errors}
"""
_NOTES = """
Notes
-----
The error is at most {ulp:g} ULP (units in the last place), in float32 and in float64.
"""


class _Axis(int):
    """The default axis, which can be distinguished from the same number passed by the caller."""

    __slots__ = ()


_LAST = _Axis(-1)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that differ from their defaults. Array types that NumPy dispatches to, such as dask's, reject some options."""
    return {name: value for name, value in options.items() if value is not _DEFAULTS[name]}


_NAMES = {"ndarray": np.ndarray, "is_masked_array": is_masked_array, "LAST": _LAST, "given": _given, "inf": np.inf}


def elementwise(row: Mapping[str, Any], module: str, *, derivative: bool = False) -> Any:
    """Return the public function of an activation, or of its derivative: a ufunc, or a function if the row has parameters."""
    name, ufunc = row["name"], row["grad" if derivative else "ufunc"]
    parameters = parse_parameters(row["params"], row["check"])
    if not parameters.defaults:
        _core.set_doc(ufunc, _document(row, parameters, derivative, ufunc))
        _set_module(ufunc, "pynn")
        return ufunc
    function = make_function(
        f"def {name}(x: ArrayLike, {parameters.signature('ArrayLike')}, *, {_ELEMENTWISE}) -> Any:\n"
        + _check(name, parameters)
        + _call("".join(f", {n}" for n in parameters.defaults)),
        {"ufunc": ufunc, "verify": parameters.verify, **_NAMES},
    )
    return _finish(function, ufunc, module, _document(row, parameters, derivative, function))


def _check(name: str, parameters: Parameters) -> str:
    """Return the source lines that check the parameters: floats inline for speed, other values with ``verify``."""
    if not parameters.check:
        return ""
    plain = " and ".join(f"type({n}) is float" for n in parameters.defaults)
    values = ", ".join(f"{n!r}: {n}" for n in parameters.defaults)
    return f"    if not ({plain} and ({parameters.check})):\n        verify({name!r}, {{{values}}})\n"


def with_approximation(rows: Mapping[str, Mapping[str, Any]], module: str, *, derivative: bool = False) -> Any:
    """Return one function for two rows; its argument ``approximate`` ("none" or "tanh") selects the row."""
    ufuncs = {word: row["grad" if derivative else "ufunc"] for word, row in rows.items()}
    exact = rows["none"]
    name = exact["name"]
    function = make_function(
        f"def {name}(x: ArrayLike, approximate: str = 'none', *, {_ELEMENTWISE}) -> Any:\n"
        f"    ufunc = exact if approximate is NONE else choose(approximate)\n" + _call(),
        {"exact": ufuncs["none"], "choose": _chooser(name, ufuncs), "NONE": "none", **_NAMES},
    )
    document = _document(exact, parse_parameters(""), derivative, function).replace(
        "    Real numbers of any shape.\n",
        "    Real numbers of any shape.\napproximate : {'none', 'tanh'}, default 'none'\n"
        f"    'tanh' {'differentiates' if derivative else 'computes'} ``{rows['tanh']['formula']}`` instead.\n",
    )
    return _finish(function, ufuncs["none"], module, document)


def _chooser(name: str, ufuncs: Mapping[str, np.ufunc]) -> Callable[[object], np.ufunc]:
    def choose(approximate: object) -> np.ufunc:
        ufunc = ufuncs.get(approximate) if isinstance(approximate, str) else None
        if ufunc is None:
            raise ValueError(f"{name}: approximate must be {' or '.join(map(repr, ufuncs))}, got {approximate!r}")
        return ufunc

    return choose


def rowwise(row: Mapping[str, Any], module: str) -> Any:
    """Return the public function of a row of the row-wise table; ``dim`` is another name for its argument ``axis``."""
    name, ufunc = row["name"], row["ufunc"]
    function = make_function(
        f"def {name}(x: ArrayLike, axis: int = LAST, *, dim: int | None = None, {_OPTIONS}) -> Any:\n"
        f"    axis = -1 if axis is LAST and dim is None else choose(axis, dim)\n"
        f"    x = fill_masked(x) if is_masked_array(x) else x\n" + _call(axis=", axis=axis"),
        {"ufunc": ufunc, "choose": _axis_chooser(name), "fill_masked": _mask_filler(ufunc), **_NAMES},
    )
    example = f">>> pynn.{name}([-2.0, 0.0, 2.0]).round(4).tolist()\n{function([-2.0, 0.0, 2.0]).round(4).tolist()}"
    text = "\naxis : int, default -1\n    The axis along which to compute.\ndim : int, optional\n    Another name for `axis`."
    document = "".join([
        f"{row['summary']}\n\n``y = {row['formula']}`` along `axis`\n",
        _PARAMETERS.format(parameters=text, where=""),
        _RESULT.format(broadcast="", widen="", errors=" If both `axis` and `dim` are given.\nValueError\n    If `x` has no such axis."),
        _NOTES.format(ulp=row["ulp"]),
        f"\nExamples\n--------\n>>> import pynn\n{example}\n",
    ])
    return _finish(function, ufunc, module, document)


def _axis_chooser(name: str) -> Callable[[int, int | None], int]:
    def choose(axis: int, dim: int | None) -> int:
        if dim is None:
            return axis
        if axis is not _LAST:
            raise TypeError(f"{name}: axis and dim are the same argument; pass one of them, got axis={axis!r} and dim={dim!r}")
        return dim

    return choose


def _mask_filler(ufunc: np.ufunc) -> Callable[[Any], Any]:
    """Return a function that makes a row-wise ufunc ignore masked elements.

    It replaces them by the infinity that does not affect the other elements of the row.
    """
    neutral = next(v for v in (-np.inf, np.inf) if ufunc(np.array([0.0, v]))[0] == ufunc(np.array([0.0]))[0])

    def fill_masked(x: Any) -> Any:
        real = x if x.dtype.kind == "f" else x.astype(np.float64)
        return np.ma.MaskedArray(real.filled(neutral), mask=x.mask)

    return fill_masked


def _set_module(ufunc: Any, module: str) -> None:
    with contextlib.suppress(AttributeError):  # NumPy before 2.2 has no such attribute, and later ones need it to pickle ufuncs
        ufunc.__module__ = module


def _finish(function: Any, ufunc: np.ufunc, module: str, document: str) -> Any:
    """Give a function its documentation and the attributes of the ufunc that it calls."""
    function.__doc__, function.__module__, function.ufunc = document, module, ufunc
    _core.set_doc(ufunc, f"The ufunc that `pynn.{ufunc.__name__}` calls. All arguments are positional and required.")
    _set_module(ufunc, _ufuncs.__name__)
    for name in _UFUNC_ATTRIBUTES:
        setattr(function, name, getattr(ufunc, name))
    return function


def _document(row: Mapping[str, Any], parameters: Parameters, derivative: bool, function: Callable[..., Any]) -> str:
    name = f"grad.{row['name']}" if derivative else row["name"]
    opening = (
        f"Derivative of `pynn.{row['name']}`.\n\n``dy/dx`` where ``y = {row['formula']}``\n"
        if derivative
        else f"{row['summary']}\n\n``y = {row['formula']}``\n"
    )
    texts = parse_docs(row["docs"])
    lines = "".join(
        f"\n{n} : float or array_like{'' if default is REQUIRED else f', default {default!r}'}\n    {texts[n]} Broadcast against `x`."
        for n, default in parameters.defaults.items()
    )
    errors = f"\nValueError\n    Unless ``{parameters.check}``." if parameters.check else ""
    return "".join([
        opening,
        _PARAMETERS.format(parameters=lines, where="where, "),
        _RESULT.format(
            broadcast=" broadcast with the parameters" if lines else "",
            widen=", and a parameter never changes the dtype" if lines else "",
            errors=errors,
        ),
        _NOTES.format(ulp=row["grad_ulp" if derivative else "ulp"]),
        _example(name, parameters, function),
    ])


def _example(name: str, parameters: Parameters, function: Callable[..., Any]) -> str:
    """Return an example with its computed output."""
    required = [0.5 * k for k, default in enumerate(parameters.defaults.values(), 1) if default is REQUIRED]
    arguments = ", ".join(map(repr, [[-2.0, 0.5, 2.0], *required]))
    result = function([-2.0, 0.5, 2.0], *required).round(4).tolist()
    return f"\nExamples\n--------\n>>> import pynn\n>>> pynn.{name}({arguments}).round(4).tolist()\n{result}\n"
