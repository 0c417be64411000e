"""Convert arguments to arrays, check sizes and dtypes, and allocate aligned arrays."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._dtypes import widened
from ._frames import column_array, holds_numbers, is_column, is_number, is_table, table_array
from ._random import check_values_left

Array = NDArray[Any]

_DTYPES = ("float32", "float64")


def check_dtype(dtype: object) -> str:
    """Return the name of a layer's dtype; raise ValueError unless it is float32 or float64."""
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except TypeError:
        name = ""
    if name not in _DTYPES:
        raise ValueError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
    return str(name)


def check_size(name: str, value: object) -> int:
    """Return ``value`` as an int; raise unless it is an integer of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if value < 0:
        raise ValueError(f"{name}: expected 0 or more, got {value}")
    return int(value)


def sample_shape(shape: object) -> tuple[int, ...]:
    """Return the shape of one sample as a tuple, or raise."""
    if isinstance(shape, (int, np.integer)):
        return (check_size("shape", shape),)
    if not isinstance(shape, (list, tuple)):
        raise TypeError(f"shape: expected the shape of one sample, such as (1, 28, 28), got {shape!r}")
    for n in shape:
        if n is None:
            raise TypeError(f"shape: expected the shape of one sample, without None for the batch, got {shape!r}")
    return tuple(check_size("shape", n) for n in shape)


def real_array(x: ArrayLike, name: str) -> Array:
    """Return ``x`` as an array of real numbers, or raise."""
    if type(x) is np.ndarray and x.dtype.char in "fd":
        return x
    a = plain_array(x, name)
    if a.dtype.kind not in "fiubV" and is_table(x):
        a = table_array(x, name)  # raises an error that names the column
    if a.dtype.kind == "O" and is_column(x):
        a = column_array(x, name)
    if a.dtype.kind == "V":
        a = widened(a)
    if a.dtype.kind not in "fiub" or a.dtype.itemsize > 8:
        raise TypeError(f"{name}: dtype {a.dtype} is not allowed; expected real numbers of at most 64 bits")
    return a


def is_float(a: Array, *sizes: int) -> bool:
    """Return whether ``a`` holds floats of one of these sizes in bytes, in either byte order."""
    return a.dtype.kind == "f" and a.dtype.itemsize in sizes


def is_masked_array(x: Any) -> bool:
    """Return whether ``x`` is a masked array, without loading `numpy.ma`: before that, there are none."""
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(x, masked.MaskedArray)


def plain_array(x: Any, name: str) -> Array:
    """Return ``x`` as an array of any dtype.

    Raise for masked elements, which would be lost, for sparse matrices, and for rows of different shapes.
    """
    if type(x) is np.ndarray:
        return x
    parts = x if isinstance(x, (list, tuple)) else [x]
    if any(is_masked_array(part) and np.ma.is_masked(part) for part in parts):
        raise TypeError(f"{name}: got a masked array with masked elements; fill them with {name}.filled(value), or drop those rows")
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        remedy = f"pass {name}.toarray(), or an iterable of dense (X, y) batches to fit and evaluate"
        raise TypeError(f"{name}: got a sparse {type(x).__name__}, expected a dense array; {remedy}")
    if is_table(x) and holds_numbers(x):
        return table_array(x, name)
    try:
        a = np.asarray(x)
        if is_table(x) and a.dtype.kind in "fiub":  # a table with dates, which NumPy has converted to counts of their unit
            return table_array(x, name)
        return column_array(x, name) if a.dtype.kind == "O" and is_column(x) and is_number(x) else a
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(f"{name}: rows have different lengths or shapes; pad or truncate them to one length") from error


_CACHE_LINE = 64  # bytes


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike | None) -> Array:
    """Return zeros that start on a cache line, which makes products with one row 10 to 20 % faster."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) if isinstance(shape, tuple) else shape
    buffer = np.zeros(size * dtype.itemsize + _CACHE_LINE, np.uint8)
    start = -buffer.ctypes.data % _CACHE_LINE
    return buffer[start : start + size * dtype.itemsize].view(dtype).reshape(shape)


def parameter_zeros(shape: int | tuple[int, ...], dtype: DTypeLike | None) -> Array:
    """Return zeros for a new parameter. While a file is read, first check that it has enough values, to limit memory use."""
    check_values_left(math.prod(shape) if isinstance(shape, tuple) else shape)
    return zeros(shape, dtype)


def writable(a: Array) -> Array:
    """Return ``a`` itself if it is writable, else a copy."""
    if a.flags.writeable:
        return a
    copy = zeros(a.shape, a.dtype)
    copy[...] = a
    return copy
