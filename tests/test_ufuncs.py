"""Activation functions as NumPy ufuncs: dtypes, memory layouts, arguments, parameters and pickling."""

import copy
import inspect
import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn._tables import REQUIRED, parse_parameters

FUNCTIONS: dict[str, tuple[Callable[..., Any], list[float]]] = {}
for _row in _core.ACTIVATIONS:
    _defaults = parse_parameters(_row["params"], _row["check"]).defaults
    _required = [0.5 * i for i, default in enumerate(_defaults.values(), 1) if default is REQUIRED]
    FUNCTIONS[_row["name"]] = getattr(pynn, _row["name"]), _required
    FUNCTIONS[f"grad.{_row['name']}"] = getattr(pynn.grad, _row["name"]), _required
ELEMENTWISE = list(FUNCTIONS)
FUNCTIONS |= {row["name"]: (getattr(pynn, row["name"]), []) for row in _core.ROWWISE}
PARAMETRIC = [row["name"] for row in _core.ACTIVATIONS if row["params"]]
ROWWISE = [row["name"] for row in _core.ROWWISE]

elementwise = pytest.mark.parametrize("name", ELEMENTWISE)
every = pytest.mark.parametrize("name", FUNCTIONS)
parametric = pytest.mark.parametrize("name", PARAMETRIC)
rowwise = pytest.mark.parametrize("name", ROWWISE)
floats = pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])


def call(name: str, x: Any, **options: Any) -> Any:
    function, required = FUNCTIONS[name]
    return function(x, *required, **options)


def sample(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    return (np.random.default_rng(7).normal(size=shape) * 3).astype(dtype)


def same(a: Any, b: Any) -> None:
    """Check that dtype, shape and bits are equal."""
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert a.tobytes() == b.tobytes()


@elementwise
@floats
def test_value_does_not_depend_on_position(name: str, dtype: Any, isa: str) -> None:
    x = sample((7, 93), dtype)
    expected = call(name, x)
    assert (expected.dtype, expected.shape) == (dtype, x.shape)
    one_by_one = np.array([call(name, v) for v in x.ravel()]).reshape(x.shape)
    same(expected, one_by_one)
    for view in (np.s_[:, 1:], np.s_[::2, ::3], np.s_[::-1, ::-2], np.s_[3], np.s_[:0], np.s_[1, 2]):
        same(call(name, x[view]), expected[view])
    same(np.ascontiguousarray(call(name, np.asfortranarray(x))), expected)
    same(call(name, np.broadcast_to(x[0], (5, 93))), np.broadcast_to(expected[0], (5, 93)))


@elementwise
@floats
def test_bits_do_not_depend_on_threads(name: str, dtype: Any, isa: str) -> None:
    x = sample(({2: 1 << 18, 4: 1 << 20, 8: 1 << 19}[np.dtype(dtype).itemsize] + 67,), dtype)  # enough for several threads
    expected = np.concatenate([call(name, piece) for piece in np.split(x, range(1000, x.size, 1000))])
    for threads in (1, 2, 7):
        with pynn.num_threads(threads):
            for view in (np.s_[:], np.s_[3:70000], np.s_[1::5], np.s_[:7:-3], np.s_[5:72]):
                same(call(name, x[view]), np.ascontiguousarray(expected[view]))
    call(name, x, out=x)
    same(x, expected)


@rowwise
@floats
@pytest.mark.parametrize("shape", [(140_001, 1), (301, 1003), (3, 70_000)])
def test_rowwise_bits_do_not_depend_on_threads(name: str, dtype: Any, shape: tuple[int, int], isa: str) -> None:
    x = sample(shape, dtype)
    expected = np.stack([call(name, row) for row in x[:500]])
    for threads in (1, 2, 7):
        with pynn.num_threads(threads):
            same(call(name, x)[:500], expected)
            same(np.ascontiguousarray(call(name, np.asfortranarray(x))[:500]), expected)
            same(np.ascontiguousarray(call(name, np.repeat(x, 2, axis=0)[::2])[:500]), expected)


@parametric
@floats
def test_threads_and_varying_parameters(name: str, dtype: Any) -> None:
    function, required = FUNCTIONS[name]
    values = required or list(parse_parameters(_row_of(name)["params"]).defaults.values())
    x = sample((300_003,), dtype)
    parameters = [np.linspace(v, v + 0.25, x.size) for v in values]
    pieces = [np.s_[i : i + 1000] for i in range(0, x.size, 1000)]
    expected = np.concatenate([function(x[piece], *[p[piece] for p in parameters]) for piece in pieces])
    for threads in (1, 2, 7):
        with pynn.num_threads(threads):
            same(function(x, *parameters), expected)
            same(function(x[::-1], *[p[::-1] for p in parameters]), np.ascontiguousarray(expected[::-1]))


@pytest.mark.parametrize("name", ["gelu", "relu", "leaky_relu", "grad.mish", "softmax"])
@pytest.mark.parametrize("size", [9_000, 90_000])
def test_consecutive_calls_share_the_pool(name: str, size: int) -> None:
    x = sample((size // 100, 100))
    expected = np.concatenate([call(name, row) for row in x]).reshape(x.shape)
    with pynn.num_threads(2):
        for got in [call(name, x) for _ in range(10)]:
            same(got, expected)


@pytest.mark.parametrize("name", ["gelu", "relu", "leaky_relu", "grad.mish", "softmax"])
def test_concurrent_calls_share_the_pool(name: str) -> None:
    x = sample((700, 1000))
    expected = call(name, x)
    with pynn.num_threads(3), ThreadPoolExecutor(6) as executor:
        for result in executor.map(lambda _: [call(name, x) for _ in range(5)], range(6)):
            for got in result:
                same(got, expected)


@every
@floats
def test_memory_layouts(name: str, dtype: Any) -> None:
    x = sample((5, 300), dtype)
    expected = call(name, x)
    swapped = x.astype(x.dtype.newbyteorder())
    same(call(name, swapped), expected)
    raw = np.zeros(x.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(dtype).reshape(x.shape)
    unaligned[...] = x
    same(call(name, unaligned), expected)
    x.flags.writeable = False
    same(call(name, x), expected)
    same(call(name, x[:, ::-1])[:, ::-1] if name in ELEMENTWISE else expected, expected)


@every
@floats
def test_out_argument(name: str, dtype: Any) -> None:
    x = sample((6, 70), dtype)
    expected = call(name, x)
    out = np.empty_like(x)
    assert call(name, x, out=out) is out
    same(out, expected)
    wide = np.zeros((6, 140), dtype)
    call(name, x, out=wide[:, ::2])
    same(np.ascontiguousarray(wide[:, ::2]), expected)
    assert not wide[:, 1::2].any()
    y = x.copy()
    call(name, y, out=y)
    same(y, expected)


@elementwise
@pytest.mark.parametrize("size", [1000, 600_000])
def test_overlapping_out(name: str, size: int) -> None:
    x = sample((size,))
    for source, target in ((np.s_[:-1], np.s_[1:]), (np.s_[1:], np.s_[:-1]), (np.s_[::-1], np.s_[:])):
        y = x.copy()
        call(name, y[source], out=y[target])
        same(np.ascontiguousarray(y[target]), call(name, x[source]))


@elementwise
def test_where_argument(name: str) -> None:
    x, mask = sample((40,)), sample((40,)) > 0
    out = np.full(40, 9.0)
    call(name, x, out=out, where=mask)
    np.testing.assert_array_equal(out, np.where(mask, call(name, x), 9.0))


@every
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_integers_become_float64(name: str, dtype: Any) -> None:
    x = np.arange(5).astype(dtype)
    same(call(name, x), call(name, x.astype(np.float64)))


@elementwise
def test_python_scalars(name: str) -> None:
    for number in (2, -1.5, True):
        result = call(name, number)
        assert isinstance(result, np.float64)
        assert result == call(name, np.array([number], np.float64))[0]


@every
@pytest.mark.parametrize("x", [np.ones(2, np.longdouble), np.ones(2, np.complex64), np.ones(2, object), np.array(["a"]), 1j, None,
                               np.ones(2, "M8[s]")])
def test_unsupported_types_raise(name: str, x: Any) -> None:
    with pytest.raises((TypeError, ValueError) if np.ndim(x) == 0 else TypeError, match=name.rpartition(".")[2]):
        call(name, x)


@every
def test_error_names_unsupported_dtype(name: str) -> None:
    for x, says in ((np.ones(2, np.longdouble), "longdouble"), (np.ones(2, np.complex64), "complex64"), (np.ones(2, object), "object")):
        with pytest.raises(TypeError, match=f"{name}: .*{says}.* is not supported; expected float16, float32 or float64, or integers"):
            call(name, x)
    with pytest.raises(TypeError, match=f"{name}: .*int32 is not supported; expected float16, float32 or float64$"):
        call(name, np.ones(2), dtype=np.int32)
    with pytest.raises(TypeError, match="same_kind"):
        call(name, np.ones(2), out=np.ones(2, np.int64))


@every
def test_float16_is_computed_in_float32_and_rounded_once(name: str) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    x = bits.view(np.float16)
    x = x[np.isfinite(x)] if name in ROWWISE else x
    got = call(name, x)
    with np.errstate(all="ignore"):
        expected = call(name, x.astype(np.float32)).astype(np.float16)
    assert got.dtype == np.float16
    nan = np.isnan(expected)
    assert np.isnan(got[nan]).all()
    same(got[~nan], expected[~nan])


@every
@floats
def test_no_floating_point_warnings(name: str, dtype: Any, isa: str) -> None:
    info = np.finfo(dtype)
    x = np.array([np.nan, np.inf, -np.inf, info.max, -info.max, info.tiny, info.smallest_subnormal, 0.0, -0.0, 89, -89, 710, -710], dtype)
    out = np.zeros(2 * x.size, dtype)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        for values in (x, x[::-1], np.repeat(x, 20000)[::3], x.astype(x.dtype.newbyteorder())):
            call(name, values)
        call(name, x, out=out[::2])
        if np.dtype(dtype).itemsize < 8:
            call(name, np.array([np.nan, np.inf, -89.0, -0.0, 50.0, 1e-30][: 3 if dtype == np.float16 else None]), dtype=dtype)


@parametric
@floats
def test_no_floating_point_warnings_from_converted_parameters(name: str, dtype: Any, isa: str) -> None:
    values = FUNCTIONS[name][1] or list(parse_parameters(_row_of(name)["params"]).defaults.values())
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 89, -89, 710, -710, 1e-7, 3], dtype)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        for function in (getattr(pynn, name), getattr(pynn.grad, name)):
            function(x, *[np.full(x.size, v) for v in values])
            function(x[::-1], *[np.full((3, x.size), v, np.float32) for v in values])


@every
def test_empty_arrays(name: str) -> None:
    for shape in ((0,), (3, 0), (0, 3)):
        assert call(name, np.zeros(shape, np.float32)).shape == shape


@every
def test_dtype_argument(name: str) -> None:
    x = sample((9,))
    same(call(name, x, dtype=np.float32), call(name, x.astype(np.float32)))
    with pytest.raises(TypeError):
        call(name, x, dtype=np.longdouble)


@every
def test_ufunc_attributes(name: str) -> None:
    function = FUNCTIONS[name][0]
    parameters = function.nin - 1
    assert function.types == [f"e{'f' * parameters}->e", f"f{'f' * parameters}->f", f"d{'d' * parameters}->d"]
    assert (function.ntypes, function.nout, function.nargs, function.identity) == (3, 1, parameters + 2, None)
    x = sample((9,))
    same(call(name, x, signature=function.types[1], casting="same_kind"), call(name, x.astype(np.float32)))
    with pytest.raises(TypeError):
        call(name, x, signature=f"d{'d' * parameters}->f")


@elementwise
def test_ufunc_methods(name: str) -> None:
    function, required = FUNCTIONS[name]
    ufunc = getattr(function, "ufunc", function)
    x = sample((6,))
    parameters = [*required, *(parse_parameters(_row_of(name.removeprefix("grad."))["params"]).defaults.values())][: ufunc.nin - 1]
    if ufunc.nin <= 2:  # NumPy defines it for one and two operands only
        y = x.copy()
        ufunc.at(y, [0, 3, 3], *parameters)
        expected = x.copy()
        for i in (0, 3, 3):
            expected[i] = ufunc(expected[i], *parameters)
        same(y, expected)
    if ufunc.nin == 2:
        same(ufunc.outer(x, x[:3]), ufunc(x[:, None], x[:3]))
        same(ufunc.reduceat(x, [0, 4]), np.array([ufunc.reduce(x[:4]), ufunc.reduce(x[4:])]))
    else:
        with pytest.raises(ValueError, match="only supported for binary functions"):
            ufunc.reduce(x)


@parametric
@floats
@pytest.mark.parametrize("grad", [False, True])
def test_parameters_broadcast_and_do_not_change_dtype(name: str, dtype: Any, grad: bool) -> None:
    full = f"grad.{name}" if grad else name
    function, required = FUNCTIONS[full]
    values = required or list(parse_parameters(_row_of(name)["params"]).defaults.values())
    x = sample((4, 300), dtype)
    expected = function(x, *values)
    for kind in (float, np.float64, np.longdouble, lambda v: np.array(v, np.float64)):
        same(function(x, *map(kind, values)), expected)
    varying = [np.full((300,), v) for v in values]
    same(function(x, *varying), expected)
    same(function(x[:, ::3], *[v[::3] for v in varying]), np.ascontiguousarray(expected[:, ::3]))
    same(function(x, *[np.full((4, 1), v, np.float64) for v in values]), expected)
    columns = [np.linspace(v, v + 0.25, 300) for v in values]
    separate = np.stack([function(x[:, j], *[c[j] for c in columns]) for j in range(300)], axis=1)
    same(function(x, *columns), separate)


def _row_of(name: str) -> dict[str, Any]:
    return next(row for row in _core.ACTIVATIONS if row["name"] == name)


@parametric
def test_signatures_list_parameters(name: str) -> None:
    for function in (getattr(pynn, name), getattr(pynn.grad, name)):
        names = list(parse_parameters(_row_of(name)["params"]).defaults)
        assert list(inspect.signature(function).parameters)[: 1 + len(names)] == ["x", *names]
        assert function.__name__ == name
        assert function.nin == 1 + len(names)
        with pytest.raises(TypeError):
            function(1.0, 1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("name", [row["name"] for row in _core.ACTIVATIONS if row["check"]])
def test_parameters_are_checked(name: str) -> None:
    row = _row_of(name)
    names = list(parse_parameters(row["params"]).defaults)
    candidates = [dict(zip(names, values, strict=False)) for values in ((0.0, -1.0), (-1.0, -2.0))]
    values = next(c for c in candidates if not eval(row["check"], {}, c))
    for function in (getattr(pynn, name), getattr(pynn.grad, name)):
        with pytest.raises(ValueError, match="must satisfy") as caught:
            function(np.ones(3), **values)
        assert repr(values[names[0]]) in str(caught.value)


@parametric
def test_complex_parameter_raises(name: str) -> None:
    count = len(parse_parameters(_row_of(name)["params"]).defaults)
    with pytest.raises(TypeError):
        getattr(pynn, name)(np.ones(3), *[1j] * count)


def test_rows_without_parameters_are_ufuncs() -> None:
    for row in _core.ACTIVATIONS:
        if not row["params"] and row["name"] != "gelu":
            assert isinstance(getattr(pynn, row["name"]), np.ufunc)
            assert isinstance(getattr(pynn.grad, row["name"]), np.ufunc)


@every
def test_pickle_and_copy(name: str) -> None:
    function = FUNCTIONS[name][0]
    for one in (function, getattr(function, "ufunc", function)):
        for protocol in range(pickle.DEFAULT_PROTOCOL, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(one, protocol)) is one
        assert copy.deepcopy(one) is one


@every
def test_docstring_sections(name: str) -> None:
    documentation = FUNCTIONS[name][0].__doc__ or ""
    for part in ("Parameters", "Returns", "Raises", "Notes", "Examples", ">>> "):
        assert part in documentation


@pytest.mark.parametrize("name", PARAMETRIC[:1])
def test_reduce_and_accumulate_are_sequential(name: str) -> None:
    function = getattr(pynn, name).ufunc
    x = sample((20_000,))
    steps = [x[0]]
    for parameter in x[1:]:
        steps.append(function(steps[-1], parameter))
    with pynn.num_threads(2):
        same(function.accumulate(x), np.array(steps))
        assert function.reduce(x) == steps[-1]


def test_gelu_approximate_argument() -> None:
    x = sample((50,))
    for module in (pynn, pynn.grad):
        same(module.gelu(x), module.gelu(x, approximate="none"))
        same(module.gelu(x, approximate="tanh"), module.gelu_tanh(x))
        with pytest.raises(ValueError, match="'none' or 'tanh', got 'erf'"):
            module.gelu(x, approximate="erf")


def test_alias_is_the_same_function() -> None:
    assert pynn.hard_swish is pynn.hardswish


@rowwise
@floats
def test_axis_argument(name: str, dtype: Any) -> None:
    x = sample((4, 5, 300), dtype)
    function = FUNCTIONS[name][0]
    expected = function(x)
    same(np.stack([function(row) for row in x.reshape(-1, 300)]).reshape(x.shape), expected)
    for axis in (0, 1, 2, -3):
        moved = np.moveaxis(function(np.ascontiguousarray(np.moveaxis(x, axis, -1))), -1, axis)
        same(np.ascontiguousarray(function(x, axis=axis)), np.ascontiguousarray(moved))
        same(function(x, dim=axis), function(x, axis))
    same(np.ascontiguousarray(function(np.asfortranarray(x))), expected)
    with pytest.raises(ValueError, match="axis 3"):
        function(x, axis=3)
    with pytest.raises(TypeError, match="axis and dim"):
        function(x, axis=-1, dim=-1)


def test_set_isa_by_name() -> None:
    before = _core.isa()
    with pytest.raises(ValueError, match="mmx"):
        _core.set_isa("mmx")
    assert _core.isa() == before
    _core.set_isa(None)
    assert _core.isa() == next(name for name, runs in _core.isas().items() if runs)
    _core.set_isa(before)


def test_set_doc_requires_a_ufunc() -> None:
    with pytest.raises(TypeError):
        _core.set_doc(len, "text")  # type: ignore[arg-type]
