"""What was understood of a table or of targets, as sentences in English and Vietnamese."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from .._tables import unknown_name

_TEXT = {
    "en": {
        "summary": "target {name!r}: {target}; {inputs}",
        "classes": "{n} classes ({some})",
        "one-hot": "{n} one-hot classes",
        "labels": "{n} labels, any number of them at a time",
        "quantities": "{n} quantities",
        "whole": "a quantity ({n:,} distinct whole numbers)",
        "numbers": "a quantity ({n:,} distinct numbers)",
        "numeric": "{n:,} numeric inputs",
        "numeric 1": "1 numeric input",
        "text": "{n:,} text inputs as {columns}",
        "text 1": "1 text input as {columns}",
        "zero-one": "{n:,} columns of 0 and 1",
        "zero-one 1": "1 column of 0 and 1",
        "gone": "{n:,} columns dropped: {names}",
        "gone 1": "1 column dropped: {names}",
        "and more": "{names}, ... ({n:,} in all)",
        "dropped": "dropped, {reason}: {names}",
        "every missing": "every value is missing",
        "single": "a single value",
        "half missing": "more than half of the values are missing",
        "row numbers": "row numbers",
        "row names": "row names",
        "distinct": "a different value in each row",
        "distinct text": "a different text in each row",
        "long text": "text with {n:,} different values",
        "counts up": "{name!r} numbers the rows; drop it if it is no input",
        "copy": "{name!r} is another name of the target: each class has one value; drop it",
        "filled": "missing values filled by the mean, of text by an input of its own: {said}",
        "incomplete": "{n:,} rows of {rows:,} dropped, values are missing: {said}",
        "incomplete 1": "1 row of {rows:,} dropped, values are missing: {said}",
        "no target": "{n:,} of {rows:,} rows dropped, the target is missing",
        "spelling": "{name!r}: numbers with {spelling}",
        "decimal commas": "decimal commas",
        "thousands": "separators of thousands",
        "percent": "percent signs",
        "currency": "signs of currency or spaces",
        "dates": "{name!r}: dates, as days since 1970-01-01",
        "separator": "fields are separated by {by}",
        "semicolons": "semicolons",
        "tabs": "tabs",
        "bars": "'|'",
        "spaces": "spaces",
        "orange": "lines 2 and 3 hold the kinds of the columns (Orange's format)",
        "arff": "the file is in Weka's format (ARFF)",
        "windows": "line {line} is not UTF-8: the file is read as Windows-1252, a superset of Latin-1",
        "utf-16": "the file is UTF-16",
        "comments": "{n:,} comment lines skipped, the first is line {line}",
        "comments 1": "1 comment line skipped, the first is line {line}",
        "one less": "the first line has one field less than the others: their first field is taken for row names",
        "titles": "{n:,} lines before the table skipped, the first: {first!r}",
        "titles 1": "1 line before the table skipped, the first: {first!r}",
        "same name": "several columns have the same name, later ones get a number: {names}",
        "line": "line {line}: {note}",
        "target in first": "the first line looks like data, but holds the name of the target: it is read as names",
        "names from 0": "the names are the numbers from 0",
        "looks like data": "looks like data ({shown}), so columns are named by position, from 0; header=True (--header) reads names",
    },
    "vi": {
        "summary": "đích {name!r}: {target}; {inputs}",
        "classes": "{n} lớp ({some})",
        "one-hot": "{n} lớp dạng one-hot",
        "labels": "{n} nhãn, có thể đúng nhiều nhãn cùng lúc",
        "quantities": "{n} đại lượng",
        "whole": "một đại lượng ({n:,} số nguyên khác nhau)",
        "numbers": "một đại lượng ({n:,} số khác nhau)",
        "numeric": "{n:,} đầu vào dạng số",
        "text": "{n:,} đầu vào dạng chữ, thành {columns}",
        "zero-one": "{n:,} cột 0 và 1",
        "gone": "bỏ {n:,} cột: {names}",
        "and more": "{names}, ... (tất cả {n:,})",
        "dropped": "đã bỏ, {reason}: {names}",
        "every missing": "thiếu mọi giá trị",
        "single": "chỉ có một giá trị",
        "half missing": "thiếu hơn một nửa số giá trị",
        "row numbers": "số thứ tự dòng",
        "row names": "tên dòng",
        "distinct": "mỗi dòng một giá trị khác nhau",
        "distinct text": "mỗi dòng một đoạn chữ khác nhau",
        "long text": "chữ có {n:,} giá trị khác nhau",
        "counts up": "{name!r} đánh số các dòng; hãy bỏ nếu không phải đầu vào",
        "copy": "{name!r} là tên khác của đích: mỗi lớp có một giá trị riêng; hãy bỏ cột này",
        "filled": "giá trị thiếu được thay bằng trung bình, với chữ bằng một đầu vào riêng: {said}",
        "incomplete": "bỏ {n:,} trong {rows:,} dòng vì thiếu giá trị: {said}",
        "no target": "bỏ {n:,} trong {rows:,} dòng vì thiếu đích",
        "spelling": "{name!r}: số viết với {spelling}",
        "decimal commas": "dấu phẩy thập phân",
        "thousands": "dấu phân cách hàng nghìn",
        "percent": "dấu phần trăm",
        "currency": "ký hiệu tiền tệ hoặc dấu cách",
        "dates": "{name!r}: ngày tháng, tính bằng số ngày từ 1970-01-01",
        "separator": "các trường cách nhau bằng {by}",
        "semicolons": "dấu chấm phẩy",
        "tabs": "dấu tab",
        "bars": "'|'",
        "spaces": "dấu cách",
        "orange": "dòng 2 và 3 ghi loại của các cột (định dạng Orange)",
        "arff": "tệp ở định dạng Weka (ARFF)",
        "windows": "dòng {line} không phải UTF-8: tệp được đọc theo Windows-1252, bao gồm Latin-1",
        "utf-16": "tệp ở dạng UTF-16",
        "comments": "bỏ qua {n:,} dòng chú thích, đầu tiên là dòng {line}",
        "one less": "dòng đầu ít hơn các dòng khác một trường: trường đầu của chúng được xem là tên dòng",
        "titles": "bỏ qua {n:,} dòng trước bảng, dòng đầu: {first!r}",
        "same name": "nhiều cột trùng tên, các cột sau được thêm số: {names}",
        "line": "dòng {line}: {note}",
        "target in first": "dòng đầu giống dữ liệu nhưng có tên của đích: được đọc là tên cột",
        "names from 0": "tên cột là các số từ 0",
        "looks like data": "giống dữ liệu ({shown}), nên các cột được đặt tên theo vị trí, từ 0; header=True (--header) đọc tên cột",
    },
}
"""The sentences by key. A key that ends in " 1" is the singular; Vietnamese has none."""


class Sentence(str):
    """A sentence in English, with its translations.

    Parameters
    ----------
    key : str
        Which sentence.
    **values
        What it is about; sentences among them are translated too, and sequences of them joined by semicolons.
    """

    key: str
    values: dict[str, Any]

    def __new__(cls, key: str, **values: Any) -> Self:
        made = super().__new__(cls, _said(key, values, "en"))
        made.key, made.values = key, values
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (self.key,), self.values

    def in_language(self, lang: str) -> str:
        """Return the sentence in a language, or raise."""
        if lang not in _TEXT:
            raise unknown_name("lang", lang, _TEXT)
        return _said(self.key, self.values, lang)


def _said(key: str, values: Mapping[str, Any], lang: str) -> str:
    texts = _TEXT[lang]
    singular = f"{key} 1"
    text = texts[singular] if values.get("n") == 1 and singular in texts else texts[key]
    return text.format(**{name: _in(value, lang) for name, value in values.items()})


def _in(value: Any, lang: str) -> Any:
    if isinstance(value, Sentence):
        return value.in_language(lang)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(_in(one, lang) for one in value)
    return value


def in_language(sentence: str, lang: str) -> str:
    """Return a sentence in a language; text that is no `Sentence` stays as it is."""
    return sentence.in_language(lang) if isinstance(sentence, Sentence) else sentence
