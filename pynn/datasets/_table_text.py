"""Split the text of a table into lines of fields: compression, encoding, separator, comments, title lines."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import stat
import zlib
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from typing import NamedTuple

from . import _table_bulk
from ._table_columns import Column
from ._table_values import is_value
from ._words import Sentence

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
_PACKED = ((b"\x1f\x8b", gzip.decompress), (b"BZh", bz2.decompress), (b"\xfd7zXZ\x00", lzma.decompress))
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SAMPLE = 200  # the number of lines from which the separator is found
_ORANGE_KINDS = {"continuous", "discrete", "string", "time", "c", "d", "s", "t", "n"}
_NOT_INPUTS = {"meta", "m", "ignore", "i"}
_ORANGE_FLAGS = {"class", "multiple", *_NOT_INPUTS}


class Fields(NamedTuple):
    """A text file as lines of fields, all of the same length."""

    rows: list[list[str]]
    """All rows; only the first ones where `columns` holds the others."""
    lines: list[int]
    """The line number of each row."""
    names: list[str] | None
    """Column names that the format marks as such; None where the first row may hold them."""
    ignored: tuple[str, ...]
    """Columns that the file says are no inputs."""
    notes: list[str]
    columns: list[Column | list[str]] | None = None
    """The columns of the rows after the first, if they were read in bulk."""


def read_bytes(path: str | PathLike[str]) -> bytes:
    """Read a regular file; reading a device or a pipe might never end."""
    with open(path, "rb", opener=_open) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} is not a regular file; expected a table of comma-separated values")
        return file.read()


def _open(path: str, flags: int) -> int:
    """Open a file without blocking if it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_fields(
    path: str | PathLike[str], separator: str | None, encoding: str | None, na: Sequence[str] = (), bulk: bool = True
) -> Fields:
    """Read a text file as lines of fields, or raise an error that names the line.

    With ``bulk``, pandas may read long files, whose rows then have no line numbers.
    """
    notes: list[str] = []
    text = _decoded(path, _unpacked(path, read_bytes(path)), encoding, notes)
    if re.match(r"\s*(%[^\n]*\s+)*@relation\b", text, re.IGNORECASE):
        return _read_arff(path, text, notes)
    if (zero := text.find("\0")) >= 0:
        raise ValueError(f"{path}: zero byte in line {text.count(chr(10), 0, zero) + 1}; it is not a text file")
    text, names_line = _without_comments(text, notes)
    if separator is None:
        separator = _separator(text)
    if separator not in SEPARATORS:
        raise ValueError(f"separator: expected {', '.join(map(repr, SEPARATORS))}, got {separator!r}")
    if bulk and separator != " " and len(text) >= _table_bulk.FEWEST_CHARACTERS and _table_bulk.has_pandas():
        fields = _in_bulk(path, text, separator, na, notes)
        if fields is not None:
            if names_line:
                fields.rows[0][0] = fields.rows[0][0].lstrip("# ")
            return fields
    rows, lines = _split(path, text, separator)
    if '"' in text:
        _check_quotes(path, text, lines)
    if not rows:
        raise ValueError(f"{path} is empty; expected a table with a row per line")
    _say_separator(separator, notes)
    rows, lines = _leveled(path, rows, lines, notes)
    if names_line:
        rows[0][0] = rows[0][0].lstrip("# ")
    rows = _unquoted(rows)
    if separator == "\t" and len(rows) > 3 and _is_orange(rows[1], rows[2]):
        ignored = tuple(n for n, flag in zip(rows[0], rows[2], strict=True) if _NOT_INPUTS & {*flag.lower().split()})
        notes.append(Sentence("orange"))
        return Fields(rows[3:], lines[3:], rows[0], ignored, notes)
    return Fields(rows, lines, None, (), notes)


def _say_separator(separator: str, notes: list[str]) -> None:
    if separator != ",":
        notes.append(Sentence("separator", by=Sentence(SEPARATORS[separator])))


def _in_bulk(path: str | PathLike[str], text: str, separator: str, na: Sequence[str], notes: list[str]) -> Fields | None:
    """Return a file of which pandas reads all rows but the first; None where something about the first rows is out of the ordinary."""
    rows, lines = _split(path, _beginning(text), separator, _SAMPLE)
    is_plain = len(rows) > 3 and len({*map(len, rows)}) == 1 and len(rows[0]) > 1 and not any("\n" in field for field in rows[0])
    if not is_plain or any(field.startswith("'") for row in rows[:2] for field in row) or not all(row[-1] for row in rows):
        return None
    if separator == "\t" and _is_orange(rows[1], rows[2]):
        return None
    columns = _table_bulk.bulk_columns(text, separator, rows[1:], lines[0], na)
    if columns is None:
        return None
    _say_separator(separator, notes)
    return Fields(rows, lines, None, (), notes, columns)


def _is_orange(kinds: list[str], flags: list[str]) -> bool:
    """Return whether two lines are kinds of columns and their roles, as in the files of Orange."""
    given = {word for flag in flags for word in flag.lower().split() if "=" not in word}
    known = sum(kind.lower() in _ORANGE_KINDS for kind in kinds)
    return bool(known) and known >= sum(map(bool, kinds)) / 2 and given <= _ORANGE_FLAGS


def _unquoted(rows: list[list[str]]) -> list[list[str]]:
    """Remove single quotes around fields, from all columns of which every field, or every one but the name, has them."""
    if not any(field.startswith("'") for row in rows[:2] for field in row):
        return rows
    columns = [[*column] for column in zip(*rows, strict=True)]
    for column in columns:
        body = [field for field in column[1:] if field and field != "?"]
        if body and all(map(_is_quoted, body)):
            column[1:] = [field[1:-1] if _is_quoted(field) else field for field in column[1:]]
    first = [column[0] for column in columns]
    if all(map(_is_quoted, filter(None, first))) or not any(field.startswith("'") for column in columns for field in column[1:]):
        for column in columns:
            column[0] = column[0][1:-1] if _is_quoted(column[0]) else column[0]
    return [[*row] for row in zip(*columns, strict=True)]


def _is_quoted(field: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == "'"


def _unpacked(path: str | PathLike[str], raw: bytes) -> bytes:
    for mark, unpack in _PACKED:
        if raw.startswith(mark):
            try:
                return unpack(raw)
            except (EOFError, OSError, ValueError, lzma.LZMAError, zlib.error) as error:
                raise ValueError(f"{path} is damaged: {error}") from None
    return raw


def _decoded(path: str | PathLike[str], raw: bytes, encoding: str | None, notes: list[str]) -> str:
    """Decode a file: as given, by its byte-order mark, else UTF-8, else Latin-1."""
    if raw.startswith((b"PK\x03\x04", b"PAR1", b"\x89HDF", b"\xd0\xcf\x11\xe0")):
        raise ValueError(f"{path} is not a text file; read it with pandas, and save it as CSV")
    if encoding is None:
        encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None) or _utf16(raw)
        if encoding is None:
            try:
                return raw.decode("utf-8")
            except UnicodeDecodeError as error:
                line = raw.count(b"\n", 0, error.start) + 1
                notes.append(Sentence("windows", line=line))
                return "".join(_WINDOWS.get(c, c) for c in raw.decode("latin-1"))
        if encoding == "utf-16":
            notes.append(Sentence("utf-16"))
    try:
        return raw.decode(encoding)
    except LookupError:
        raise ValueError(f"encoding: {encoding!r} is unknown; expected a name such as 'utf-8', 'latin-1' or 'utf-16'") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: not {encoding} text (byte 0x{raw[error.start]:02x})") from None


_WINDOWS = {chr(i): bytes([i]).decode("cp1252", "ignore") or chr(i) for i in range(0x80, 0xA0)}


def _utf16(raw: bytes) -> str | None:
    """Return the name of UTF-16 without a mark, where every second byte of the beginning is 0."""
    start = raw[:200]
    if len(start) < 4 or len(raw) % 2:
        return None
    return "utf-16-le" if not any(start[1::2]) else "utf-16-be" if not any(start[::2]) else None


def _without_comments(text: str, notes: list[str]) -> tuple[str, bool]:
    """Blank out lines that begin with '#', which keeps line numbers; also return whether such a line holds the names."""
    text = text.removeprefix("\ufeff")
    if "#" not in text or not re.search(r"^[ \t]*#", text, re.MULTILINE):
        return text, False
    lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)
    content = [i for i, line in enumerate(lines) if line.strip()]
    starts = [i for i in content if lines[i].lstrip().startswith("#")]
    plain = [i for i in content if not lines[i].lstrip().startswith("#")]
    names = -1
    if plain and starts and starts[0] == content[0] and [i for i in starts if i < plain[0]]:
        last = max(i for i in starts if i < plain[0])
        counts = [[lines[i].count(c) for c in ",;\t|"] for i in (last, plain[0])]
        if counts[0] == counts[1] and any(counts[0]):
            names = last  # a comment with as many separators as the data: the column names
    skipped = [i for i in starts if i != names and _is_comment(lines, i)]
    if skipped:
        notes.append(Sentence("comments", n=len(skipped), line=skipped[0] + 1))
    for i in skipped:
        lines[i] = "\n"
    return "".join(lines), names >= 0


def _is_comment(lines: list[str], i: int) -> bool:
    """Return whether a line that begins with '#' is none of a quoted field."""
    return sum(line.count('"') for line in lines[:i]) % 2 == 0


def _count(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _beginning(text: str) -> str:
    """Return the whole lines of the first million characters."""
    return text if len(text) <= 1 << 20 else text[: text.rfind("\n", 0, 1 << 20) + 1] or text


def _separator(text: str) -> str:
    """Return the separator that cuts the first lines into rows of one length, most of whose fields are numbers."""
    sample = "".join(_beginning(text).splitlines(keepends=True)[:_SAMPLE])
    best, score = ",", (False, 0.0, 0)
    for separator in SEPARATORS:
        try:
            rows, _ = _split("", sample, separator)
        except ValueError:
            continue
        if not rows:
            continue
        (width, times), *_ = Counter(map(len, rows)).most_common(1)
        fields = [field for row in rows for field in row]
        found = (width > 1 and times >= 0.8 * len(rows), round(sum(map(is_value, fields)) / len(fields), 1), width)
        if separator == " " and score[0] and found[1] <= score[1]:
            continue  # spaces may stand within fields of other separators
        if found > score:
            best, score = separator, found
    return best


def _split(path: str | PathLike[str], text: str, separator: str, most: int | None = None) -> tuple[list[list[str]], list[int]]:
    """Return the fields and line numbers of all lines that are not blank, or of the first ``most`` ones."""
    if separator == " ":
        if (wide := _wide_columns(text)) is not None:
            return wide
        text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    rows, lines = [], []
    end = 0
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if any(fields):
                rows.append(fields)
                lines.append(end + 1 if reader.line_num > end + 1 else reader.line_num)
            end = reader.line_num
            if len(rows) == most:
                break
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    return rows, lines


def _check_quotes(path: str | PathLike[str], text: str, lines: list[int]) -> None:
    """Raise if the last row has a quote that is not closed, and so has taken in the rest of the file."""
    last = io.StringIO(text, newline="").readlines()[lines[-1] - 1 :] if lines else []
    try:
        for _ in csv.reader(last, strict=True):
            pass
    except csv.Error as error:
        if "end of data" in str(error):
            raise ValueError(f"{path}, line {lines[-1]}: a quote is opened and not closed") from None


def _wide_columns(text: str) -> tuple[list[list[str]], list[int]] | None:
    """Return rows whose fields are two or more spaces apart, where single spaces stand within fields; None if there are none."""
    plain = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len({len(line.split()) for _, line in plain}) < 2 or '"' in text:
        return None
    rows = [re.split(r"\s{2,}|\t", line) for _, line in plain]
    widths = {*map(len, rows)}
    return (rows, [i for i, _ in plain]) if len(widths) == 1 and widths != {1} else None


def _leveled(
    path: str | PathLike[str], rows: list[list[str]], lines: list[int], notes: list[str]
) -> tuple[list[list[str]], list[int]]:
    """Bring all rows to one length: trailing separators, names without one for row names, title lines; else raise."""
    widths = [*map(len, rows)]
    (width, _), *_ = Counter(widths[1:] or widths).most_common(1)
    if widths[0] == width - 1 and len(rows) > 1:
        is_trailing = all(not row[-1] for row in rows[1:] if len(row) == width)
        rows[0] = [*rows[0], ""] if is_trailing else ["", *rows[0]]
        if not is_trailing:
            notes.append(Sentence("one less"))
    start = 0
    while start < len(rows) and len(rows[start]) < width and start < 20:
        start += 1
    if start == len(rows) or width == 1:
        start = 0
    if start:
        notes.append(Sentence("titles", n=start, first=_shortened(" ".join(rows[0]))))
        rows, lines = rows[start:], lines[start:]
    for row in rows:
        while len(row) > width and not row[-1]:
            del row[-1]
    wrong = [(line, len(row)) for line, row in zip(lines, rows, strict=True) if len(row) != width]
    if wrong:
        named = "; ".join(f"line {line}: {_count(n, 'field')}" for line, n in wrong[:5])
        more = f"; and {len(wrong) - 5:,} more lines" if len(wrong) > 5 else ""
        raise ValueError(f"{path}, {named}{more}, where the other lines have {width}")
    return rows, lines


def _shortened(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _read_arff(path: str | PathLike[str], text: str, notes: list[str]) -> Fields:
    """Read Weka's format: attributes with names, then rows."""
    names, lines = [], text.splitlines()
    start = len(lines)
    for i, line in enumerate(lines, 1):
        if found := re.match(r"\s*@attribute\s+('[^']*'|\"[^\"]*\"|\S+)", line, re.IGNORECASE):
            names.append(found[1].strip("'\""))
        if re.match(r"\s*@data\b", line, re.IGNORECASE):
            start = i
            break
    body = "\n" * start + "\n".join("" if line.lstrip().startswith("%") else line for line in lines[start:])
    rows, numbers = _split(path, body, ",")
    for number, row in zip(numbers, rows, strict=True):
        if len(row) != len(names):
            raise ValueError(f"{path}, line {number}: {_count(len(row), 'field')} where the file has {len(names)} attributes")
    notes.append(Sentence("arff"))
    return Fields([[field.strip("'") for field in row] for row in rows], numbers, names, (), notes)
