"""Read a table of numbers from a CSV file strictly, with errors that name line and column."""

import csv
import difflib
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._table import SHOWN, Table
from ._table_text import read_bytes
from ._target import MOST_CLASSES

MISSING = ("", "nan", "na", "n/a", "null", "none", "?")  # common spellings of missing values, in lower case


def read_csv(path: str | PathLike[str], target: str) -> Table:
    """Read a table of numbers with a header line, of which one column is the target. `read_table` reads other tables.

    The target holds classes if it contains text, or integers with at most 50 distinct values that occur twice or more on average.
    Otherwise it holds numbers. All other columns must hold finite numbers.

    Parameters
    ----------
    path : str or path
        A UTF-8 file with fields separated by commas, semicolons or tabs, whichever is most frequent in the header. Blank lines are
        skipped.
    target : str
        The name of the column to predict.

    Returns
    -------
    Table
        ``(X, y, columns, classes)``: `X` float64 (n, d); `y` int64 (n,) class indices into `classes`, or float64 (n,) with `classes`
        None.

    Raises
    ------
    ValueError
        If the file is empty or not UTF-8, a line has too few or too many fields, a field is missing or not a finite number, or there
        is no such column. The message names file, line and column. Also if the path is a device or a pipe.
    OSError
        If the file cannot be opened, or is a directory.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pynn.datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "pets.csv"
    ...     _ = file.write_text("weight,legs,kind\\n4.5,4,cat\\n0.3,2,bird\\n5.1,4,cat\\n0.2,2,bird\\n")
    ...     table = pynn.datasets.read_csv(file, "kind")
    >>> table.X.shape, table.y.tolist(), table.columns, table.classes
    ((4, 2), [1, 0, 1, 0], ('weight', 'legs'), ('bird', 'cat'))
    """
    rows = _rows(path)
    _, header = next(rows, (0, []))
    _check_header(path, header, target)
    at = header.index(target)
    columns = (*header[:at], *header[at + 1 :])
    inputs, labels = [], []
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}, line {line}: {len(row)} fields where the header has {len(header)}")
        labels.append((f"{path}, line {line}, column {target!r}", row.pop(at)))
        inputs.append(_numbers(row, columns, f"{path}, line {line}, column "))
    if not inputs:
        raise ValueError(f"{path} has a header but no rows")
    y, classes = _target(labels)
    return Table(np.array(inputs, dtype=np.float64), y, columns, classes, "quantity" if classes is None else "classes")


def _rows(path: str | PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the fields of each line that is not blank."""
    raw = read_bytes(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: not UTF-8 text (byte 0x{raw[error.start]:02x})") from None
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if any(fields):
                yield reader.line_num, fields
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None


def _check_header(path: str | PathLike[str], header: Sequence[str], target: str) -> None:
    if not header:
        raise ValueError(f"{path} is empty; expected a header with column names, then rows of numbers")
    if twice := sorted(name for name, times in Counter(header).items() if times > 1):
        raise ValueError(f"{path} has more than one column named {twice[0]!r}")
    if target not in header:
        close = difflib.get_close_matches(target, header, cutoff=0.5)
        some = ", ".join(header[:SHOWN]) + (f", ... ({len(header)} in all)" if len(header) > SHOWN else "")
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"its columns are {some}"
        raise ValueError(f"{path} has no column {target!r}; {hint}")
    if len(header) == 1:
        raise ValueError(f"{path} has no column besides {target!r}; expected at least one input column")


def _numbers(row: Sequence[str], columns: Sequence[str], where: str) -> list[float]:
    """Convert the fields of a row to finite numbers; raise an error that names the first invalid field."""
    try:
        values = [*map(float, row)]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        values = [_number(f"{where}{column!r}", text) for column, text in zip(columns, row, strict=True)]
    return values


def _number(where: str, text: str) -> float:
    """Convert a field to a finite number; raise an error that names its position."""
    if text.lower() in MISSING:
        raise ValueError(f"{where}: the value is missing" + (f" ({text!r})" if text else ""))
    value = _float(text)
    if value is None:
        raise ValueError(f"{where}: {text!r} is not a number")
    if not math.isfinite(value):
        raise ValueError(f"{where}: {text!r} is not a finite number")
    return value


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _target(labels: Sequence[tuple[str, str]]) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Convert the target to class indices or numbers; ``labels`` are pairs of position and text."""
    for where, text in labels:
        if text.lower() in ("", "nan"):
            _number(where, text)
    values = {text: _float(text) for _, text in labels}
    whole = all(value is None or value.is_integer() for value in values.values())
    if whole and len(values) <= min(MOST_CLASSES, len(labels) / 2):
        numeric = None not in values.values()
        classes = sorted(values, key=lambda text: (values[text] if numeric else 0.0, text))
        index = {text: i for i, text in enumerate(classes)}
        return np.array([index[text] for _, text in labels], dtype=np.int64), tuple(classes)
    return np.array([_number(where, text) for where, text in labels], dtype=np.float64), None
