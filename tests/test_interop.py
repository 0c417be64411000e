"""Array types other than ndarray are preserved: masked arrays, subclasses, pandas, dask and xarray."""

import datetime
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn._arrays import real_array
from pynn._tables import REQUIRED, parse_parameters

ELEMENTWISE: dict[str, Callable[..., Any]] = {}
for _row in _core.ACTIVATIONS:
    if REQUIRED not in parse_parameters(_row["params"]).defaults.values():
        ELEMENTWISE[_row["name"]] = getattr(pynn, _row["name"])
        ELEMENTWISE[f"grad.{_row['name']}"] = getattr(pynn.grad, _row["name"])
ROWWISE = {row["name"]: getattr(pynn, row["name"]) for row in _core.ROWWISE}

elementwise = pytest.mark.parametrize("f", ELEMENTWISE.values(), ids=ELEMENTWISE)
rowwise = pytest.mark.parametrize("f", ROWWISE.values(), ids=ROWWISE)
every = pytest.mark.parametrize("f", [*ELEMENTWISE.values(), *ROWWISE.values()], ids=[*ELEMENTWISE, *ROWWISE])


def sample(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return (np.random.default_rng(3).normal(size=shape) * 3).astype(dtype)


def same(a: Any, b: Any) -> None:
    """Check that dtype, shape and bits are equal."""
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


# ---- masked arrays


@elementwise
def test_masked_arrays_keep_their_mask(f: Callable[..., Any]) -> None:
    x = np.ma.masked_greater(sample(4, 30), 2.0)
    before = x.copy()
    y = f(x)
    assert isinstance(y, np.ma.MaskedArray)
    np.testing.assert_array_equal(y.mask, x.mask)
    same(y.data[~x.mask], f(x.data[~x.mask]))
    assert np.isfinite(y.data).all()
    same(x.data, before.data)
    np.testing.assert_array_equal(x.mask, before.mask)
    out = np.ma.zeros((4, 30), np.float32)
    assert f(x, out=out) is out
    np.testing.assert_array_equal(out.mask, x.mask)


def test_masks_of_parameters_are_applied() -> None:
    x, slopes = sample(3, 4), np.ma.masked_equal([0.1, 0.2, -1.0, 0.3], -1.0)
    y = pynn.leaky_relu(x, slopes)
    np.testing.assert_array_equal(y.mask, np.broadcast_to(slopes.mask, (3, 4)))


@rowwise
@pytest.mark.parametrize("axis", [0, -1])
def test_rowwise_functions_ignore_masked_elements(f: Callable[..., Any], axis: int) -> None:
    x = np.ma.masked_greater(sample(6, 9), 1.0)
    x.data[x.mask] = np.nan
    y = f(x, axis=axis)
    assert isinstance(y, np.ma.MaskedArray)
    np.testing.assert_array_equal(y.mask, x.mask)
    for row, got in zip(np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1), strict=True):
        np.testing.assert_allclose(got.compressed(), f(row.compressed()), rtol=1e-6)
    assert np.isnan(x.data[x.mask]).all()
    same(f(np.ma.array(x.filled(0.0)), axis=axis).data, f(x.filled(0.0), axis=axis))
    integers = np.ma.array([1, 2, 3], mask=[0, 1, 0])
    np.testing.assert_allclose(f(integers).compressed(), f([1.0, 3.0]))


# ---- subclasses and other classes


@every
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_are_preserved(f: Callable[..., Any]) -> None:
    class Named(np.ndarray):
        name = ""

        def __array_finalize__(self, other: Any) -> None:
            self.name = getattr(other, "name", "")

    x = sample(3, 5).view(Named)
    x.name = "scores"
    y = f(x)
    assert type(y) is Named
    assert y.name == "scores"
    same(y, f(np.asarray(x)))
    assert type(f(x, subok=False)) is np.ndarray
    matrix = np.matrix([[1.0, -2.0], [3.0, 4.0]])
    assert isinstance(f(matrix), np.matrix)
    same(f(matrix), f(np.asarray(matrix)))


@every
def test_array_ufunc_override_is_called(f: Callable[..., Any]) -> None:
    class Array:
        def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
            return ufunc.__name__.rpartition(".")[2], method, inputs[0] is self, {n: v for n, v in options.items() if n != "axis"}

    name = f.__name__.rpartition(".")[2]
    assert f(Array()) == (name, "__call__", True, {})  # options that were not given are not passed on
    assert f(Array(), dtype="f4", order="C") == (name, "__call__", True, {"dtype": "f4", "order": "C"})


@every
def test_objects_with_array_method(f: Callable[..., Any]) -> None:
    class Holder:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return np.array([1.0, -2.0], np.float32)

    same(f(Holder()), f(np.array([1.0, -2.0], np.float32)))
    same(f(memoryview(np.array([1.0, -2.0]))), f(np.array([1.0, -2.0])))


# ---- pandas


@elementwise
def test_pandas_keeps_index_and_columns(f: Callable[..., Any]) -> None:
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(sample(3), index=list("abc"), name="s")
    y = f(series)
    assert (list(y.index), y.name, y.dtype) == (list("abc"), "s", np.float32)
    same(y.to_numpy(), f(series.to_numpy()))
    frame = pandas.DataFrame({"u": sample(3), "v": sample(3, dtype=np.float64), "w": [1, 2, 3]}, index=list("abc"))
    y = f(frame)
    assert (list(y.index), list(y.columns)) == (list("abc"), list("uvw"))
    for column in "uvw":  # pandas converts the columns to one dtype for ufuncs with parameters
        same(y[column].to_numpy(), f(frame[column].to_numpy(y[column].dtype)))
    assert f(frame[["u"]]).dtypes.tolist() == [np.float32]


def test_pandas_parameters() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"u": sample(3), "v": sample(3)}, index=list("abc"))
    for f in (pynn.leaky_relu, pynn.grad.leaky_relu):
        y = f(frame, 0.25)
        assert isinstance(y, pandas.DataFrame)
        same(y.to_numpy(), f(frame.to_numpy(), 0.25))
    missing = pynn.relu(pandas.Series([1, None, -2], dtype="Int64"))
    assert missing.isna().tolist() == [False, True, False]


@rowwise
def test_rowwise_functions_of_pandas(f: Callable[..., Any]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(sample(4, 3), index=list("abcd"), columns=list("uvw"))
    for axis in (0, 1, -1):
        y = f(frame, axis=axis)
        assert (list(y.index), list(y.columns)) == (list("abcd"), list("uvw"))
        np.testing.assert_array_equal(y.to_numpy(), f(frame.to_numpy(), axis=axis))
    np.testing.assert_array_equal(f(frame).to_numpy(), f(frame.to_numpy()))
    assert list(f(frame["u"]).index) == list("abcd")


# ---- dask


@every
def test_dask_is_lazy_and_gives_the_same_bits(f: Callable[..., Any]) -> None:
    da = pytest.importorskip("dask.array")
    x, computed = sample(50, 30), []

    def spy(block: Any) -> Any:
        computed.append(block.shape)
        return block

    lazy = f(da.from_array(x, chunks=(20, 30)).map_blocks(spy, dtype=x.dtype, meta=np.empty((0, 0), x.dtype)))
    assert isinstance(lazy, da.Array)
    assert lazy.dtype == x.dtype
    assert not computed
    same(lazy.compute(), f(x))
    assert len(computed) == 3


def test_dask_parameters() -> None:
    da = pytest.importorskip("dask.array")
    x, slopes = sample(50, 30), np.linspace(0, 1, 30)
    lazy = da.from_array(x, chunks=(20, 15))
    for f in (pynn.leaky_relu, pynn.grad.leaky_relu):
        same(f(lazy, 0.3).compute(), f(x, 0.3))
        same(f(lazy, slopes).compute(), f(x, slopes))
    same(pynn.gelu(lazy, "tanh").compute(), pynn.gelu(x, "tanh"))
    same(pynn.softmax(lazy.rechunk((50, 15)), axis=0).compute(), pynn.softmax(x, axis=0))


# ---- xarray


@elementwise
def test_xarray_keeps_coordinates(f: Callable[..., Any]) -> None:
    xarray = pytest.importorskip("xarray")
    x = xarray.DataArray(sample(2, 3), dims=("a", "b"), coords={"a": [10, 20]})
    y = f(x)
    assert isinstance(y, xarray.DataArray)
    assert y.a.values.tolist() == [10, 20]
    same(y.values, f(x.values))


# ---- tables as data
DAY = datetime.datetime(2020, 1, 1)
REFUSED = {
    "datetime": [DAY, DAY], "date": [DAY.date()] * 2, "duration": [datetime.timedelta(1)] * 2, "time": [DAY.time()] * 2, "text": ["a", "b"],
    "list": [[1], [2]],
}  # fmt: skip


def linear(columns: int) -> pynn.Sequential:
    return pynn.Sequential(pynn.Linear(columns, 1, dtype="float64", seed=0))


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_non_numeric_columns_are_named(library: str, kind: str) -> None:
    lib = pytest.importorskip(library)
    table = lib.DataFrame({"a": [1.0, 2.0], "when": REFUSED[kind]})
    for call in (
        lambda: linear(2).predict(table),
        lambda: linear(2)(table),
        lambda: linear(2).fit(table, [0.0, 1.0], loss="mse"),
        lambda: pynn.Sequential(pynn.Linear(2, 2, seed=0)).fit(np.eye(2), table, loss="mse"),
    ):
        with pytest.raises(TypeError, match=r"[Xxy]: (column 'when' holds|dtype)"):
            call()
    with pytest.raises(TypeError, match="expected real numbers"):
        linear(1).predict(table["when"])


def test_categorical_columns_are_named() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for column in (
        pandas.DataFrame({"a": [1, 2], "kind": pandas.Categorical(["x", "y"])}),
        pandas.DataFrame({"a": [1, 2], "kind": pandas.period_range("2020", periods=2)}),
        pandas.DataFrame({"a": [1, 2], "kind": pandas.to_datetime(["2020", "2021"], utc=True)}),
        polars.DataFrame({"a": [1, 2], "kind": polars.Series(["x", "y"], dtype=polars.Categorical)}),
        polars.DataFrame({"a": [1, 2], "kind": polars.Series(["1.5", "2"]).cast(polars.Decimal(10, 2))}),
    ):
        with pytest.raises(TypeError, match="X: column 'kind' holds"):
            linear(2).predict(column)


TABLES = {
    "bool": lambda pd, n: {"a": np.arange(n, dtype=float), **{f"c{i}": np.ones(n) for i in range(9)}, "b": np.arange(n) % 2 > 0},
    "Int64": lambda pd, n: {c: pd.array([1, 2] * (n // 2), dtype="Int64") for c in "abc"},
    "Int64 with NA": lambda pd, n: {c: pd.array([1, None] * (n // 2), dtype="Int64") for c in "abc"},
    "boolean": lambda pd, n: {c: pd.array([True, False] * (n // 2), dtype="boolean") for c in "abcdefgh"},
    "boolean with NA": lambda pd, n: {c: pd.array([True, None] * (n // 2), dtype="boolean") for c in "abcdefgh"},
    "Float64 with NA": lambda pd, n: {c: pd.array([1.5, None] * (n // 2), dtype="Float64") for c in "abc"},
    "mixed": lambda pd, n: {"a": pd.array([1, None] * (n // 2), dtype="Int8"), "b": np.arange(n), "c": np.arange(n, dtype="f4")},
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("duplicate", [False, True])
def test_tables_of_mixed_dtypes_use_little_memory(kind: str, duplicate: bool) -> None:
    pandas = pytest.importorskip("pandas")
    n = 20_000
    table = pandas.DataFrame(TABLES[kind](pandas, n))
    expected = np.stack([table[c].to_numpy(dtype=float, na_value=np.nan) for c in table.columns], axis=1)
    if duplicate:
        table.columns = ["a"] * len(table.columns)
    model = pynn.Sequential(pynn.Linear(len(table.columns), 1, seed=0))
    model.predict(np.zeros((1, len(table.columns))))
    tracemalloc.start()
    got = model.predict(table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * table.memory_usage(index=False).sum()
    np.testing.assert_array_equal(got, model.predict(expected))
    assert np.isnan(got).any() == ("NA" in kind or kind == "mixed")


def test_missing_labels_raise() -> None:
    pandas = pytest.importorskip("pandas")
    X = np.eye(4)
    for labels in (pandas.Series([0, 1, 1, 0], dtype="Int64"), pandas.Series([False, True, True, False], dtype="boolean")):
        a, b = linear(4), linear(4)
        a.fit(X, labels, loss="bce_with_logits", seed=0)
        b.fit(X, np.array([0, 1, 1, 0]), loss="bce_with_logits", seed=0)
        np.testing.assert_array_equal(a[0].weight, b[0].weight)
    with pytest.raises(ValueError, match="y: nan in row 3"):
        linear(4).fit(X, pandas.Series([0, 1, 1, None], dtype="Int64"), loss="bce_with_logits")


def test_polars_tables_of_mixed_dtypes() -> None:
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"a": [1.5, None], "b": [True, None], "c": polars.Series([1, 2], dtype=polars.UInt8)})
    np.testing.assert_array_equal(real_array(table, "X"), [[1.5, 1, 1], [np.nan, np.nan, 2]])
    np.testing.assert_array_equal(real_array(table["b"], "X"), np.array([1, np.nan]))
