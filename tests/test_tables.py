"""Reading tables as they are found: read_table, and the command line that uses it."""

import bz2
import copy
import gzip
import lzma
import pickle
import re
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn.__main__ import main
from pynn.datasets import Table, _table_bulk, read_csv, read_table
from pynn.datasets._words import _TEXT

ROWS = ["5.1,3.5,1,no", "4.9,3.0,2,yes", "6.2,2.8,3,yes", "5.9,3.1,2,no", "6.7,2.5,1,yes", "5.5,2.4,4,no"]
PLAIN = "\n".join(["length,width,count,kind", *ROWS]) + "\n"
X = [[float(field) for field in row.split(",")[:3]] for row in ROWS]
Y = [0, 1, 1, 0, 1, 0]


def file(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def check(table: Table) -> None:
    """Check that a table holds X and Y."""
    assert table.X.tolist() == X
    assert table.y.tolist() == Y
    assert table.classes == ("no", "yes")
    assert table.task == "classes"


def lines(header: str, rows: list[str], end: str = "\n") -> str:
    return end.join([header, *rows]) + end


# ---- spellings of one table --------------------------------------------------------------------------------------------
SPACED = "\n".join("  " + "   ".join(row.split(",")) for row in ["length,width,count,kind", *ROWS])
DECIMAL_COMMAS = PLAIN.replace(",", ";").replace(".", ",")
SPELLINGS: dict[str, Any] = {
    "plain": PLAIN,
    "byte-order mark": "\ufeff" + PLAIN,
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "CR": PLAIN.replace("\n", "\r"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "spaces": SPACED,
    "comma and space": PLAIN.replace(",", ", "),
    "decimal commas": DECIMAL_COMMAS,
    "decimal commas, tabs": PLAIN.replace(",", "\t").replace(".", ","),
    "decimal commas, spaces": PLAIN.replace(",", " ").replace(".", ","),
    "quoted": "\n".join(",".join(f'"{field}"' for field in row.split(",")) for row in PLAIN.splitlines()),
    "single quotes": "\n".join(",".join(f"'{field}'" for field in row.split(",")) for row in PLAIN.splitlines()),
    "trailing separators": PLAIN.replace("\n", ",\n"),
    "trailing separators without a name": lines("length,width,count,kind", [row + "," for row in ROWS]),
    "comments": "# made up\n" + PLAIN.replace("6.2", "# more\n6.2"),
    "a header in a comment": "#" + PLAIN,
    "blank lines": "\n\n" + PLAIN.replace("\n", "\n\n"),
    "title lines": "A table of flowers\nSource,none\n" + PLAIN,
    "gzip": gzip.compress(PLAIN.encode(), mtime=0),
    "bzip2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "row names without a name": lines("length,width,count,kind", [f"r{i},{row}" for i, row in enumerate(ROWS)]),
    "unnamed row numbers": lines(",length,width,count,kind", [f"{i},{row}" for i, row in enumerate(ROWS)]),
    "an id column": lines("id,length,width,count,kind", [f"{i * 7 + 3},{row}" for i, row in enumerate(ROWS)]),
    "one value": lines("unit,length,width,count,kind", [f"cm,{row}" for row in ROWS]),
    "an empty column": lines("note,length,width,count,kind", [f",{row}" for row in ROWS]),
    "many texts": lines("name,length,width,count,kind", [f"flower {i},{row}" for i, row in enumerate(ROWS)]),
    "ARFF": "% made up\n@RELATION flowers\n"
    + "".join(f"@attribute {name} numeric\n" for name in ("length", "width", "count"))
    + "@attribute kind {no,yes}\n@data\n"
    + "\n".join(ROWS),
    "Orange": lines("length\twidth\tcount\tkind", ["c\tc\tcontinuous\td", "\t\t\tclass", *(row.replace(",", "\t") for row in ROWS)]),
}


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_a_table_give_the_same_arrays(tmp_path: Path, spelling: str, bulk: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if bulk:
        pytest.importorskip("pandas")
        monkeypatch.setattr(_table_bulk, "FEWEST_CHARACTERS", 0)
    table = read_table(file(tmp_path, SPELLINGS[spelling]), "kind")
    check(table)
    assert table.columns == ("length", "width", "count")
    assert table.summary.startswith("target 'kind': 2 classes (no 3, yes 3); 3 numeric inputs")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("header", [True, False])
def test_separator_and_header_are_found_or_given(tmp_path: Path, separator: str, header: bool) -> None:
    text = (PLAIN if header else PLAIN.partition("\n")[2]).replace(",", separator)
    path = file(tmp_path, text)
    for options in ({}, {"separator": separator, "header": header}):
        table = read_table(path, "Kind" if header else -1, **options)  # type: ignore[arg-type]
        check(table)
        assert table.columns == (("length", "width", "count") if header else ("0", "1", "2"))
        said = [note for note in table.notes if "looks like data (5.1, 3.5, 1, no)" in note]
        assert len(said) == (not header and not options)


def test_numeric_results_are_those_of_the_strict_reader(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [",".join([*map(repr, row), str(i % 3)]) for i, row in enumerate(rng.normal(size=(40, 5)).tolist())]
    path = file(tmp_path, lines("a,b,c,d,e,t", rows))
    strict, found = read_csv(path, "t"), read_table(path, "t")
    assert strict.X.tobytes() == found.X.tobytes()
    assert strict.y.tobytes() == found.y.tobytes()
    assert strict[2:5] == found[2:5]


def long_table(rows: int = 600) -> list[str]:
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(rows, 3)) * 10.0 ** rng.integers(-300, 300, size=(rows, 3))
    ends = [f"{('x', ' y ', '-')[i % 3]},{i * 2**53 + 1},{'NA' if i % 50 == 3 else i % 7},{i % 2}" for i in range(rows)]
    return [",".join([*map(repr, row), end]) for row, end in zip(numbers.tolist(), ends, strict=True)]


@pytest.mark.parametrize("header", ["a,b,c,text,large,few,t\n", ""])
def test_pandas_reads_long_files_to_the_same_bits(tmp_path: Path, header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    path = file(tmp_path, header + "\n".join(long_table()))
    plain = read_table(path, -1)
    monkeypatch.setattr(_table_bulk, "FEWEST_CHARACTERS", 0)
    used = []
    bulk_columns = _table_bulk.bulk_columns
    monkeypatch.setattr(_table_bulk, "bulk_columns", lambda *given: used.append(bulk_columns(*given)) or used[-1])  # type: ignore[func-returns-value]
    bulk = read_table(path, -1)
    assert used[0] is not None
    assert bulk.X.tobytes() == plain.X.tobytes()
    assert bulk.y.tobytes() == plain.y.tobytes()
    assert bulk[2:] == plain[2:]


def test_errors_of_long_files_name_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_table_bulk, "FEWEST_CHARACTERS", 0)
    rows = long_table()
    for at, row, says in ((500, "1,2", "line 502: 2 fields"), (400, "1,oops,3,x,5,6,0", r"'b': 'oops' \(line 402\)")):
        path = file(tmp_path, lines("a,b,c,text,large,few,t", [*rows[:at], row, *rows[at + 1 :]]))
        with pytest.raises(ValueError, match=says):
            read_table(path, "t")
    with pytest.raises(ValueError, match="the first in line 5: few 12"):
        read_table(file(tmp_path, lines("a,b,c,text,large,few,t", rows)), "t", missing="error")


# ---- kinds of columns --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "values", "note"),
    [
        (["12%", "7 %", "-3.5%"], [12, 7, -3.5], "numbers with percent signs"),
        (['"1,234"', '"12,345,678.5"', "7"], [1234, 12345678.5, 7], "numbers with separators of thousands"),
        (['"1.234,5"', '"7,25"', "3"], [1234.5, 7.25, 3], "numbers with decimal commas"),
        (["$1", "$20", "$3.5"], [1, 20, 3.5], "signs of currency"),
        (["1e3", "-.5", "+2."], [1000, -0.5, 2], ""),
        (["1970-01-02", "1971-01-01", "1969-12-31"], [1, 365, -1], "dates, as days since 1970-01-01"),
        (["02/01/1970", "31/12/1969", "03/01/1970"], [1, -1, 2], "dates"),
        (["1/2/70", "1/3/70", "1/4/70"], [1, 2, 3], "dates"),
        (["1970-01-02 12:00:00", "1970-01-01T06:00", "1970-01-01"], [1.5, 0.25, 0], "dates"),
        (["1970-02", "1970-01", "1971-01"], [31, 0, 365], "dates"),
        (["Jan 2 1970", "Feb 1 1970", "Jan 1 1970"], [1, 31, 0], "dates"),
    ],
)
def test_numbers_and_dates_in_other_spellings(tmp_path: Path, fields: list[str], values: list[float], note: str) -> None:
    table = read_table(file(tmp_path, lines("a,t", [f"{field},{i % 3}.5" for i, field in enumerate(2 * fields)])), "t")
    assert table.X[:, 0].tolist() == 2 * values
    assert table.task == "quantity"
    assert any(note in one for one in table.notes) or not note


@pytest.mark.parametrize("mark", ["", "NA", "N/A", "nan", "?", "null", "-", "--", ".", "None", "unknown"])
def test_missing_values_among_numbers(tmp_path: Path, mark: str) -> None:
    path = file(tmp_path, lines("a,b,t", [f"{mark if i == 4 else i / 4},{i},{i % 2}" for i in range(10)]))
    dropped, filled = read_table(path, "t"), read_table(path, "t", missing="mean")
    assert dropped.X[:, 1].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert len(dropped.y) == 9
    assert "1 row of 10 dropped, values are missing: a 1" in dropped.notes
    assert filled.X[4, 0] == pytest.approx(np.mean([i / 4 for i in range(10) if i != 4]))
    assert len(filled.y) == 10
    assert any(note.startswith("missing values filled by the mean") for note in filled.notes)
    with pytest.raises(ValueError, match=r"data\.csv: values are missing in 1 column, the first in line 6: a 1; missing= "):
        read_table(path, "t", missing="error")


def test_many_missing_values_are_filled_and_most_drop_the_column(tmp_path: Path) -> None:
    rows = [f"{'' if i % 3 == 0 else i},{'' if i % 3 else 2.5 * i},{'' if i == 1 else 'ab'[i % 2]},{i % 2}" for i in range(12)]
    table = read_table(file(tmp_path, lines("a,b,c,t", rows)), "t")
    assert table.columns == ("a", "c=a", "c=b", "c=missing")
    assert len(table.y) == 12
    assert table.X[1].tolist() == [1, 0, 0, 1]
    assert "dropped, more than half of the values are missing: b" in table.notes
    assert any("filled by the mean, of text by an input of its own: a 4, c 1" in note for note in table.notes)


def test_rows_without_a_target_are_dropped(tmp_path: Path) -> None:
    path = file(tmp_path, lines("a,t", ["1,x", "2,?", "3,y", "4,x", "5,y"]))
    table = read_table(path, "t", missing="mean")
    assert table.X[:, 0].tolist() == [1, 3, 4, 5]
    assert "1 of 5 rows dropped, the target is missing" in table.notes
    with pytest.raises(ValueError, match=r"the target 't' is missing in 1 rows, the first in line 3"):
        read_table(path, "t", missing="error")


def test_text_and_truth_values_are_one_hot(tmp_path: Path) -> None:
    rows = [f"{('red', 'blue', 'green')[i % 3]},{('True', 'False')[i % 2]},{'+-'[i % 2]},{i % 2}.5" for i in range(12)]
    table = read_table(file(tmp_path, lines("colour,on,sign,t", rows)), "t")
    assert table.columns == ("colour=blue", "colour=green", "colour=red", "on=True", "sign=-")
    assert table.X[0].tolist() == [0, 0, 1, 1, 0]
    assert table.X[1].tolist() == [1, 0, 0, 0, 1]
    assert "3 text inputs as 5 columns of 0 and 1" in table.summary


def test_text_with_many_values_is_left_out(tmp_path: Path) -> None:
    rows = [f"word {i % 60},{i % 50},text {i % 50},{i % 2}" for i in range(200)]
    table = read_table(file(tmp_path, lines("many,n,few,t", rows)), "t")
    assert "many" not in {name.split("=")[0] for name in table.columns}
    assert len(table.columns) == 51
    assert "dropped, text with 60 different values: many" in table.notes
    assert read_table(file(tmp_path, lines("many,n,t", [f"w{i},{i % 7},{i % 2}" for i in range(20)])), "t", keep="MANY").X.shape == (20, 21)


def test_quoted_newlines_keep_line_numbers(tmp_path: Path) -> None:
    rows = [f'"{"two" if i % 2 else "one"}\nlines",{i},{i % 2}.5' for i in range(60)]
    table = read_table(file(tmp_path, lines("text,n,t", rows)), "t", keep="n")
    assert table.columns == ("text=two\nlines", "n")
    rows[40] = rows[40].replace(",40,", ",forty,")
    rows += [f"one,{i},2.5" for i in range(60, 120)]
    with pytest.raises(ValueError, match=r"column 'n': 'forty' \(line 82\), where 119 of 120 values are numbers"):
        read_table(file(tmp_path, lines("text,n,t", rows)), "t")


def test_columns_that_determine_classes_are_reported(tmp_path: Path) -> None:
    rows = [f"{i / 7},{'dead' if i % 2 else 'alive'},{i % 2}" for i in range(8)]
    table = read_table(file(tmp_path, lines("a,fate,survived", rows)), "survived")
    assert any(note.startswith("'fate' is another name of the target") for note in table.notes)


def test_row_numbers_and_ids(tmp_path: Path) -> None:
    rows = [f"{i + 1},{1000 - 3 * i},c{i},{i},{i * i},{i % 2}" for i in range(12)]
    path = file(tmp_path, lines(",customerID,user_id,day,squid,t", rows))
    table = read_table(path, "t")
    assert table.columns == ("day", "squid")
    assert table.summary.endswith("2 numeric inputs; 3 columns dropped: Unnamed: 0, customerID, user_id")
    assert "'day' numbers the rows; drop it if it is no input" in table.notes
    assert read_table(path, "t", keep=["customerid"], drop=["DAY"]).columns == ("customerID", "squid")


def test_a_column_of_the_same_name_gets_a_number(tmp_path: Path) -> None:
    table = read_table(file(tmp_path, lines("a,a,a.1,t", [f"{i * i},{i},{-i},{i % 2}.5" for i in range(6)])), "t", keep="a")
    assert table.columns == ("a", "a.2", "a.1")
    assert any("same name" in note for note in table.notes)
    with pytest.raises(ValueError, match="more than one column named 'a'; give its position"):
        read_table(file(tmp_path, PLAIN.replace("length,width", "a,a")), "a")


# ---- header ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ("1,2,3\n4,5,6.5\n7,8,9\n", ("0", "1"), 3),
        ("0,1,2\n4,5,6.5\n7,8,9\n", ("0", "1"), 2),
        ("1990,1991,t\n4,5,6.5\n7,8,9\n", ("1990", "1991"), 2),
        ("?,1,2.5\n4,5,6.5\n7,8,9\n3,2,1\n2,2,2\n", ("0", "1"), 4),
        ("x,y,a\n" + 8 * "x,z,a\nw,y,b\nx,y,a\n", ("0=x", "1=z"), 25),
        ("k,l,m\n" + 8 * "x,z,a\nw,y,b\nx,y,a\n", ("k=x", "l=z"), 24),
        ("2020-01-01,3\n2020-01-02,4\n2020-01-03,7.5\n", ("0",), 3),
    ],
)
def test_the_first_line_is_names_or_data(tmp_path: Path, text: str, names: tuple[str, ...], rows: int) -> None:
    table = read_table(file(tmp_path, text), -1)
    assert table.columns == names
    assert len(table.y) == rows


def test_the_position_of_the_target_loses_no_row(tmp_path: Path) -> None:
    path = file(tmp_path, "\n".join(f"{i % 2},{i * 0.5},{i * i}" for i in range(8)))
    for target in ("0", 0, -3, "-3"):
        table = read_table(path, target)
        assert table.y.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
        assert any("looks like data (0, 0.0, 0)" in note for note in table.notes)


def test_a_header_that_looks_like_data_is_taken_for_the_name_of_the_target(tmp_path: Path) -> None:
    table = read_table(file(tmp_path, "10,20,kind\n" + 2 * "3,4,no\n5,6,yes\n"), "kind")
    assert table.columns == ("10", "20")
    assert any("holds the name of the target" in note for note in table.notes)


# ---- target ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("labels", "task", "y", "classes"),
    [
        ("1.0 2.0 2.0 1.0", "auto", [0, 1, 1, 0], ("1", "2")),
        ("10 9 9 10", "auto", [1, 0, 0, 1], ("9", "10")),
        ("+ - - +", "auto", [0, 1, 1, 0], ("+", "-")),
        ("7 x x 7", "auto", [0, 1, 1, 0], ("7", "x")),
        ("1 2 3 4", "auto", [1, 2, 3, 4], None),
        ("1 2 2 1", "quantity", [1, 2, 2, 1], None),
        ("1 2 2 1", "regression", [1, 2, 2, 1], None),
        ("0.5 1.5 1.5 0.5", "auto", [0.5, 1.5, 1.5, 0.5], None),
        ("0.5 1.5 1.5 0.5", "classification", [0, 1, 1, 0], ("0.5", "1.5")),
        ("1% 2% 2% 1%", "quantity", [1, 2, 2, 1], None),
    ],
)
def test_targets(tmp_path: Path, labels: str, task: str, y: list[float], classes: tuple[str, ...] | None) -> None:
    table = read_table(file(tmp_path, lines("a,t", [f"{i * i}.5,{label}" for i, label in enumerate(labels.split())])), "t", task=task)
    assert table.y.tolist() == y
    assert table.classes == classes
    assert table.y.dtype == (np.float64 if classes is None else np.int64)


def test_arrays_and_tables_have_the_same_rule(tmp_path: Path) -> None:
    prices = 100 + np.arange(400) % 365
    path = file(tmp_path, lines("a,t", [f"{p / 7},{p}" for p in prices.tolist()]))
    small: dict[str, Any] = {"activations": ["relu"], "epochs": 1, "seeds": 1, "tune": None, "hidden": 4, "verbose": False}
    a = np.sin(prices)[:, None]
    assert read_table(path, "t").task == "quantity"
    assert pynn.lab.compare(a, prices, **small).metric == "R2"
    assert pynn.lab.compare(a, prices % 3, **small, task="regression").metric == "R2"
    assert pynn.lab.compare(a, prices % 3, **small).metric == "accuracy"
    with pytest.raises(ValueError, match="unknown task 'regresion'; did you mean 'regression'"):
        pynn.lab.compare(a, prices, **small, task="regresion")


# ---- errors ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ("", {}, "data.csv is empty"),
        (" \n\n", {}, "data.csv is empty"),
        ("a,t\n", {}, "data.csv has a header but no rows"),
        ("a,t\n1,2\n3\n4,5\n6,7,8\n9,9\n", {}, "line 3: 1 field; line 5: 3 fields, where the other lines have 2"),
        (PLAIN, {"target": "kin"}, "no column 'kin'; did you mean 'kind'"),
        (PLAIN, {"target": 4}, "no column 4; its columns are length, width, count, kind"),
        (PLAIN, {"drop": ["widht", "x", "count"]}, "no column 'widht', 'x'; did you mean 'width'"),
        (PLAIN, {"drop": "kind"}, "drop: 'kind' is the target"),
        (PLAIN, {"drop": ["length", "width", "count"]}, "has no input column left"),
        (PLAIN, {"task": "quantity"}, "task 'quantity' needs numbers, but the target 'kind' holds 'no' (line 2)"),
        (PLAIN, {"task": "class"}, "unknown task 'class'"),
        (PLAIN, {"task": "multilabel"}, "'multilabel' needs several target columns"),
        (PLAIN, {"missing": "men"}, "unknown missing 'men'; did you mean 'mean'"),
        (PLAIN, {"separator": "x"}, "separator: expected ',', ';'"),
        (PLAIN, {"encoding": "utf-99"}, "encoding: 'utf-99' is unknown"),
        (b"a,t\n1,2\n\xff,3\n", {"encoding": "utf-8"}, "line 3: not utf-8 text (byte 0xff)"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:30], {}, "data.csv is damaged"),
        (b"PAR1rest", {}, "is not a text file"),
        (b"a,t\n\x00,\x00\n1,2,\x00", {}, "data.csv: zero byte in line 2"),
        ("a,t\n1,x\n2,x\n", {}, "every row has the target 't' = 'x', so there is nothing to predict"),
        ("a,t\n1,\n2,NA\n", {}, "every value of the target 't' is missing"),
        ("a,t\n1,p\n2,q\n3,r\n4,s\n", {}, "the target 't' has 4 different values in 4 rows"),
        ("a,b,t\n1,,2\n,2,3.5\n", {"missing": "drop"}, "dropping rows with missing values leaves 0 of 2"),
        ("a,t\ninf,1.5\n1,2.5\n2,3.5\n", {}, "column 'a': 'inf' (line 2), expected finite numbers"),
        ('a,t\n"1,2\n3,4\n', {}, "line 2: a quote is opened and not closed"),
    ],
)
def test_errors_name_the_place_and_the_defect(tmp_path: Path, content: str | bytes, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        read_table(file(tmp_path, content), **{"target": "t" if "kind" not in str(content) else "kind", **options})


def test_all_columns_with_errors_are_named(tmp_path: Path) -> None:
    rows = [f"{'abc' if i == 3 else i},{i * 2},{'x' if i > 4 and i < 10 else i / 8},{i % 2}" for i in range(30)]
    path = file(tmp_path, lines("one,two,three,t", rows))
    with pytest.raises(ValueError, match="numbers") as caught:
        read_table(path, "t")
    said = str(caught.value)
    assert "column 'one': 'abc' (line 5), where 29 of 30 values are numbers; column 'three': 'x' (line 7)" in said
    assert "na= (--na TEXT)" in said
    assert len(read_table(path, "t", na=["abc", "X"]).y) == 24
    assert read_table(path, "t", drop=["one", "three"]).columns == ("two",)


def test_latin_1_is_read_and_reported(tmp_path: Path) -> None:
    table = read_table(file(tmp_path, "größe,art\n1,süß\n2,roh\n3,süß\n5,roh\n".encode("latin-1")), "art")
    assert table.columns == ("größe",)
    assert table.classes == ("roh", "süß")
    assert any("line 1 is not UTF-8" in note for note in table.notes)


def test_ten_rows_and_fewer_are_read(tmp_path: Path) -> None:
    for rows in range(2, 10):
        table = read_table(file(tmp_path, lines("a,t", [f"{i * i},{i}.5" for i in range(rows)])), "t")
        assert table.X.shape == (rows, 1)


# ---- frames ------------------------------------------------------------------------------------------------------------
def test_frames_are_read_as_files() -> None:
    pandas = pytest.importorskip("pandas")
    n = 12
    frame = pandas.DataFrame(
        {
            "id": np.arange(n) * 3 + 7,
            "a": np.arange(n, dtype=np.float32) ** 2,
            "flag": np.arange(n) % 2 == 0,
            "nullable": pandas.array([None, *range(1, n)], dtype="Int64"),
            "maybe": pandas.array([True, False] * (n // 2), dtype="boolean"),
            "size": pandas.Categorical(["S", "M", "L"] * (n // 3), ["S", "M", "L", "XL"]),
            "word": ["u", "v"] * (n // 2),
            "when": pandas.date_range("1970-01-01", periods=n, freq="D"),
            "t": pandas.Categorical(["no", "no", "yes"] * (n // 3)),
        }
    )
    table = read_table(frame, "T", missing="mean")
    assert table.columns == ("a", "flag", "nullable", "maybe", "size=L", "size=M", "size=S", "word=v", "when")
    assert table.X[1].tolist() == [1, 0, 1, 0, 0, 1, 0, 1, 1]
    assert table.X[0, 2] == pytest.approx(6)
    assert table.classes == ("no", "yes")
    assert "1 column dropped: id" in table.summary
    polars = pytest.importorskip("polars")
    plain = {name: [None if lost else value for value, lost in zip(frame[name], frame[name].isna(), strict=True)] for name in frame.columns}
    plain["when"] = [value.to_pydatetime() for value in plain["when"]]
    again = read_table(polars.DataFrame(plain), "t", missing="mean")
    assert again.X.tolist() == table.X.tolist()


def test_formats_of_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "data.json"
    pandas.read_csv(file(tmp_path, PLAIN)).to_json(path, orient="records")
    check(read_table(path, "kind"))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json: pandas\.read_json cannot read it"):
        read_table(tmp_path / "bad.json", "kind")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"data\.json: this format needs pandas: pip install 'pynn-c\[data\]'"):
        read_table(path, "kind")
    check(read_table(tmp_path / "data.csv", "kind"))


def test_compare_takes_frames_of_any_kind() -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    sex = rng.choice(["male", "female"], 120)
    frame = pandas.DataFrame({"age": rng.normal(size=120), "sex": sex, "class": pandas.Categorical(rng.choice(["1st", "2nd", "3rd"], 120))})
    frame["known"] = pandas.array(rng.choice([True, False], 120), dtype="boolean")
    y = pandas.Series(np.where(sex == "male", "no", "yes"))
    small: dict[str, Any] = {"epochs": 40, "seeds": 1, "tune": None, "lr": 0.02, "hidden": 8, "verbose": False}
    report = pynn.lab.compare(frame, y, activations=["relu"], **small)
    assert "6-8-2" in report.text()
    assert report["relu"].score > 0.9
    frame.loc[3, "age"] = np.nan
    with pytest.raises(ValueError, match="X: values are missing in 1 column: age 1"):
        pynn.lab.compare(frame, y, activations=["relu"], **small)


# ---- command line ------------------------------------------------------------------------------------------------------
SMALL = ["--activations", "relu", "--epochs", "1", "--seeds", "1", "--no-tune", "--hidden", "4"]


def test_command_line_prints_how_the_table_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{i * 7 + 1};{i / 4:.2f};{'' if i == 5 else i * i};{('red', 'blue')[i % 2]};{('no', 'yes')[i % 3 > 0]}" for i in range(60)]
    text = lines("id;weight;area;a rather long name for a column of colours;answer", rows).replace(".", ",")
    path = file(tmp_path, text, "t.csv")
    assert main(["--data", str(path), "--target", "Answer", *SMALL]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines()[1:])) <= 79
    told = out.split("\n\n")[0]
    assert " ".join(told.splitlines()[1:3]) == (
        "target 'answer': 2 classes (no 20, yes 39); 2 numeric inputs; 1 text input as 1 column of 0 and 1; 1 column dropped: id"
    )
    for note in ("separated by semicolons", "'weight': numbers with decimal commas", "1 row of 60 dropped, values are missing: area 1"):
        assert f"- {note}" in told or note in told
    assert "Target: 2 classes (no 20, yes 39)" in out


def test_command_line_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{i * 7 + 1}|{i / 4}|{'none' if i % 7 == 5 else i * i}|{i % 3}" for i in range(60)]
    path = str(file(tmp_path, "\n".join(rows)))
    options = ["--no-header", "--drop", "0", "--missing", "mean", "--task", "regression", "--separator", "|", "--keep", "1"]
    assert main(["--data", path, "--target", "-1", *options, *SMALL]) == 0
    out = capsys.readouterr().out
    assert "target '3': a quantity (3 distinct whole numbers); 2 numeric inputs; 1" in out
    assert "filled by the mean" in out
    assert main(["--data", path, "--target", "3", "--missing", "error", *SMALL]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "values are missing in 1 column, the first in line 6: 2 8" in err.replace("\n", " ")
    assert max(map(len, (line for line in err.splitlines() if path not in line))) <= 79


def test_an_interrupt_prints_the_finished_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = pynn.lab.compare(np.arange(40.0)[:, None], np.arange(40) % 2, activations=["relu"], epochs=1, seeds=1, tune=None)

    def stopped(*_: Any, **__: Any) -> None:
        stop = KeyboardInterrupt()
        stop.report = finished  # type: ignore[attr-defined]
        raise stop

    monkeypatch.setattr("pynn.__main__.compare", stopped)
    page = tmp_path / "page.html"
    assert main(["--data", str(file(tmp_path, PLAIN)), "--target", "kind", "--lang", "vi", "--html", str(page)]) == 130
    out, err = capsys.readouterr()
    assert finished.text("vi") in out
    assert err == "stopped\n"
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_command_line_works_without_pandas(tmp_path: Path) -> None:
    path = file(tmp_path, lines("length;width;count;kind", [row.replace(",", ";").replace(".", ",") for row in 5 * ROWS]))
    arguments = ["--data", str(path), "--target", "kind", *SMALL]
    code = f"import sys; sys.modules['pandas'] = None; from pynn.__main__ import main; sys.exit(main({arguments}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "target 'kind': 2 classes (no 15, yes 15)" in done.stdout


def test_gaps_are_the_missing_numbers(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,b,t\n" + 3 * "1,x,p\n,y,q\n3,,p\n5,y,q\n", encoding="utf-8")
    table = read_table(file, "t", missing="mean")
    assert table.X[1, 0] == 3
    assert np.isnan(table.gaps).tolist() == 3 * [[False] * 4, [True, False, False, False], [False] * 4, [False] * 4]
    assert np.array_equal(table.gaps[~np.isnan(table.gaps)], table.X[~np.isnan(table.gaps)])
    complete = read_table(file, "t", missing="drop")
    assert complete.filled is None
    assert complete.gaps is complete.X


# ---- languages -------------------------------------------------------------------------------------------------------
def test_every_sentence_has_a_translation_with_the_same_fields() -> None:
    english, vietnamese = _TEXT["en"], _TEXT["vi"]
    assert [key for key in english if not key.endswith(" 1")] == [*vietnamese]

    def fields(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}

    for key, text in english.items():
        plural = key.removesuffix(" 1")
        assert fields(text) == fields(vietnamese[plural]) - ({"n"} if key != plural else set()), key


def test_notes_are_translated_to_vietnamese(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    lines = ["id;w;c;constant;t", *(f"{i + 7};{i * 7 % 5},5;{'ab'[i % 2]};1;{'xy'[i % 2 if i else 1]}" for i in range(12))]
    lines[5] = "11;;a;1;x"
    file.write_text("\n".join(lines), encoding="utf-8")
    table = read_table(file, "t")
    assert table.understood("en") == [table.summary, *table.notes]
    assert table.understood("vi") == [
        "đích 't': 2 lớp (x 4, y 7); 1 đầu vào dạng số; 1 đầu vào dạng chữ, thành 1 cột 0 và 1; bỏ 2 cột: id, constant",
        "các trường cách nhau bằng dấu chấm phẩy",
        "'w': số viết với dấu phẩy thập phân",
        "đã bỏ, mỗi dòng một giá trị khác nhau: id",
        "đã bỏ, chỉ có một giá trị: constant",
        "bỏ 1 trong 12 dòng vì thiếu giá trị: w 1",
    ]
    copies = pickle.loads(pickle.dumps(table)), copy.deepcopy(table)
    assert all(one.understood("vi") == table.understood("vi") for one in copies)
    with pytest.raises(ValueError, match="unknown lang 'fr'; known: en, vi"):
        table.understood("fr")
