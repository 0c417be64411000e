"""Every activation of the table against its own formula: values, derivatives, limits. A new row is tested with no edit here.

The formula is evaluated with 150 digits; derivatives are its difference quotients.
"""

import ast
import functools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import pynn
from pynn import _core
from pynn._tables import REQUIRED, parse_parameters

ROWS = {row["name"]: row for row in _core.ACTIVATIONS}
ROWWISE = {row["name"]: row for row in _core.ROWWISE}
each = pytest.mark.parametrize("name", ROWS)
each_rowwise = pytest.mark.parametrize("name", ROWWISE)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])

mp = mpmath.mp.clone()
mp.dps = 150
FUNCTIONS: dict[str, Any] = {
    **{name: getattr(mp, name) for name in ("exp", "expm1", "log", "log1p", "tanh", "sin", "cos", "sqrt", "erf", "erfc")},
    "pi": mp.pi,
    "maximum": max,
    "minimum": min,
    "abs": abs,
    "sign": mp.sign,
    "clip": lambda x, low, high: min(max(x, low), high),
    "isnan": mp.isnan,
    "mpf": mp.mpf,
}


class _Exact(ast.NodeTransformer):
    """Arithmetic on doubles as they are written, but without their rounding."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.copy_location(ast.Call(ast.Name("mpf", ast.Load()), [node], []), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Only the branch that ``where`` takes is computed."""
        self.generic_visit(node)
        return ast.IfExp(*node.args) if isinstance(node.func, ast.Name) and node.func.id == "where" else node


def compile_formula(text: str) -> Callable[..., Any]:
    tree = _Exact().visit(ast.parse(text, mode="eval"))
    code = compile(ast.fix_missing_locations(tree), text, "eval")

    def formula(x: Any, **given: Any) -> Any:
        try:
            return mp.mpf(eval(code, FUNCTIONS, {"x": x, **given}))
        except ZeroDivisionError:  # a removable singularity: NumPy's 1 / (3 / 0) is 0
            return mp.mpf(eval(code, FUNCTIONS, {"x": x + mp.mpf(10) ** -400, **given}))

    return formula


def parameters(name: str) -> list[float]:
    """The row's defaults, and 0.5, 1.0 for those that have none."""
    defaults = parse_parameters(ROWS[name]["params"]).defaults.values()
    return [0.5 * i if value is REQUIRED else value for i, value in enumerate(defaults, 1)]


def points(dtype: type) -> np.ndarray:
    """Grid with all the usual kinks, tails, tiny numbers and subnormals."""
    info = np.finfo(dtype)
    positive = np.concatenate(
        [np.linspace(0, 9, 73), [10.3, 15.7, 16.6, 20.1, 30, 37.5, 50, 80, 87.4, 88.5, 100, 1000, 1e10], np.logspace(-30, -0.5, 21)]
    )
    small = np.array([info.smallest_subnormal, info.tiny, info.tiny * 1.5])
    positive = np.concatenate([positive.astype(dtype), small.astype(dtype)])
    return np.concatenate([-positive[::-1], positive])


@functools.cache
def exact(name: str, dtype: type) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Values at the points, and the difference quotients to the left and to the right."""
    formula = compile_formula(ROWS[name]["formula"])
    names = parse_parameters(ROWS[name]["params"]).defaults
    given = {n: mp.mpf(float(dtype(v))) for n, v in zip(names, parameters(name), strict=True)}
    values, slopes = [], []
    for x in map(mp.mpf, points(dtype).tolist()):
        h = max(abs(x), mp.mpf(10) ** -30) * mp.mpf(10) ** -25
        low, value, high = (formula(x=t, **given) for t in (x - h, x, x + h))
        values.append(value)
        slopes.append(((value - low) / h, (high - value) / h))
    return values, slopes


def ulps(got: Any, want: Any, dtype: type, floor: float = 0.0) -> float:
    """The distance in units in the last place of ``want``, or of ``floor`` if that is larger.

    Below the normal numbers they no longer shrink.
    """
    info = np.finfo(dtype)
    if not np.isfinite(got):
        return 0.0 if mp.isinf(want) or abs(want) >= float(info.max) else float("inf")
    size = max(abs(want), floor)
    exponent = max(int(mp.floor(mp.log(size, 2))) if size else info.minexp, info.minexp)
    return float(abs(mp.mpf(float(got)) - want) / mp.mpf(2) ** (exponent - info.nmant))


@each
@dtypes
def test_values_are_within_the_promise(name: str, dtype: type, isa: str) -> None:
    x = points(dtype)
    got = ROWS[name]["ufunc"](x, *parameters(name))
    assert got.dtype == dtype
    errors = [ulps(g, w, dtype) for g, w in zip(got, exact(name, dtype)[0], strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= max(ROWS[name]["ulp"], 0.5), (x[worst], got[worst], errors[worst])


def surroundings(name: str, x: np.ndarray) -> np.ndarray:
    """The size of the derivative in the neighbourhood: where it crosses zero, its error is that of the terms that cancel."""
    given = parameters(name)
    return np.max([np.abs(ROWS[name]["grad"](x.astype(float) + step, *given)) for step in (-0.7, 0.0, 0.7)], axis=0)


@each
@dtypes
def test_derivatives_are_within_the_promise(name: str, dtype: type, isa: str) -> None:
    """At a kink the derivative is that of one of its sides; units in the last place are those of the neighbourhood."""
    x = points(dtype)
    got = ROWS[name]["grad"](x, *parameters(name))
    assert got.dtype == dtype
    each_point = zip(got, exact(name, dtype)[1], surroundings(name, x), strict=True)
    errors = [min(ulps(g, slope, dtype, size) for slope in both) for g, both, size in each_point]
    worst = int(np.argmax(errors))
    assert errors[worst] <= max(ROWS[name]["grad_ulp"], 0.5) + 1e-6, (x[worst], got[worst], errors[worst])


@each
@dtypes
@pytest.mark.parametrize("which", ["ufunc", "grad"])
def test_limits_at_infinity(name: str, dtype: type, which: str, isa: str) -> None:
    """As far as numbers go the function has settled or still grows, and infinity continues either; NaN where it swings for ever."""
    f, far = ROWS[name][which], [dtype(1e30), dtype(1.5e30), dtype(2e30)]
    for sign in (1, -1):
        value, limit = f(sign * far[0], *parameters(name)), f(dtype(sign * np.inf), *parameters(name))
        slopes = [ROWS[name]["grad"](sign * x, *parameters(name)) for x in far]
        if np.ptp(slopes) > 1e-6:
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
def test_rows_against_their_formula(name: str, dtype: type, isa: str) -> None:
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(9, 21)) * 4).astype(dtype)
    wide = x.astype(np.longdouble)
    space = {f: getattr(np, f) for f in ("exp", "log", "max", "min", "sum")}
    want = np.array([eval(ROWWISE[name]["formula"], space, {"x": row}) for row in wide])
    got = getattr(pynn, name)(x)
    assert got.dtype == dtype
    np.testing.assert_array_less(np.abs(got - want), (ROWWISE[name]["ulp"] + 0.5) * np.spacing(np.abs(want).astype(dtype)))


@each_rowwise
@dtypes
def test_rows_survive_large_numbers(name: str, dtype: type, isa: str) -> None:
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
