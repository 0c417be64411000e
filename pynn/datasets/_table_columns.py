"""Turn columns of text or of a frame into columns of numbers: kinds, missing values, row numbers, one-hot encoding."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._frames import frame_columns, is_number
from ._table_values import MISSING, MISSING_NUMBERS, dates, is_finite, numbers
from ._target import MOST_CLASSES
from ._words import Sentence

MISSING_MODES = ("auto", "drop", "mean", "error")
_KEPT_BY_DROP = 0.8  # 'auto' drops rows with missing values where this share remains
_ID = re.compile(r"(?i:ids?|uuid|identifier)|.*[_.\- ](?i:id)|.*[a-z](ID|Id)")
_UNNAMED = re.compile(r"unnamed: ?\d+", re.IGNORECASE)
_ROW_NAMES = re.compile(r"index|rownames?|row[._ ]names?|row|obs", re.IGNORECASE)
_SHOWN = 8  # the largest number of names in a note


class Column(NamedTuple):
    """A column whose kind is known."""

    name: str
    values: NDArray[Any]
    """float64 with NaN where missing, or objects: text, and None where missing."""
    note: str = ""

    @property
    def is_number(self) -> bool:
        """Whether the column holds numbers."""
        return self.values.dtype.kind == "f"

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which values are missing."""
        lost = np.isnan(self.values) if self.is_number else [value is None for value in self.values]
        return np.asarray(lost, bool)


def read_column(name: str, texts: Sequence[str], lines: Sequence[int], na: Sequence[str], wrong: list[str]) -> Column:
    """Find out what a column of text holds; append a sentence to ``wrong`` if it cannot be used."""
    given = {*map(str.lower, na)}
    counts = Counter(texts)
    plain = {text for text in counts if text.lower() not in MISSING and text.lower() not in given}
    candidates = {text for text in plain if text.lower() not in MISSING_NUMBERS}
    parsed, spelling = numbers(candidates)
    others = [text for text, value in parsed.items() if value is None]
    if candidates and not others:
        infinite = [text for text, value in parsed.items() if value is not None and not is_finite(value)]
        if infinite:
            wrong.append(f"column {name!r}: {_places(sorted(infinite, key=texts.index), texts, lines)}, expected finite numbers")
        note = Sentence("spelling", name=name, spelling=spelling) if spelling else ""
        return Column(name, np.array([_or_nan(parsed.get(text)) for text in texts], np.float64), note)
    if not plain:
        return Column(name, np.full(len(texts), np.nan))
    if candidates and (days := dates(candidates)) is not None:
        return Column(name, np.array([_or_nan(days.get(text)) for text in texts], np.float64), Sentence("dates", name=name))
    rows = sum(counts[text] for text in candidates)
    number_rows = rows - sum(counts[text] for text in others)
    if number_rows > rows / 2 and len(candidates) > min(MOST_CLASSES, rows / 2):
        odd = sorted(others, key=texts.index)
        wrong.append(f"column {name!r}: {_places(odd, texts, lines)}, where {number_rows:,} of {rows:,} values are numbers")
    found = np.empty(len(texts), object)
    found[:] = [text if text in plain else None for text in texts]
    return Column(name, found)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _places(odd: Sequence[str], texts: Sequence[str], lines: Sequence[int]) -> str:
    """Return some values with the line of their first occurrence."""
    shown = [f"{_short(text)!r} (line {lines[texts.index(text)]})" for text in odd[:3]]
    return ", ".join(shown) + (f" and {len(odd) - 3:,} more" if len(odd) > 3 else "")


def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def frame_column(name: str, column: Any) -> Column:
    """Return a column of a pandas or polars frame."""
    kind = getattr(column.dtype, "kind", "O")
    if hasattr(column, "isna"):
        missing, values = np.asarray(column.isna(), bool), column
        if kind in "fiub":
            return Column(name, np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), np.float64))
        if kind in "mM":
            epoch = np.asarray(values.to_numpy(), f"{kind}8[us]" if kind == "m" else None)
            return _days(name, epoch.astype("m8[us]" if kind == "m" else "M8[us]"))
        objects = [*values.astype(object)]
    else:
        missing = np.asarray(column.is_null().to_numpy(), bool)
        if column.dtype.is_temporal():
            return _days(name, np.asarray(column.cast(_polars("Datetime")).to_numpy()).astype("M8[us]"))
        objects = column.to_list()
    known = [value for value, lost in zip(objects, missing, strict=True) if not lost]
    if all(isinstance(value, (bool, int, float, np.number, np.bool_)) for value in known):
        return Column(name, np.array([np.nan if lost else float(v) for v, lost in zip(objects, missing, strict=True)], np.float64))
    found = np.empty(len(objects), object)
    found[:] = [None if lost else str(value) for value, lost in zip(objects, missing, strict=True)]
    return Column(name, found)


def has_labels(table: Any) -> bool:
    """Return whether a frame has columns of text or categories."""
    return any(not is_number(column) for _, column in frame_columns(table))


def encoded_frame(table: Any, name: str, missing: str = "error") -> Inputs:
    """Return a frame as a matrix: numbers, truth values and dates as numbers, text and categories one-hot; or raise.

    ``missing`` is as in `read_table`.
    """
    columns = [frame_column(str(label), column) for label, column in frame_columns(table)]
    rows = np.ones(len(table), bool)
    wide = [(column.name, len({*column.values.tolist()})) for column in columns if not column.is_number]
    wide = [(label, count) for label, count in wide if count > MOST_CLASSES]
    if wide:
        said = _listed([f"{label} ({count:,})" for label, count in wide])
        raise ValueError(f"{name}: columns of text with more than {MOST_CLASSES} different values cannot be one-hot encoded: {said}")
    notes: list[str] = []
    return _encoded(columns, _treated(columns, missing, rows, notes, name, None), [], notes)


def _polars(name: str) -> Any:
    import polars

    return getattr(polars, name)


def _days(name: str, values: NDArray[Any]) -> Column:
    days = values.astype("i8") / 86_400e6
    return Column(name, np.where(np.isnat(values), np.nan, days), Sentence("dates", name=name))


class Inputs(NamedTuple):
    """Input columns as a matrix."""

    X: NDArray[np.float64]
    columns: tuple[str, ...]
    filled: NDArray[np.bool_] | None
    """Which numbers of `X` were missing and are means; None if there are none."""
    summary: list[Sentence]
    """What became of the columns."""
    notes: list[str]


def assemble(
    columns: Sequence[Column],
    *,
    missing: str,
    keep: Sequence[str],
    dropped: Sequence[str],
    rows: NDArray[np.bool_],
    where: str,
    lines: Sequence[int] | None,
) -> tuple[Inputs, NDArray[np.bool_]]:
    """Return inputs as a matrix, and which rows are used: those of ``rows`` that are not dropped for missing values."""
    gone = dict.fromkeys(dropped, "")
    notes: list[str] = []
    used = []
    for column in columns:
        reason = "" if column.name in keep else _useless(column, rows)
        if reason:
            gone[column.name] = reason
        else:
            used.append(column)
            if column.note:
                notes.append(column.note)
            if column.is_number and _counts_up(column.values):
                notes.append(Sentence("counts up", name=column.name))
    reasons: dict[str, list[str]] = {}
    for name, reason in gone.items():
        if reason:
            reasons.setdefault(reason, []).append(name)
    notes += [Sentence("dropped", reason=reason, names=_listed(names)) for reason, names in reasons.items()]
    if not used:
        why = "; ".join(f"{_listed(names)}: {reason}" for reason, names in reasons.items())
        raise ValueError(f"{where} has no input column left" + (f" ({why}); keep= (--keep) overrides this" if why else ""))
    rows = _treated(used, missing, rows, notes, where, lines)
    return _encoded(used, rows, [*gone], notes), rows


def _useless(column: Column, rows: NDArray[np.bool_]) -> str:
    """Return why a column is no input, or nothing."""
    values, lost = column.values[rows], column.missing[rows]
    known = values[~lost]
    total = len(known)
    if not total:
        return Sentence("every missing")
    if not lost.any() and bool((known == known[0]).all()):
        return Sentence("single")
    if lost.mean() > 0.5:
        return Sentence("half missing")
    is_named = _UNNAMED.fullmatch(column.name), _ROW_NAMES.fullmatch(column.name), _ID.fullmatch(column.name)
    if column.is_number and not any(is_named):
        return ""
    count = len({*known.tolist()})
    is_distinct = count == total > 2 and (not column.is_number or bool((known % 1 == 0).all()))
    counts_up = not column.is_number or _counts_up(column.values, fewest=3)
    if is_distinct and not lost.any() and (is_named[0] or (is_named[1] and counts_up)):
        return Sentence("row numbers" if column.is_number else "row names")
    if is_distinct and is_named[2]:
        return Sentence("distinct")
    if not column.is_number and count > min(MOST_CLASSES, total / 2):
        return Sentence("long text", n=count) if count < total else Sentence("distinct text")
    return ""


def _counts_up(values: NDArray[Any], fewest: int = 10) -> bool:
    return len(values) >= fewest and values[0] in (0, 1) and bool((np.diff(values) == 1).all())


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(_short, names[:_SHOWN]))
    return shown if len(names) <= _SHOWN else Sentence("and more", names=shown, n=len(names))


def _treated(
    columns: Sequence[Column], missing: str, rows: NDArray[np.bool_], notes: list[str], where: str, lines: Sequence[int] | None
) -> NDArray[np.bool_]:
    """Return which rows remain, and say how missing values are treated."""
    lost = {column.name: int(column.missing[rows].sum()) for column in columns}
    lost = {name: n for name, n in lost.items() if n}
    if not lost:
        return rows
    complete = rows & ~np.logical_or.reduce([column.missing for column in columns])
    before, after = int(rows.sum()), int(complete.sum())
    said = _listed([f"{name} {n:,}" for name, n in sorted(lost.items(), key=lambda pair: -pair[1])])
    remedy = "missing= (--missing) 'drop' leaves out those rows, 'mean' fills them"
    if missing == "error":
        first = "" if lines is None else f", the first in line {lines[int((rows & ~complete).argmax())]}"
        raise ValueError(f"{where}: values are missing in {_number(len(lost), 'column')}{first}: {said}; {remedy}")
    if missing == "mean" or (missing == "auto" and after < _KEPT_BY_DROP * before):
        notes.append(Sentence("filled", said=said))
        return rows
    if after < 2:
        raise ValueError(f"{where}: dropping rows with missing values leaves {after} of {before:,} (missing: {said}); use 'mean'")
    notes.append(Sentence("incomplete", n=before - after, rows=before, said=said))
    return np.asarray(complete)


def copies(columns: Sequence[Column], y: NDArray[np.int64], rows: NDArray[np.bool_]) -> list[str]:
    """Return the columns that have one value for each class and another for each other one."""
    classes = int(y.max()) + 1
    found = []
    for column in columns:
        values = column.values[rows].tolist()
        if len({*values}) == classes and len({*zip(values, y.tolist(), strict=True)}) == classes:
            found.append(column.name)
    return found


def _number(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _encoded(columns: Sequence[Column], rows: NDArray[np.bool_], gone: Sequence[str], notes: list[str]) -> Inputs:
    parts: list[NDArray[np.float64]] = []
    names: list[str] = []
    gaps: dict[int, NDArray[np.bool_]] = {}
    texts = 0
    for column in columns:
        values = column.values[rows]
        if column.is_number:
            lost = np.isnan(values)
            if lost.any():
                gaps[len(parts)] = lost
                values = np.where(lost, values[~lost].mean() if not lost.all() else 0.0, values)
            parts.append(values)
            names.append(column.name)
            continue
        texts += 1
        labels = sorted({value for value in values if value is not None})
        has_missing = any(value is None for value in values)
        shown: list[str | None] = [*labels] if len(labels) != 2 or has_missing else labels[1:]  # one input says which of two
        for label in [*shown, None] if has_missing else shown:
            parts.append(np.array([value == label for value in values], np.float64))
            names.append(f"{column.name}={'missing' if label is None else label}")
    numeric = len(columns) - texts
    said = [Sentence("numeric", n=numeric)] if numeric else []
    if texts:
        said.append(Sentence("text", n=texts, columns=Sentence("zero-one", n=len(names) - numeric)))
    if gone:
        said.append(Sentence("gone", n=len(gone), names=_listed(gone)))
    X = np.column_stack(parts)
    filled = np.zeros(X.shape, bool) if gaps else None
    for i, lost in gaps.items():
        filled[:, i] = lost  # type: ignore[index]
    return Inputs(X, tuple(names), filled, said, notes)
