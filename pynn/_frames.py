"""Convert tables of pandas, polars and similar libraries to arrays, by column position and without Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = "fiub"


def is_table(x: Any) -> bool:
    """Return whether ``x`` is a table of columns, each with a dtype."""
    return hasattr(x, "columns") and hasattr(x, "dtypes") and (hasattr(x, "iloc") or hasattr(x, "get_columns"))


def is_column(x: Any) -> bool:
    """Return whether ``x`` is a column of a table."""
    return hasattr(x, "to_numpy") and hasattr(x, "dtype") and not isinstance(x, np.ndarray)


def is_number(column: Any) -> bool:
    """Return whether a column holds real numbers or bools, possibly with missing values."""
    return _kind(column.dtype) in _KINDS


def holds_numbers(table: Any) -> bool:
    """Return whether every column holds real numbers or bools."""
    return all(_kind(dtype) in _KINDS for dtype in {*table.dtypes})


def table_array(table: Any, name: str) -> NDArray[Any]:
    """Return a table as an array (rows, columns) of the columns' common dtype, with NaN for missing values."""
    dtypes = {*table.dtypes}
    if len(dtypes) == 1 and isinstance(only := next(iter(dtypes)), np.dtype) and only.kind in _KINDS:
        return np.asarray(table)
    columns = [*frame_columns(table)]
    for label, column in columns:
        _check(column, name, f"column {label!r} holds ")
    found = [_dtype(column) for _, column in columns]
    out = np.empty((len(table), len(columns)), np.result_type(*found) if found else np.float64)
    for i, (_, column) in enumerate(columns):
        out[:, i] = _values(column, found[i])
    return out


def column_array(column: Any, name: str) -> NDArray[Any]:
    """Return a column as an array, with NaN for missing values."""
    _check(column, name, "")
    return _values(column, _dtype(column))


def frame_columns(table: Any) -> Iterator[tuple[Any, Any]]:
    """Yield pairs of a name and a column of a table; names may repeat."""
    for i, label in enumerate(table.columns):
        yield label, table.iloc[:, i] if hasattr(table, "iloc") else table.get_columns()[i]


def _kind(dtype: Any) -> str:
    """Return the NumPy kind of a column's values. pandas' extension dtypes have it too; it is derived for polars' dtypes."""
    kind = getattr(dtype, "kind", None)
    if kind is None:
        kind = "f" if dtype.is_integer() or dtype.is_float() else "b" if str(dtype) == "Boolean" else "O"
    return str(kind)


def _check(column: Any, name: str, where: str) -> None:
    if not is_number(column):
        raise TypeError(f"{name}: {where}{column.dtype}, expected real numbers of at most 64 bits; encode it as numbers first")


def _missing(column: Any) -> NDArray[np.bool_] | None:
    found = column.isna() if hasattr(column, "isna") else column.is_null()
    return np.asarray(found, bool) if found.any() else None


def _dtype(column: Any) -> np.dtype[Any]:
    """Return the dtype of a column as an array: a floating-point dtype if values are missing."""
    own = column.dtype
    if isinstance(own, np.dtype):
        return own
    plain = getattr(own, "numpy_dtype", getattr(own, "subtype", None))
    if plain is None:  # polars
        plain = column.head(0).to_numpy().dtype
    plain = np.dtype(plain)
    return np.result_type(plain, np.float32) if plain.kind != "f" and _missing(column) is not None else plain


def _values(column: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    if isinstance(column.dtype, np.dtype):
        return np.asarray(column)
    if hasattr(column, "isna"):
        return np.asarray(column.to_numpy(dtype=dtype, na_value=np.nan) if dtype.kind == "f" else column.to_numpy(dtype=dtype))
    missing = _missing(column)
    if missing is None or str(column.dtype) != "Boolean":
        return np.asarray(column.to_numpy(), dtype)
    return np.asarray(np.where(missing, dtype.type(np.nan), column.fill_null(False).to_numpy()))
