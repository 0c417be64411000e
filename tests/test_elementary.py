"""The elementary functions of formulas against mpmath: errors in units in the last place, and special values."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pynn import _core

mpmath = pytest.importorskip("mpmath")

OPS = {row["name"]: row for row in _core.FORMULA_OPS}


def clip(x: Any) -> Any:
    """Bring x into the range of mpmath's error function, which has its limits there."""
    return max(-1000, min(1000, x))


REFERENCES: dict[str, Callable[[Any], Any]] = {
    "sqrt": mpmath.sqrt,
    "square": lambda x: x * x,
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "atan": mpmath.atan,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "asinh": mpmath.asinh,
    "erf": lambda x: mpmath.erf(clip(x)),
    "erfc": lambda x: mpmath.erfc(clip(x)),
    "normcdf": lambda x: mpmath.erfc(-clip(x) / mpmath.sqrt(2)) / 2,
    "normpdf": lambda x: mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(-abs(x))) + max(x, 0),
}
LIMITS = {  # at inf and -inf
    **dict.fromkeys(("sinh", "asinh", "floor", "round"), (math.inf, -math.inf)),
    **dict.fromkeys(("cosh", "square", "abs"), (math.inf, math.inf)),
    **dict.fromkeys(("exp", "softplus"), (math.inf, 0.0)),
    **dict.fromkeys(("tanh", "erf", "sign"), (1.0, -1.0)),
    **dict.fromkeys(("sigmoid", "normcdf"), (1.0, 0.0)),
    **dict.fromkeys(("log", "log1p", "sqrt"), (math.inf, math.nan)),
    **dict.fromkeys(("sin", "cos", "tan"), (math.nan, math.nan)),
    "expm1": (math.inf, -1.0),
    "atan": (math.pi / 2, -math.pi / 2),
    "erfc": (0.0, 2.0),
    "normpdf": (0.0, 0.0),
    "neg": (-math.inf, math.inf),
}
ODD = ("sin", "tan", "atan", "sinh", "tanh", "asinh", "erf", "expm1", "log1p", "sqrt", "floor", "round")
UNARY = [name for name, row in OPS.items() if row["arity"] == 1]
types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def function(name: str) -> Callable[..., Any]:
    arity = OPS[name]["arity"]
    code = [*(("input", k) for k in range(arity)), (name, *range(arity))]
    return _core.Formula(code, [arity], inputs=arity).ufunc


def numbers(dtype: Any, n: int) -> np.ndarray:
    """Return numbers of all magnitudes, more of them where the functions are interesting."""
    r = np.random.default_rng(5)
    integer = np.int32 if dtype == np.float32 else np.int64
    info = np.iinfo(integer)
    bits = r.integers(info.min, info.max, n, dtype=integer).view(dtype)
    scaled = (r.normal(size=2 * n) * 10 ** r.uniform(-2, 2.9, 2 * n)).astype(dtype)
    edges = np.array(
        [0.4142135, 2.4142137, 0.25, 3.92, 1.0, 4.0, 10.05, 14.2, 27.2, 38.4, 88.7, 89.4, -103.9, 709.7, 710.4, -745.1, 1e8], dtype
    )
    x = np.concatenate([bits, scaled, edges, -edges, np.nextafter(edges, dtype(0)), np.finfo(dtype).tiny * np.array([1, -0.75], dtype)])
    return x[np.isfinite(x)]


def ulps(got: float, exact: Any, dtype: Any) -> float:
    """Return the error in units in the last place of the exact result."""
    info = np.finfo(dtype)
    if abs(exact) > mpmath.mpf(float(info.max)) * (1 + mpmath.mpf(float(info.eps)) / 4):
        return 0.0 if math.isinf(got) and (got > 0) == (exact > 0) else math.inf
    exponent = mpmath.frexp(exact)[1] if exact else info.minexp
    unit = mpmath.ldexp(1, max(int(exponent) - info.nmant - 1, int(info.minexp) - info.nmant))
    return float(abs(mpmath.mpf(got) - exact) / unit)


@pytest.mark.parametrize("name", REFERENCES)
@types
def test_error_is_within_the_promised_bound(name: str, dtype: Any, isa: str) -> None:
    x = numbers(dtype, 300)
    if name in ("log", "log1p", "sqrt"):
        x = x[x > (0 if name != "log1p" else -1)]
    if name in ("sin", "cos", "tan"):
        x = x[abs(x) < 1e15]
    y, allowed = function(name)(x), OPS[name]["ulp32" if dtype == np.float32 else "ulp64"]
    with mpmath.workdps(120):  # sin(1e15) and erfc(27) need many digits
        errors = [ulps(float(b), REFERENCES[name](mpmath.mpf(float(a))), dtype) for a, b in zip(x, y, strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= allowed, (errors[worst], float(x[worst]), float(y[worst]))


@types
def test_error_of_powers(dtype: Any, isa: str) -> None:
    r, x = np.random.default_rng(6), abs(numbers(dtype, 300))
    x = np.concatenate([x[x > 0], 1 + r.normal(size=500) * 10 ** r.uniform(-6, -0.5, 500)]).astype(dtype)
    x = x[(x > 0) & (x != 1)]
    largest = (89 if dtype == np.float32 else 710) / abs(np.log(x.astype(float)))
    y = (r.uniform(-1.1, 1.1, x.size) * np.minimum(largest, np.finfo(dtype).max / 4)).astype(dtype)
    y[::7] = np.round(np.clip(y[::7], -1e6, 1e6))
    z, allowed = function("pow")(x, y), OPS["pow"]["ulp32" if dtype == np.float32 else "ulp64"]
    with mpmath.workdps(60):
        errors = [ulps(float(c), mpmath.power(mpmath.mpf(float(a)), mpmath.mpf(float(b))), dtype) for a, b, c in zip(x, y, z, strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= allowed, (errors[worst], float(x[worst]), float(y[worst]), float(z[worst]))


@types
def test_special_cases_of_powers_are_those_of_c(dtype: Any, isa: str) -> None:
    values = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 1e-40, 1e30, 2.0**24 + 2, 2.0**52 + 1, 2.0**53, math.inf, math.nan]
    values = np.array([*values, *(-v for v in values)], dtype)
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    got = function("pow")(x, y)
    with np.errstate(all="ignore"):
        expected = np.array([_c_power(float(a), float(b)) for a, b in zip(x, y, strict=True)]).astype(dtype)
    exact = (expected == 0) | ~np.isfinite(expected) | (abs(expected) == 1)
    np.testing.assert_array_equal(got[exact], expected[exact])
    np.testing.assert_array_equal(np.signbit(got[expected == 0]), np.signbit(expected[expected == 0]))
    np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).smallest_subnormal)


def _c_power(x: float, y: float) -> float:
    """Return pow(x, y) of C, which math.pow is except that it raises errors."""
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf
    except ValueError:
        if x == 0:
            return math.copysign(math.inf, x) if y % 2 == 1 else math.inf
        return math.nan


@pytest.mark.parametrize("name", UNARY)
@types
def test_special_values(name: str, dtype: Any, isa: str) -> None:
    y = function(name)(np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0], dtype))
    assert np.isnan(y[:2]).all()
    np.testing.assert_allclose(y[2:4], LIMITS[name], rtol=np.finfo(dtype).eps)
    if name in ODD:
        np.testing.assert_array_equal(np.signbit(y[4:]), [False, True])
        np.testing.assert_array_equal(y[4:], 0.0)
    if name == "log":
        np.testing.assert_array_equal(function(name)(np.array([0.0, -0.0, -1.0], dtype)), [-np.inf, -np.inf, np.nan])


@types
def test_exact_functions(dtype: Any, isa: str) -> None:
    x = np.concatenate([numbers(dtype, 300), np.arange(-9, 10) / 2]).astype(dtype)
    for name, f in (("floor", np.floor), ("round", np.round), ("abs", np.abs), ("neg", np.negative), ("sign", np.sign)):
        np.testing.assert_array_equal(function(name)(x), f(x), err_msg=name)
    y = np.roll(x, 1)
    y[:3], x[1:4] = np.nan, np.nan
    for name, f in (("min", np.minimum), ("max", np.maximum), ("copysign", np.copysign)):
        np.testing.assert_array_equal(function(name)(x, y), f(x, y), err_msg=name)


@types
def test_instruction_sets_with_fma_agree(dtype: Any) -> None:
    if not all(_core.isas().get(name) for name in ("avx2", "avx512")):
        pytest.skip("needs both sets")
    x = numbers(dtype, 20_000)
    y = np.roll(x, 5)
    for name, row in OPS.items():
        f, results, before = function(name), [], _core.isa()
        try:
            for isa in ("avx2", "avx512"):
                _core.set_isa(isa)
                results.append(f(*(x, y, x[::-1])[: row["arity"]]))
        finally:
            _core.set_isa(before)
        np.testing.assert_array_equal(*results, err_msg=name)


@types
def test_slope_of_the_sigmoid(dtype: Any, isa: str) -> None:
    """A program computes it with the sigmoid, and not as the row of the table does, but as accurately."""
    x = numbers(dtype, 300)
    y = _core.Formula([("input", 0), ("derivative", "sigmoid", 0)], [1]).ufunc(x)
    with mpmath.workdps(60):
        e = [mpmath.exp(-abs(mpmath.mpf(float(a)))) for a in x]
        errors = [ulps(float(b), t / (1 + t) ** 2, dtype) for t, b in zip(e, y, strict=True)]
    assert max(errors) <= 3
    special = _core.Formula([("input", 0), ("derivative", "sigmoid", 0)], [1]).ufunc(np.array([np.nan, np.inf, -np.inf, 0.0], dtype))
    np.testing.assert_array_equal(special, [np.nan, 0.0, 0.0, 0.25])


@pytest.mark.parametrize("pair", [(("sin",), ("cos",)), (("exp",), ("expm1",)), (("sigmoid",), ("derivative", "sigmoid"))])
@types
def test_functions_computed_in_pairs_have_the_bits_that_each_has_alone(pair: Any, dtype: Any, isa: str) -> None:
    x = np.concatenate([numbers(dtype, 2000), np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)])
    for first, second in (pair, pair[::-1]):
        one, two = (_core.Formula([("input", 0), (*f, 0)], [1]).ufunc(x) for f in (first, second))
        code = [("input", 0), (*first, 0), (*second, 0), ("constant", 2.0), ("div", 2, 3), ("copysign", 1, 4)]
        got = _core.Formula([*code, ("copysign", 2, 1)], [5, 6])
        np.testing.assert_array_equal(got.ufunc(x), np.copysign(one, two))
        np.testing.assert_array_equal(got.grad(x), np.copysign(two, one))
