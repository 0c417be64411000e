"""Digits, splitting and reading of tables: results, and errors for invalid input."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

import pynn.datasets
from pynn.datasets import load_digits, read_csv, train_test_split


def test_digits_are_the_uci_test_set() -> None:
    X, y = load_digits()
    assert X.shape == (1797, 64)
    assert X.dtype == np.float32
    assert y.shape == (1797,)
    assert y.dtype == np.int64
    assert X.min() == 0
    assert X.max() == 16
    assert np.array_equal(X, np.round(X))
    assert X[0, :8].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_match_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    X, y = sklearn.load_digits(return_X_y=True)
    assert np.array_equal(X, load_digits()[0])
    assert np.array_equal(y, load_digits()[1])


def test_digits_are_small_and_attributed() -> None:
    folder = Path(pynn.datasets.__file__).parent
    assert (folder / "digits.csv.gz").stat().st_size < 150_000
    for text in ((folder / "DIGITS.txt").read_text(), load_digits.__doc__ or ""):
        assert "Alpaydin" in text
        assert "Kaynak" in text
        assert "10.24432/C50P49" in text


def test_split_keeps_every_sample_once_and_pairs_together() -> None:
    X = np.arange(40)
    A, B, a, b = train_test_split(X, X % 2, seed=3)
    assert sorted([*A, *B]) == list(range(40))
    assert np.array_equal(A % 2, a)
    assert np.array_equal(B % 2, b)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_split_is_stratified(share: float) -> None:
    y = np.repeat([0, 1, 2, 3], [200, 40, 60, 101])
    _, _, _, b = train_test_split(y, y, test_size=share)
    assert len(b) == pytest.approx(share * len(y), abs=1)
    assert np.all(np.abs(np.bincount(b) - share * np.bincount(y)) <= 1)


def test_split_keeps_a_training_sample_of_every_class() -> None:
    y = np.array([0] * 20 + [1])
    _, _, a, b = train_test_split(y, y, test_size=0.9)
    assert 1 in a
    assert 1 not in b


def test_split_depends_only_on_the_seed() -> None:
    X, y = load_digits()
    one, same, other = (train_test_split(X, y, seed=seed)[3] for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(("share", "rows"), [(0.25, 5), (0.1, 2), (0.5, 10), (0.9, 18)])
@pytest.mark.parametrize("columns", [None, 2])
def test_split_without_shuffle_tests_on_the_last_rows(share: float, rows: int, columns: int | None) -> None:
    X, y = np.arange(20), np.arange(20.0) if columns is None else np.zeros((20, columns))
    A, B, a, b = train_test_split(X, y, test_size=share, shuffle=False, seed=7)
    np.testing.assert_array_equal(A, X[: 20 - rows])
    np.testing.assert_array_equal(B, X[20 - rows :])
    np.testing.assert_array_equal(a, y[: 20 - rows])
    np.testing.assert_array_equal(b, y[20 - rows :])


@pytest.mark.parametrize(
    ("X", "y", "options", "says"),
    [
        (np.zeros(3), np.zeros(4), {}, r"same number of samples; got shapes \(3,\) and \(4,\)"),
        (np.zeros(3), 1.0, {}, "same number of samples"),
        (np.zeros(4), np.zeros(4), {"test_size": 1.5}, "between 0 and 1; got 1.5"),
        (np.zeros(4), np.zeros(4), {"test_size": float("nan")}, "between 0 and 1; got nan"),
        (np.zeros(2), np.zeros(2), {"test_size": 0.1}, "leaves the training or the test set empty"),
        (np.zeros(0), np.zeros(0), {}, "leaves the training or the test set empty"),
        (np.zeros(4), np.zeros(4), {"shuffle": False, "test_size": 0.01}, "leaves the training or the test set empty"),
        (np.zeros(4), np.zeros(4), {"shuffle": False, "stratify": True}, "stratify=True requires shuffle=True"),
        (np.zeros(4), np.zeros((4, 2)), {}, r"one label per sample; y has shape \(4, 2\)"),
    ],
)
def test_split_explains_bad_input(X, y, options, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        train_test_split(X, y, **options)


def table(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "data.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(
    ("labels", "y", "classes"),
    [
        ("cat dog cat dog", [0, 1, 0, 1], ("cat", "dog")),
        ("10 9 9 10", [1, 0, 0, 1], ("9", "10")),
        ("7 x 7 x", [0, 1, 0, 1], ("7", "x")),
        ("1.5 2 1.5 2", [1.5, 2, 1.5, 2], None),
        ("1 2 3 4", [1, 2, 3, 4], None),
    ],
)
def test_read_csv_distinguishes_classes_from_numbers(tmp_path: Path, labels, y, classes) -> None:  # type: ignore[no-untyped-def]
    file = table(tmp_path, "a,t,b\n" + "".join(f"{i},{label},{-i}\n" for i, label in enumerate(labels.split())))
    got = read_csv(file, "t")
    assert got.y.tolist() == y
    assert got.classes == classes
    assert got.y.dtype == (np.float64 if classes is None else np.int64)
    assert got.columns == ("a", "b")
    assert got.X.tolist() == [[i, -i] for i in range(4)]


def test_read_csv_treats_many_distinct_integers_as_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 51}\n" for i in range(510))
    assert read_csv(table(tmp_path, "a,t\n" + rows), "t").classes is None


@pytest.mark.parametrize("content", ["a,t\n1,2\n", "a;t\r\n1;2\r\n", "\ufeffa\tt\n\n 1\t2 \n\n", '"a","t"\n"1","2"'])
def test_read_csv_dialects(tmp_path: Path, content: str) -> None:
    got = read_csv(table(tmp_path, content), "t")
    assert got.X.tolist() == [[1]]
    assert got.y.tolist() == [2]
    assert got.columns == ("a",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "data.csv is empty"),
        ("\n \n", "data.csv is empty"),
        ("age,t\n", "no rows"),
        ("age,t\n1,2\nabc,3\n", "data.csv, line 3, column 'age': 'abc' is not a number"),
        ("age,t\n1,2\n\n\nabc,3\n", "line 5, column 'age'"),
        ("age,t\n1,2\n,3\n", "line 3, column 'age': the value is missing"),
        ("age,t\n1,2\nN/A,3\n", "line 3, column 'age': the value is missing ('N/A')"),
        ("age,t\ninf,2\n", "line 2, column 'age': 'inf' is not a finite number"),
        ("age,t\n1,2\n2,\n", "line 3, column 't': the value is missing"),
        ("age,t\n1,2\n2,nan\n", "line 3, column 't': the value is missing ('nan')"),
        ("age,t\n1,2.5\n2,x\n3,2.5\n4,x\n", "line 3, column 't': 'x' is not a number"),
        ("age,t\n1,2,3\n", "line 2: 3 fields where the header has 2"),
        ("age,t\n1\n", "line 2: 1 fields where the header has 2"),
        ("age,T2,t1\n1,2,3\n", "has no column 't'; did you mean 't1'?"),
        ("age,size\n1,2\n", "has no column 't'; its columns are age, size"),
        ("t\n1\n", "no column besides 't'"),
        ("a,t,a\n1,2,3\n", "more than one column named 'a'"),
        (b"age,t\n1,2\n\xff,3\n", "line 3: not UTF-8 text (byte 0xff)"),
    ],
)
def test_read_csv_errors_name_line_and_column(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        read_csv(table(tmp_path, content), "t")


# ---- wide tables, and special files
def test_read_csv_time_is_linear_in_columns(tmp_path: Path) -> None:
    def seconds(columns: int) -> float:
        file = tmp_path / f"{columns}.csv"
        file.write_text(",".join(f"c{i}" for i in range(columns)) + "\n" + "\n".join([",".join(["1.5"] * columns)] * 2) + "\n")
        times = []
        for _ in range(3):
            start = time.perf_counter()
            assert read_csv(file, "c0").X.shape == (2, columns - 1)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(20_000) < 100 * seconds(1_000)


def test_missing_column_of_a_wide_table(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text(",".join(f"c{i}" for i in range(3000)) + "\n")
    with pytest.raises(ValueError, match=r"no column 'zzz'.*\.\.\. \(3000 in all\)") as caught:
        read_csv(tmp_path / "wide.csv", "zzz")
    assert len(str(caught.value)) < 500


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a POSIX system")
def test_read_csv_rejects_devices_and_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", "/dev/zero", "/dev/null"):
        with pytest.raises(ValueError, match="is not a regular file"):
            read_csv(path, "y")
    with pytest.raises(IsADirectoryError):
        read_csv(tmp_path, "y")
