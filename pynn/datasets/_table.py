"""Read tables from files and frames as they are found, with errors that name line and column."""

import difflib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._frames import frame_columns, is_table
from .._tables import unknown_name
from ._table_bulk import with_first_row
from ._table_columns import MISSING_MODES, Column, assemble, copies, frame_column, read_column
from ._table_text import Fields, read_fields
from ._table_values import MISSING_NUMBERS, is_value
from ._target import check_task, counted, distinct_numbers, is_classes
from ._words import Sentence, in_language

SHOWN = 20  # the largest number of column names in an error
_HEADER_SAMPLE = 200  # the number of rows that decide whether the first line holds names
_FRAME_READERS = {
    ".parquet": "read_parquet",
    ".feather": "read_feather",
    ".xlsx": "read_excel",
    ".xls": "read_excel",
    ".ods": "read_excel",
    ".json": "read_json",
    ".dta": "read_stata",
    ".sav": "read_spss",
    ".sas7bdat": "read_sas",
    ".xpt": "read_sas",
}
"""The pandas function that reads files with a suffix."""


class Table(NamedTuple):
    """A table as arrays for training.

    Attributes
    ----------
    X : float64 array of shape (n, d)
        The inputs.
    y : array of shape (n,)
        int64 class indices, or float64 numbers.
    columns : tuple of str
        The names of the columns of `X`.
    classes : tuple of str, or None
        The label of each class index; None if `y` holds numbers.
    task : {'classes', 'quantity'}
        What the target is.
    summary : str
        What was understood, in one line: target, inputs, dropped columns.
    notes : tuple of str
        What else was decided while reading, a sentence each: separator, spellings of numbers, dropped rows, reasons.
    filled : bool array of shape (n, d), or None
        Which numbers of `X` were missing and are the mean of their column, over all rows; None if there are none.

    Examples
    --------
    See `read_table`.
    """

    X: NDArray[np.float64]
    y: NDArray[Any]
    columns: tuple[str, ...]
    classes: tuple[str, ...] | None
    task: str = "quantity"
    summary: str = ""
    notes: tuple[str, ...] = ()
    filled: NDArray[np.bool_] | None = None

    @property
    def gaps(self) -> NDArray[np.float64]:
        """`X` with NaN for the missing numbers, which `pynn.lab.compare` with ``missing='mean'`` fills from training rows alone."""
        return self.X if self.filled is None else np.where(self.filled, np.nan, self.X)

    def understood(self, lang: str = "en") -> list[str]:
        """Return the summary and the notes as sentences, in English or Vietnamese.

        Parameters
        ----------
        lang : {'en', 'vi'}
            The language.

        Raises
        ------
        ValueError
            If the language is unknown.
        """
        return [in_language(sentence, lang) for sentence in (self.summary, *self.notes)]

    @property
    def labels(self) -> NDArray[Any]:
        """The target with classes by label: text, or integers where all labels are whole numbers."""
        if self.classes is None:
            return self.y
        labels: NDArray[Any] = np.array(self.classes)
        if all(map(_is_integer, self.classes)):
            labels = labels.astype(np.int64)
        return np.asarray(labels[self.y])


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and len(text) < 18


def read_table(
    source: Any,
    target: str | int = -1,
    *,
    header: bool | None = None,
    drop: str | Sequence[str] = (),
    keep: str | Sequence[str] = (),
    missing: str = "auto",
    na: str | Sequence[str] = (),
    task: str = "auto",
    separator: str | None = None,
    encoding: str | None = None,
) -> Table:
    """Read a table as it is found in practice, and say what was understood.

    Columns of numbers are inputs, also those with decimal commas, separators of thousands, percent signs or currency signs; dates become
    days since 1970-01-01. Columns of text and truth values with at most 50 different values that repeat are one-hot encoded; two values
    become one column of 0 and 1. Left out are row numbers without a name, identifiers (a name such as ``id`` and a different value in
    each row), text with more values, columns with a single value, and columns with more than half of the values missing.

    Parameters
    ----------
    source : str, path or DataFrame
        A text file, also compressed by gzip, bzip2 or xz, in UTF-8, UTF-16 or Latin-1. The separator is found: comma, semicolon, tab,
        ``|`` or spaces. Lines that begin with ``#`` are comments. ARFF files and Orange's ``.tab`` files are recognised. pandas reads
        other formats by suffix (Parquet, Excel, JSON, Stata, SPSS, ...). Or a frame of pandas or polars.
    target : str or int
        The column to predict: its name, which may differ in case, or position. A str that is no name may be a position too.
    header : bool, optional
        Whether the first line holds the column names. Default: it does unless it looks like data, which `notes` mention; columns
        without names are named by position, from ``'0'``.
    drop : str or sequence of str
        Columns to leave out.
    keep : str or sequence of str
        Columns to use though the rules above would leave them out.
    missing : {'auto', 'drop', 'mean', 'error'}
        What to do with missing values of inputs: drop the rows; fill in the mean of the column, and for text an input of its own; or
        raise. 'auto' drops the rows if at least 80 % remain, and fills otherwise. The mean is that of all rows, so it reveals something
        of rows to test on; `Table.gaps` has NaN instead. Rows without a target are always dropped, or an error.
    na : str or sequence of str
        More spellings of missing values, besides an empty field, ``NA``, ``N/A``, ``nan``, ``null``, ``?`` and, among numbers, ``-``,
        ``.``, ``none`` and ``unknown``.
    task : {'auto', 'classes', 'quantity'}
        What the target is; ``'classification'`` and ``'regression'`` are synonyms. 'auto': text and truth values are classes, and so are
        whole numbers of at most 50 distinct values that occur twice or more on average; other numbers are a quantity.
    separator : {',', ';', '\\t', '|', ' '}, optional
        The separator of fields.
    encoding : str, optional
        The encoding of a text file.

    Returns
    -------
    Table
        The arrays, the names, and what was understood.

    Raises
    ------
    ValueError
        If the file is empty, damaged or no text, rows differ in length, there is no such column, a column of numbers holds text, the
        target has a single value, or nothing is left. The message names the file, the line and every column concerned.
    OSError
        If the file cannot be opened, or is a directory.
    ImportError
        If the format needs pandas (``pip install 'pynn-c[data]'``) and it is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pynn.datasets
    >>> rows = ["1;4,5;short;cat", "2;0,3;none;bird", "3;5,1;long;cat", "4;0,2;none;bird", "5;4,9;short;cat", "6;4,0;long;cat"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "pets.csv"
    ...     _ = file.write_text("\\n".join(["id;weight;coat;kind", *rows]))
    ...     table = pynn.datasets.read_table(file, "Kind")
    >>> print(table.summary)
    target 'kind': 2 classes (bird 2, cat 4); 1 numeric input; 1 text input as 3 columns of 0 and 1; 1 column dropped: id
    >>> table.X[0].tolist(), table.columns
    ([4.5, 0.0, 0.0, 1.0], ('weight', 'coat=long', 'coat=none', 'coat=short'))
    >>> for note in table.notes:
    ...     print(note)
    fields are separated by semicolons
    'weight': numbers with decimal commas
    dropped, a different value in each row: id
    """
    task = check_task(task)
    if task == "multilabel":
        raise ValueError("task: 'multilabel' needs several target columns; expected 'auto', 'classes' or 'quantity'")
    if missing not in MISSING_MODES:
        raise unknown_name("missing", missing, MISSING_MODES)
    drop, keep, na = ((one,) if isinstance(one, str) else tuple(one) for one in (drop, keep, na))
    options = (target, header, drop, keep, missing, na, task, separator, encoding)
    if (frame := _frame(source)) is None:
        try:
            return _read(source, None, True, *options)
        except (ValueError, IndexError):
            pass  # without bulk, errors name the line
    return _read(source, frame, False, *options)


def _read(
    source: Any,
    frame: Any,
    bulk: bool,
    target: str | int,
    header: bool | None,
    drop: Sequence[str],
    keep: Sequence[str],
    missing: str,
    na: Sequence[str],
    task: str,
    separator: str | None,
    encoding: str | None,
) -> Table:
    """Read a frame or a text file; ``bulk``: long files by pandas, without line numbers in errors."""
    where = "source" if is_table(source) else str(source)
    notes: list[str] = []
    wrong: list[str] = []
    lines: Sequence[int] | None = None
    ignored: tuple[str, ...] = ()
    if frame is not None:
        names = [str(name) for name in frame.columns]
        columns: list[Any] = [column for _, column in frame_columns(frame)]
    else:
        fields = read_fields(source, separator, encoding, na, bulk)
        rows, lines, ignored = fields.rows, fields.lines, fields.ignored
        names, skip = _names(fields, header, target)
        notes += fields.notes
        if fields.columns is not None:
            columns = fields.columns if skip else with_first_row(rows[0], fields.columns, na)
            lines = range(len(columns[0].values if isinstance(columns[0], Column) else columns[0]))
        elif len(rows) == skip:
            raise ValueError(f"{where} has a header but no rows")
        else:
            columns, lines = [*zip(*rows[skip:], strict=True)], lines[skip:]
    names = _unique(names, target, where, notes)
    at = _position(names, target, where)
    named = [names[_position(names, one, where)] for one in _all_known(names, drop, where)]
    kept = [names[_position(names, one, where)] for one in _all_known(names, keep, where)]
    if names[at] in named:
        raise ValueError(f"drop: {names[at]!r} is the target")
    left = [i for i, name in enumerate(names) if i != at and name not in named and (name not in ignored or name in kept)]
    read = {}
    for i in (at, *left):
        if isinstance(columns[i], Column):
            read[i] = columns[i]._replace(name=names[i])
        else:
            read[i] = frame_column(names[i], columns[i]) if lines is None else read_column(names[i], columns[i], lines, na, wrong)
    if wrong:
        remedy = "na= (--na TEXT) reads a text as missing, drop= (--drop COLUMN) leaves a column out"
        raise ValueError(f"{where}: {'; '.join(wrong)}; {remedy}")
    y = read[at]
    lost = y.missing
    if lost.all():
        raise ValueError(f"{where}: every value of the target {y.name!r} is missing")
    if lost.any():
        if missing == "error":
            first = f", the first in line {lines[int(lost.argmax())]}" if lines is not None else ""
            raise ValueError(f"{where}: the target {y.name!r} is missing in {int(lost.sum()):,} rows{first}; missing= (--missing) 'drop'")
        notes.append(Sentence("no target", n=int(lost.sum()), rows=len(lost)))
    dropped = [*named, *(name for name in ignored if name != y.name and name not in kept and name not in named)]
    rest = [read[i] for i in left]
    inputs, used = assemble(rest, missing=missing, keep=kept, dropped=dropped, rows=~lost, where=where, lines=lines)
    values, classes, why = _understood(y, y.values[used], task, where, lines)
    notes += [*([y.note] if y.note else []), *inputs.notes]
    if classes is not None:
        notes += [Sentence("copy", name=name) for name in copies(rest, values, used)]
    summary = Sentence("summary", name=y.name, target=why, inputs=inputs.summary)
    found = "quantity" if classes is None else "classes"
    return Table(inputs.X, values, inputs.columns, classes, found, summary, tuple(notes), inputs.filled)


def _frame(source: Any) -> Any:
    """Return a frame: the source itself, or a file in a format that pandas reads; None for text files."""
    if is_table(source):
        return source
    reader = _FRAME_READERS.get(Path(source).suffix.lower())
    if reader is None:
        return None
    try:
        import pandas
    except ImportError as error:
        raise ImportError(f"{source}: this format needs pandas: pip install 'pynn-c[data]'") from error
    with open(source, "rb"):
        pass  # an OSError that names the file
    try:
        frame = getattr(pandas, reader)(source)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{source}: pandas.{reader} cannot read it: {error}") from error
    if not is_table(frame) or not len(frame):
        raise ValueError(f"{source} holds no table")
    return frame


def _names(fields: Fields, header: bool | None, target: str | int) -> tuple[list[str], int]:
    """Return the names of the columns, and how many rows they take up."""
    if fields.names is not None:
        return [*fields.names], 0
    first, body = fields.rows[0], fields.rows[1 : 1 + _HEADER_SAMPLE]
    if header is None:
        header, note = _holds_names(first, body)
        if not header and isinstance(target, str) and target in first and _whole(target) is None:
            header, note = True, Sentence("target in first")
        fields.notes.extend([Sentence("line", line=fields.lines[0], note=note)] if note else [])
    return ([*first], 1) if header else ([*map(str, range(len(first)))], 0)


def _holds_names(first: Sequence[str], body: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Return whether the first line holds names rather than data, and a note if that is not plain."""
    columns = [*zip(*body, strict=True)] or [() for _ in first]
    known = [[field for field in column if field.lower() not in MISSING_NUMBERS] for column in columns]
    is_number = [bool(column) and all(map(is_value, column)) for column in known]
    named = [field for field, number in zip(first, is_number, strict=True) if number and field.lower() not in MISSING_NUMBERS]
    if not all(map(is_value, named)):
        return True, ""
    values = [field for field in first if is_value(field)]
    if not values:
        repeated = sum(field in column for field, column in zip(first, known, strict=True) if field)
        if not body or repeated <= len(first) / 2 or len(body) < 3:
            return True, ""
    elif [*first] == [*map(str, range(len(first)))]:
        return True, Sentence("names from 0")
    shown = ", ".join(field[:12] for field in first[:4]) + (", ..." if len(first) > 4 else "")
    return False, Sentence("looks like data", shown=shown)


def _unique(names: Sequence[str], target: str | int, where: str, notes: list[str]) -> list[str]:
    """Return names of which none is empty or occurs twice."""
    counts = Counter(names)
    twice = [name for name, times in counts.items() if times > 1 and name]
    if isinstance(target, str) and target in twice:
        raise ValueError(f"{where} has more than one column named {target!r}; give its position")
    if twice:
        notes.append(Sentence("same name", names=", ".join(map(repr, twice[:SHOWN]))))
    found: list[str] = []
    seen = {*names}
    for i, name in enumerate(names):
        one, n = name or f"Unnamed: {i}", 0
        while one in found or (n and one in seen):
            n += 1
            one = f"{name}.{n}"
        found.append(one)
    return found


def _whole(text: str) -> int | None:
    return int(text) if _is_integer(text) else None


def _position(names: Sequence[str], column: str | int, where: str) -> int:
    """Return the position of a column that is given by name, in any case, or by position; or raise."""
    if isinstance(column, str):
        if column in names:
            return names.index(column)
        alike = [i for i, name in enumerate(names) if name.strip().casefold() == column.strip().casefold()]
        if len(alike) == 1:
            return alike[0]
        if len(alike) > 1:
            raise ValueError(f"{where} has several columns named like {column!r}: {', '.join(names[i] for i in alike)}")
    elif isinstance(column, bool) or not isinstance(column, (int, np.integer)):
        raise TypeError(f"target: expected the name or the position of a column, got {column!r}")
    at = _whole(column) if isinstance(column, str) else int(column)
    if at is not None and -len(names) <= at < len(names):
        return at % len(names)
    raise ValueError(f"{where} has no column {column!r}; {_hint(column, names)}")


def _hint(column: str | int, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(column), names, cutoff=0.5)
    some = ", ".join(names[:SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > SHOWN else "")
    return f"did you mean {' or '.join(map(repr, close))}?" if close else f"its columns are {some}"


def _all_known(names: Sequence[str], given: Sequence[str], where: str) -> Sequence[str]:
    """Return names of columns, or raise an error that lists all that do not exist."""
    folded = {name.casefold() for name in names}
    unknown = [one for one in given if one.casefold() not in folded and not (_is_integer(one) and int(one) < len(names))]
    if unknown:
        raise ValueError(f"{where} has no column {', '.join(map(repr, unknown))}; {_hint(unknown[0], names)}")
    return given


def _understood(
    column: Column, values: NDArray[Any], task: str, where: str, lines: Sequence[int] | None
) -> tuple[NDArray[Any], tuple[str, ...] | None, str]:
    """Return the target as class indices or numbers, the labels of the classes, and what it is in words."""
    name = column.name
    if not column.is_number:
        values = values.astype(str)
    distinct, index = np.unique(values, return_inverse=True)
    if len(distinct) < 2:
        raise ValueError(f"{where}: every row has the target {name!r} = {distinct.tolist()[0]!r}, so there is nothing to predict")
    if task == "quantity" or (task == "auto" and not is_classes(distinct, len(values))):
        if not column.is_number:
            first = f" (line {lines[int(np.flatnonzero(column.values == distinct[0])[0])]})" if lines is not None else ""
            raise ValueError(f"{where}: task 'quantity' needs numbers, but the target {name!r} holds {distinct.tolist()[0]!r}{first}")
        return values, None, distinct_numbers(distinct)
    if len(distinct) > len(values) / 2 and len(distinct) > 2:
        rows = f"{len(distinct):,} different values in {len(values):,} rows"
        raise ValueError(f"{where}: the target {name!r} has {rows}; expected numbers, or classes that occur twice or more on average")
    labels = tuple(str(int(v)) if column.is_number and float(v).is_integer() else str(v) for v in distinct.tolist())
    return index.reshape(-1).astype(np.int64), labels, counted(labels, np.bincount(index.reshape(-1)))
