"""Tell what single fields of a table are: numbers in common spellings, dates, missing values."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable

from ._words import Sentence

MISSING = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "?")  # spellings of missing values, in lower case
MISSING_NUMBERS = (*MISSING, "none", "-", "--", ".", "..", "#value!", "#div/0!", "unknown")  # among numbers only
_POINT = re.compile(r"[+-]?(\d{1,3}([, ]\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?(\d{1,3}([. ']\d{3})+|\d+)?(,\d*)?([eE][+-]?\d+)?")
_SIGNS = re.compile(r"[$€£¥%\u00a0\u202f]|USD|EUR|^\s+")
_DATE = re.compile(
    r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})"  # year, month, day in any order
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*(AM|PM)?\s*(Z|[+-]\d\d:?\d\d)?)?",
    re.IGNORECASE,
)
_YEAR_MONTH = re.compile(r"(\d{4})[-/](\d{1,2})")
_MONTHS = ("%b %d %Y", "%B %d, %Y", "%b %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%y", "%d-%b-%Y", "%b-%y", "%b %Y", "%B %Y")
_EPOCH = datetime.datetime(1970, 1, 1)


def number(text: str) -> float | None:
    """Return a number in the notation of programming languages; None for other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if "_" in text or math.isnan(value) else value


def is_value(text: str) -> bool:
    """Return whether a field is a number in any spelling, or a date: what a column name rarely is."""
    if number(text) is not None or _DATE.fullmatch(text) or _YEAR_MONTH.fullmatch(text):
        return True
    bare = _bare(text)
    return any(c.isdigit() for c in bare) and bool(_POINT.fullmatch(bare) or _COMMA.fullmatch(bare))


def _bare(text: str) -> str:
    """Return a field without percent signs, signs of currency and fixed spaces."""
    return _SIGNS.sub("", text).strip()


def numbers(texts: Iterable[str]) -> tuple[dict[str, float | None], str]:
    """Return the number of each text, None where it is none, and which unusual spelling they have, if any.

    Texts are read together, since only together do they say whether a comma is a decimal comma or separates thousands.
    """
    plain = {text: number(text) for text in texts}
    others = [text for text, value in plain.items() if value is None]
    if not others:
        return plain, ""
    bare = {text: _bare(text) for text in plain}
    decimal_comma = any(_is_decimal_comma(one) for one in bare.values()) and not any(_is_decimal_point(one) for one in bare.values())
    read: Callable[[str], float | None] = _with_comma if decimal_comma else _with_point
    found = {text: read(one) for text, one in bare.items()}
    spelling = "decimal commas" if decimal_comma else "thousands"
    if not any("," in text for text in others):
        spelling = "percent" if any("%" in text for text in others) else "currency"
    return (found, Sentence(spelling)) if sum(v is not None for v in found.values()) > len(plain) - len(others) else (plain, "")


def _is_decimal_comma(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d*([.]\d{3})*,(\d{1,2}|\d{4,})([eE][+-]?\d+)?|[+-]?0,\d+", text))


def _is_decimal_point(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[\d,]*\.(\d{1,2}|\d{4,})([eE][+-]?\d+)?|[+-]?0\.\d+", text))


def _with_point(text: str) -> float | None:
    if not any(c.isdigit() for c in text) or not _POINT.fullmatch(text):
        return None
    return number(re.sub("[, ]", "", text))


def _with_comma(text: str) -> float | None:
    if not any(c.isdigit() for c in text) or not _COMMA.fullmatch(text):
        return None
    return number(re.sub("[. ']", "", text).replace(",", "."))


def dates(texts: Iterable[str]) -> dict[str, float] | None:
    """Return dates as days since 1970-01-01; None if any text is no date."""
    texts = [*texts]
    matches = [_DATE.fullmatch(text) for text in texts]
    if all(matches):
        firsts = [int(m[1]) for m in matches if m]
        order = "ymd" if max(firsts) > 31 or all(m and len(m[1]) == 4 for m in matches) else "dmy" if max(firsts) > 12 else "mdy"
        try:
            return {text: _days(m, order) for text, m in zip(texts, matches, strict=True) if m}
        except ValueError:
            return None
    months = [_YEAR_MONTH.fullmatch(text) for text in texts]
    if all(months) and all(m and 1 <= int(m[2]) <= 12 for m in months):
        firsts_of_month = [datetime.datetime(max(int(m[1]), 1), int(m[2]), 1) for m in months if m]
        return {text: (when - _EPOCH) / datetime.timedelta(days=1) for text, when in zip(texts, firsts_of_month, strict=True)}
    for form in _MONTHS:
        try:
            return {text: (datetime.datetime.strptime(text, form) - _EPOCH) / datetime.timedelta(days=1) for text in texts}
        except ValueError:
            continue
    return None


def _days(m: re.Match[str], order: str) -> float:
    parts = dict(zip(order, (int(m[1]), int(m[3]), int(m[4])), strict=True))
    year = parts["y"] + (0 if parts["y"] >= 100 else 2000 if parts["y"] < 70 else 1900)
    hour, minute, second = (int(m[i] or 0) for i in (5, 6, 7))
    if m[8]:
        hour = hour % 12 + (12 if m[8].upper() == "PM" else 0)
    when = datetime.datetime(year, parts["m"], parts["d"], hour, minute, second)
    return (when - _EPOCH) / datetime.timedelta(days=1)


def is_finite(value: float) -> bool:
    """Return whether a number is neither infinite nor NaN."""
    return math.isfinite(value)
