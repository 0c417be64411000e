"""All activations against their formulas: values, derivatives and limits. New rows are tested automatically.

``formula.py`` evaluates the formula and its exact derivative with 60 digits; ``tests/ulp`` checks far more inputs.
"""

import functools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from formula import Formula, promise
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import pynn
from pynn import _core
from pynn._tables import REQUIRED, parse_parameters

ROWS = {row["name"]: row for row in _core.ACTIVATIONS}
ROWWISE = {row["name"]: row for row in _core.ROWWISE}
each = pytest.mark.parametrize("name", ROWS)
each_rowwise = pytest.mark.parametrize("name", ROWWISE)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])

mp = mpmath.mp.clone()
mp.dps = 60


@functools.cache
def oracle(name: str) -> tuple[Formula, Callable[..., Any]]:
    formula = Formula(ROWS[name]["formula"], tuple(parse_parameters(ROWS[name]["params"]).defaults))
    return formula, formula.exact(mp.dps)


def parameters(name: str) -> list[float]:
    """Return the defaults of the row's parameters, and 0.5, 1.0, ... for required ones."""
    defaults = parse_parameters(ROWS[name]["params"]).defaults.values()
    return [0.5 * i if value is REQUIRED else value for i, value in enumerate(defaults, 1)]


def points(dtype: type) -> np.ndarray:
    """Return a grid with the usual kinks, large arguments, tiny numbers and subnormals."""
    info = np.finfo(dtype)
    positive = np.concatenate(
        [np.linspace(0, 9, 73), [10.3, 15.7, 16.6, 20.1, 30, 37.5, 50, 80, 87.4, 88.5, 100, 1000, 1e10], np.logspace(-30, -0.5, 21)]
    )
    small = np.array([info.smallest_subnormal, info.tiny, info.tiny * 1.5])
    positive = np.concatenate([positive.astype(dtype), small.astype(dtype)])
    return np.concatenate([-positive[::-1], positive])


def rounded(name: str, dtype: type) -> dict[str, float]:
    """Return the parameters rounded to the dtype, as the kernels receive them."""
    names = parse_parameters(ROWS[name]["params"]).defaults
    return {n: float(dtype(v)) for n, v in zip(names, parameters(name), strict=True)}


@functools.cache
def has_root(name: str, dtype: type) -> bool:
    return oracle(name)[0].has_root(**rounded(name, dtype))


def exact(name: str, dtype: type, x: Any) -> tuple[Any, tuple[Any, Any], Any]:
    """Return the value at x, its left and right derivatives, and the smallest size by which derivative errors are measured.

    That size is the largest term of a derivative whose terms cancel at a root, and otherwise 0.
    """
    f, given = oracle(name)[1], rounded(name, dtype)
    slopes = f("derivative", x, -1, **given), f("derivative", x, 1, **given)
    return f("value", x, **given), slopes, f("terms", x, **given) if has_root(name, dtype) else 0.0


def test_the_oracle_is_exact_for_powers_of_the_largest_numbers() -> None:
    """An infinite exponential would make this derivative NaN, since it stands in its numerator and in its denominator."""
    f = Formula("x / (1 + exp(-x**3))").exact()
    for x in (-1.1718067946489529e201, -1.7e308):
        assert abs(f("derivative", x) / (3 * mp.mpf(x) ** 2 * f("value", x)) - 1) < 1e-12


@functools.cache
def exact_points(name: str, dtype: type) -> list[tuple[Any, tuple[Any, Any], Any]]:
    return [exact(name, dtype, x) for x in points(dtype).tolist()]


def ulps(got: Any, expected: Any, dtype: type, floor: Any = 0.0) -> float:
    """Return the distance in units in the last place of ``expected``, or of ``floor`` if that is larger.

    Subnormal numbers have the same unit as the smallest normal number.
    """
    info = np.finfo(dtype)
    if not np.isfinite(got):
        return 0.0 if mp.isinf(expected) or abs(expected) >= float(info.max) else float("inf")
    size = max(abs(expected), floor)
    exponent = max(int(mp.floor(mp.log(size, 2))) if size else info.minexp, info.minexp)
    return float(abs(mp.mpf(float(got)) - expected) / mp.mpf(2) ** (exponent - info.nmant))


def value_error(got: Any, truth: tuple[Any, tuple[Any, Any], Any], dtype: type) -> float:
    return ulps(got, truth[0], dtype)


def derivative_error(got: Any, truth: tuple[Any, tuple[Any, Any], Any], dtype: type) -> float:
    """Return the error in ULP. At a kink, either one-sided derivative is correct."""
    return min(ulps(got, slope, dtype, truth[2]) for slope in truth[1])


KINDS = {"value": ("ufunc", value_error), "derivative": ("grad", derivative_error)}


def check(name: str, dtype: type, which: str, isa: str, x: np.ndarray, truths: list[Any]) -> None:
    function, error = KINDS[which]
    got = ROWS[name][function](x, *parameters(name))
    assert got.dtype == dtype
    errors = [error(y, truth, dtype) for y, truth in zip(got, truths, strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= promise(ROWS[name], which, isa), (x[worst], got[worst], errors[worst])


@each
@dtypes
@pytest.mark.parametrize("which", KINDS)
def test_errors_are_within_promised_ulp(name: str, dtype: type, which: str, isa: str) -> None:
    check(name, dtype, which, isa, points(dtype), exact_points(name, dtype))


@each
@dtypes
def test_errors_of_random_floats_are_within_promised_ulp(name: str, dtype: type) -> None:
    """Random finite floats, on the instruction set in use."""
    elements = st.one_of(
        npst.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False),
        npst.from_dtype(np.dtype(dtype), min_value=-50, max_value=50),
    )

    @settings(max_examples=10, deadline=None, database=None)
    @given(npst.arrays(dtype, st.integers(1, 8), elements=elements))
    def anywhere(x: np.ndarray) -> None:
        truths = [exact(name, dtype, v) for v in x.tolist()]
        for which in KINDS:
            check(name, dtype, which, _core.isa(), x, truths)

    anywhere()


@each
@dtypes
@pytest.mark.parametrize("which", ["ufunc", "grad"])
def test_limits_at_infinity(name: str, dtype: type, which: str, isa: str) -> None:
    """The value at infinity is the limit: that of the largest floats, an infinity, or NaN if the function oscillates."""
    f, far = ROWS[name][which], [dtype(1e30), dtype(1.5e30), dtype(2e30)]
    for sign in (1, -1):
        value, limit = f(sign * far[0], *parameters(name)), f(dtype(sign * np.inf), *parameters(name))
        slopes = [ROWS[name]["grad"](sign * x, *parameters(name)) for x in far]
        oscillates = np.isfinite(slopes).all() and np.ptp(slopes) > 1e-6
        if oscillates:
            assert np.isnan(limit)
        else:
            assert limit == np.copysign(np.inf, value) if abs(value) > 1e20 else abs(limit - value) < 1e-15, (sign, value, limit)


@each
@dtypes
def test_nan_stays_nan(name: str, dtype: type, isa: str) -> None:
    x = np.full(37, np.nan, dtype)
    assert np.isnan(ROWS[name]["ufunc"](x, *parameters(name))).all()


@each
@dtypes
def test_fma_instruction_sets_agree_to_the_bit(name: str, dtype: type) -> None:
    if not all(_core.isas().get(isa) for isa in ("avx2", "avx512")):
        pytest.skip("needs both avx2 and avx512")
    before, results = _core.isa(), []
    try:
        for isa in ("avx2", "avx512"):
            _core.set_isa(isa)
            x = points(dtype)
            results.append([ROWS[name][which](x, *parameters(name)).tobytes() for which in ("ufunc", "grad")])
    finally:
        _core.set_isa(before)
    assert results[0] == results[1]


@each_rowwise
@dtypes
def test_rowwise_functions_match_their_formulas(name: str, dtype: type, isa: str) -> None:
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(9, 21)) * 4).astype(dtype)
    wide = x.astype(np.longdouble)
    space = {f: getattr(np, f) for f in ("exp", "log", "max", "min", "sum", "maximum", "cumsum", "sort", "arange", "argmax")}
    expected = np.array([eval(ROWWISE[name]["formula"], space, {"x": row}) for row in wide])
    got = getattr(pynn, name)(x)
    assert got.dtype == dtype
    assert (np.abs(got - expected) <= (ROWWISE[name]["ulp"] + 0.5) * np.spacing(np.abs(expected).astype(dtype))).all()


@each_rowwise
@dtypes
def test_rowwise_functions_of_large_numbers(name: str, dtype: type, isa: str) -> None:
    x = np.array([[1e30, 0, -1e30], [1e4, 1e4, 1e4], [-1e4, 0, 0]], dtype)
    y = getattr(pynn, name)(x)
    assert not np.isnan(y).any()
    np.testing.assert_allclose((np.exp(y) if name.startswith("log") else y).sum(-1), 1, rtol=1e-6)


def test_known_values() -> None:
    np.testing.assert_array_equal(pynn.relu([-2.0, 0.0, 2.0]), [0, 0, 2])
    np.testing.assert_allclose(pynn.sigmoid([-2.0, 0.0, 2.0]), [0.1192, 0.5, 0.8808], atol=5e-5)
    np.testing.assert_allclose(pynn.softmax([1.0, 2.0, 3.0]), [0.0900, 0.2447, 0.6652], atol=5e-5)
    np.testing.assert_allclose(pynn.gelu(1.0), 0.8413447460685429, rtol=1e-15)
    np.testing.assert_allclose(pynn.gelu(1.0, "tanh"), 0.8411919906082768, rtol=1e-15)
