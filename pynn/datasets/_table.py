"""Read a table of numbers from a file, and say where it is wrong."""

import csv
import difflib
import io
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_CLASSES = 50  # a column of whole numbers with more distinct values than this is a quantity
MISSING = ("", "nan", "na", "n/a", "null", "none", "?")  # how tables spell a value that isn't there, in lower case


_SHOWN = 20  # names of columns in an error


class Table(NamedTuple):
    """A table as arrays, ready for training."""

    X: NDArray[np.float64]  # (n, d): the inputs
    y: NDArray[Any]  # (n,): int64 class indices, or float64 quantities
    columns: tuple[str, ...]  # d names, in the order of the columns of X
    classes: tuple[str, ...] | None  # the label of each class index; None: y is a quantity


def read_csv(path: str | PathLike[str], target: str) -> Table:
    """Read a table of numbers with a header line; one column is what to predict.

    The target is a class when it holds text, or whole numbers of at most 50 distinct values that repeat (each value
    twice or more on average); otherwise it is a quantity. Every other column must hold finite numbers.

    Parameters
    ----------
    path : str or path
        A file in UTF-8 with fields between commas, semicolons or tabs (whichever the header has most of). Blank lines
        are skipped.
    target : str
        The name of the column to predict.

    Returns
    -------
    Table
        ``(X, y, columns, classes)``: X float64 (n, d); y int64 (n,) class indices into ``classes``, or float64 (n,)
        with ``classes`` None.

    Raises
    ------
    ValueError
        The file is empty or not UTF-8, a line has too few or too many fields, a field is missing or not a finite
        number, or there is no such column. The text names file, line and column.
        Also if the path is not a regular file: a device, a pipe.
    OSError
        The file can't be opened, or is a directory.

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
        raise ValueError(f"{path} has a line of column names but no rows")
    y, classes = _target(labels)
    return Table(np.array(inputs, dtype=np.float64), y, columns, classes)


def _rows(path: str | PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the fields of every line that is not blank."""
    raw = _bytes(path)
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


def _bytes(path: str | PathLike[str]) -> bytes:
    """Read a regular file; a device or a pipe might never end."""
    with open(path, "rb", opener=_open) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} is not a regular file; expected a table of comma-separated values")
        return file.read()


def _open(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_header(path: str | PathLike[str], header: Sequence[str], target: str) -> None:
    if not header:
        raise ValueError(f"{path} is empty; expected a line of column names, then numbers")
    if twice := sorted(name for name, times in Counter(header).items() if times > 1):
        raise ValueError(f"{path} has more than one column named {twice[0]!r}")
    if target not in header:
        close = difflib.get_close_matches(target, header, cutoff=0.5)
        some = ", ".join(header[:_SHOWN]) + (f", ... ({len(header)} in all)" if len(header) > _SHOWN else "")
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"its columns are {some}"
        raise ValueError(f"{path} has no column {target!r}; {hint}")
    if len(header) == 1:
        raise ValueError(f"{path} has no column beside {target!r} to predict it from")


def _numbers(row: Sequence[str], columns: Sequence[str], where: str) -> list[float]:
    """Read finite numbers, or say where one isn't."""
    try:
        values = [*map(float, row)]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        values = [_number(f"{where}{column!r}", text) for column, text in zip(columns, row, strict=True)]
    return values


def _number(where: str, text: str) -> float:
    """Read a finite number, or say where it isn't one."""
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
    """Decide between class and quantity; labels are pairs of place and text."""
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
