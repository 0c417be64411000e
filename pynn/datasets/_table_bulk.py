"""Read long text files with pandas, which parses numbers about ten times faster than Python's csv module."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._table_columns import Column
from ._table_values import MISSING_NUMBERS, number

FEWEST_CHARACTERS = 1 << 20  # below, loading pandas takes longer than reading
_SPELLINGS = sorted({form for text in MISSING_NUMBERS for form in (text, text.upper(), text.title())} | {"NaN", "N/a"})


def has_pandas() -> bool:
    """Return whether pandas is installed, without loading it."""
    try:
        return importlib.util.find_spec("pandas") is not None
    except ValueError:  # a test has made it impossible to import
        return False


def bulk_columns(
    text: str, separator: str, sample: Sequence[Sequence[str]], skip: int, na: Sequence[str]
) -> list[Column | list[str]] | None:
    """Return the columns of the text after ``skip`` lines: numbers, or text as it stands; None if pandas may read it differently.

    ``sample`` are the first rows, of one length. Columns whose sample holds plain numbers only are read as numbers.
    """
    import pandas

    width = len(sample[0])
    missing = {*MISSING_NUMBERS, *map(str.lower, na)}
    plain = [all(number(field) is not None or field.lower() in missing for field in column) for column in zip(*sample, strict=True)]
    numeric = [i for i, is_number in enumerate(plain) if is_number]
    options: dict[str, Any] = {
        "sep": separator,
        "header": None,
        "names": [*range(width)],
        "skiprows": skip,
        "skipinitialspace": True,
        "keep_default_na": False,
        "na_values": {i: [*_SPELLINGS, *na] for i in numeric},
        "dtype": {i: object for i in range(width) if i not in numeric},
        "low_memory": False,
    }
    if int(pandas.__version__.partition(".")[0]) < 3:
        options["float_precision"] = "round_trip"
    try:
        frame = pandas.read_csv(io.StringIO(text), **options)
    except ValueError:  # its ParserError too; the other reader says which line is wrong
        return None
    if not isinstance(frame.index, pandas.RangeIndex) or _has_gaps(frame.iloc[:, -1]):
        return None
    found: list[Column | list[str]] = []
    for i in range(width):
        column = frame[i]
        if i not in numeric:
            if column.isna().any():
                return None
            found.append([value.strip() for value in column])
            continue
        if column.dtype.kind not in "iuf":
            return None
        values = column.to_numpy(dtype=np.float64)
        if np.isinf(values).any():
            return None
        found.append(Column("", values))
    return found


def with_first_row(first: Sequence[str], columns: Sequence[Column | list[str]], na: Sequence[str]) -> list[Column | list[str]]:
    """Return columns to which the fields of the first line are added, which holds data; raise ValueError if they do not fit."""
    found: list[Column | list[str]] = []
    missing = {*MISSING_NUMBERS, *map(str.lower, na)}
    for field, column in zip(first, columns, strict=True):
        if isinstance(column, Column):
            value = np.nan if field.lower() in missing else float(field)
            found.append(Column("", np.concatenate([[value], column.values])))
        else:
            found.append([field, *column])
    return found


def _has_gaps(column: Any) -> bool:
    """Return whether values of the last column are missing, which may mean that rows are too short."""
    return bool(column.isna().any()) or (column.dtype == object and not all(column))
