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
        (np.zeros(4), np.zeros((4, 2)), {"stratify": True}, r"one label per sample; y has shape \(4, 2\)"),
        (np.zeros(4), np.zeros(4), {"stratify": np.zeros(3)}, r"the labels of 4 samples, got an array of shape \(3,\)"),
        (np.zeros(4), np.zeros(4), {"stratify": np.zeros(4), "shuffle": False}, "stratify requires shuffle=True"),
        (np.zeros(4), np.zeros(4), {"stratify": np.zeros(4), "shuffle": False, "random_state": 0}, "stratify requires shuffle=True"),
        (np.zeros(4), np.zeros(4), {"train_size": 4}, "train_size=4 with 4 samples leaves"),
        (np.zeros(4), np.zeros(4), {"test_size": 3, "train_size": 2}, "test_size=3 and train_size=2 are more than all 4 samples"),
        (np.zeros(4), np.zeros(4), {"test_size": 3, "train_size": 2, "random_state": 0}, "are more than all 4 samples"),
        (np.zeros(4), np.zeros(4), {"test_size": 0.75, "train_size": 0.1}, "train_size=0.1 with 4 samples leaves"),
        (np.zeros(4), np.zeros(4), {"train_size": 0.1, "random_state": 0}, "leave the training or the test set empty"),
        (np.zeros(3), [0, 0, 1], {"stratify": [0, 0, 1], "random_state": 0}, "a label has a single sample"),
        (np.zeros(8), np.zeros(8), {"stratify": [0, 1] * 4, "random_state": 0, "test_size": 1}, "test_size is 1 samples, fewer than the 2"),
        (np.zeros(4), np.zeros(4), {"random_state": 0, "seed": 1}, "seed and random_state are two ways"),
        (np.zeros(4), np.zeros(4), {"random_state": -1}, r"random_state: expected 0 to 2\*\*32 - 1, got -1"),
    ],
)
def test_split_explains_bad_input(X, y, options, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        train_test_split(X, y, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"test_size": "3"}, "test_size: expected a fraction, a number of samples or None, got '3'"),
        ({"train_size": True}, "train_size: expected a fraction"),
        ({"random_state": "x"}, "random_state: expected an integer, a numpy.random.RandomState or None, got 'x'"),
        ({"random_state": np.random.default_rng(0)}, "random_state: expected an integer"),
    ],
)
def test_split_explains_arguments_of_a_wrong_type(options: dict[str, object], says: str) -> None:
    with pytest.raises(TypeError, match=re.escape(says)):
        train_test_split(np.zeros(8), np.zeros(8), **options)
    with pytest.raises(TypeError, match="at least one array"):
        train_test_split()


SIZES = [{}, {"test_size": 0.3}, {"test_size": 7}, {"train_size": 0.3}, {"train_size": 9, "test_size": 0.2},
         {"train_size": 0.7, "test_size": 0.3}, {"train_size": 11, "test_size": 11}]  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("labels", ["none", "numbers", "text", "floats", "two columns", "in order"])
def test_split_by_random_state_is_that_of_scikit_learn(sizes: dict[str, float], labels: str) -> None:
    split = pytest.importorskip("sklearn.model_selection").train_test_split
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(50 + seed, 2)), rng.choice(3, size=50 + seed, p=[0.5, 0.3, 0.2])
        text, columns = np.array(["b", "c", "a"])[y], np.stack([9 + y % 2, y], 1)
        kinds = {"none": None, "numbers": y, "text": text, "floats": y / 4, "two columns": columns}
        options = {**sizes, "shuffle": labels != "in order", "stratify": kinds.get(labels)}
        got = train_test_split(X, y, X[:, 0], random_state=seed, **options)
        for ours, theirs in zip(got, split(X, y, X[:, 0], random_state=seed, **options), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    stateful, expected = np.random.RandomState(5), np.random.RandomState(5)
    for _ in range(2):
        np.testing.assert_array_equal(train_test_split(X, random_state=stateful)[1], split(X, random_state=expected)[1])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [({"test_size": 7}, (33, 7)), ({"train_size": 7}, (7, 33)), ({"train_size": 0.75}, (30, 10)),
     ({"train_size": 5, "test_size": 0.5}, (5, 20)), ({"train_size": 0.7, "test_size": 0.3}, (28, 12)),
     ({"train_size": 0.25, "test_size": 4}, (10, 4))],
)  # fmt: skip
@pytest.mark.parametrize("options", [{}, {"stratify": False}, {"shuffle": False}, {"seed": None}])
def test_split_by_seed_has_sets_of_the_given_sizes(sizes: dict[str, float], expected: tuple[int, int], options: dict[str, object]) -> None:
    rows, y = np.arange(40), np.repeat([0, 1], [30, 10])
    train, test, labels, _ = train_test_split(rows, y, **sizes, **options)
    assert (len(train), len(test)) == pytest.approx(expected, abs=1 if "stratify" not in options and "shuffle" not in options else 0)
    assert not {*train} & {*test}
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(test) > 0)
    if not options:
        assert np.mean(labels) == pytest.approx(0.25, abs=1 / len(labels))


def test_targets_that_are_no_classes_are_not_stratified() -> None:
    rng = np.random.default_rng(0)
    for y in (rng.normal(size=60), rng.normal(size=(60, 2)), rng.integers(0, 1000, 60) / 1.0):
        train, test, *_ = train_test_split(np.arange(60), y)
        alone = train_test_split(np.arange(60), y, stratify=False)
        np.testing.assert_array_equal(train, alone[0])
        assert len(test) == 15
    classes = np.repeat([0.0, 1.0], [40, 20])
    assert train_test_split(np.arange(60), classes)[3].sum() == 5
    # given labels
    same = [train_test_split(np.arange(60), stratify=classes), train_test_split(np.arange(60), classes)[:2]]
    np.testing.assert_array_equal(same[0][0], same[1][0])


@pytest.mark.parametrize("options", [{}, {"random_state": 0}], ids=["seed", "random_state"])
def test_split_keeps_tables_and_sparse_matrices(options: dict[str, int]) -> None:
    pd, pl, sparse = pytest.importorskip("pandas"), pytest.importorskip("polars"), pytest.importorskip("scipy.sparse")
    X, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    frame = pd.DataFrame({"a": X[:, 0], "b": [f"t{i}" for i in range(20)]}, index=range(100, 120))
    given = [X, frame, pd.Series(y, index=frame.index, name="y"), pl.DataFrame({"a": X[:, 0]}), pl.Series("y", y), sparse.coo_matrix(X),
             sparse.csr_array(X), X.tolist()]  # fmt: skip
    got = train_test_split(*given, **options)
    train, test = train_test_split(np.arange(20), **options)
    for k, rows in enumerate((train, test)):
        arrays = got[k::2]
        np.testing.assert_array_equal(arrays[0], X[rows])
        pd.testing.assert_frame_equal(arrays[1], frame.iloc[rows])
        pd.testing.assert_series_equal(arrays[2], given[2].iloc[rows])
        assert arrays[3].equals(given[3][rows])
        assert arrays[4].equals(given[4][rows])
        for one in arrays[5:7]:
            np.testing.assert_array_equal(one.toarray(), X[rows])
        assert isinstance(arrays[6], sparse.csr_array)
        np.testing.assert_array_equal(arrays[7], X[rows])


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
