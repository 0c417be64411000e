"""``pynn.testing.check_activation``: what it says about formulas, layers, names and Python functions."""

import importlib
import math
from typing import Any

import mpmath
import numpy as np
import pytest

import pynn
import pynn.testing
from pynn import _core
from pynn._formula import evaluate
from pynn._formula.exact import exact
from pynn._formula.inline import inlined
from pynn._formula.nodes import call, neg
from pynn._formula.parser import read
from pynn.testing import check_activation


def texts(f: Any, **parameters: Any) -> str:
    """Return the report as text, after checking its form."""
    report = check_activation(f, **parameters)
    text = str(report)
    assert all(len(line) <= 79 for line in text.splitlines())
    assert ("no problems" in text.splitlines()[-1]) == report.ok
    if report.ok:
        report.raise_if_wrong()
    else:
        with pytest.raises(AssertionError, match="problem: "):
            report.raise_if_wrong()
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("formula", "better"),
    [
        ("log(1 + exp(x))", "softplus(x) instead of log(1 + exp(x))"),
        ("x * log(1 + exp(x))", "softplus(x) instead of log(1 + exp(x))"),
        ("1 / (1 + exp(-x))", "sigmoid(x) instead of 1 / (1 + exp(-x))"),
        ("exp(x) / (1 + exp(x))", "sigmoid(x) instead of exp(x) / (1 + exp(x))"),
        ("exp(x) - 1", "expm1(x) instead of exp(x) - 1"),
        ("x * log(1 + abs(x))", "log1p(abs(x)) instead of log(1 + abs(x))"),
        ("1 - erf(x)", "erfc(x) instead of 1 - erf(x)"),
        ("x * 0.5 * (1 + erf(x / sqrt(2)))", "gelu(x) instead of x * 0.5 * (1 + erf(x / sqrt(2)))"),
        ("x * tanh(log(1 + exp(x)))", "mish(x) instead of x * tanh(log(1 + exp(x)))"),
        ("x * (1 - cos(x))", "2 * sin(0.5 * x)**2 instead of 1 - cos(x)"),
        ("log(x + sqrt(x**2 + 1))", "asinh(x) instead of log(x + sqrt(x**2 + 1))"),
        ("where(x > 0, x, 0.1 * x)", "leaky_relu(x, 0.1) instead of where(x > 0, x, 0.1 * x)"),
    ],
)
def test_stable_forms_are_suggested(formula: str, better: str) -> None:
    report = check_activation(formula)
    assert f"write {better}" in report.suggestions
    assert max(e.ulp for e in report.errors.values()) < 30
    assert report.written_errors["value"].ulp >= 0.5


def test_overflow_of_the_formula_as_it_is_written() -> None:
    text = texts("log(1 + exp(x))")
    assert "runs as softplus(x), a function of the library" in text
    assert "computed as written: exp(x) overflows for x > 709.783" in text
    assert "computed as written: the value at x = 710.5 is inf, expected 710.5" in text
    report = check_activation("log(1 + exp(x))")
    assert report.row == "softplus(x)"
    assert report.ok
    assert math.isinf(report.written_errors["value"].ulp)
    assert report.written_errors["value"].expected == pytest.approx(710.5)
    assert report.limits == (0.0, math.inf)


def test_overflow_that_nothing_replaces_is_a_problem() -> None:
    text = texts("x / cosh(x) * sinh(x)")
    assert "problem: the value at x = " in text
    assert "(a part overflows, or is not a number)" in text


def test_cancellation_is_found_and_measured() -> None:
    report = check_activation("sqrt(x**2 + 1) - 1")
    assert report.errors["value", "float64"].ulp > 2.0**40
    assert any("terms cancel" in problem for problem in report.problems)
    fine = check_activation("x**2 / (sqrt(x**2 + 1) + 1)")
    assert fine.errors["value", "float64"].ulp < 8


def test_cancellation_in_the_derivative_alone() -> None:
    report = check_activation("where(x == 0, 1, sin(x) / x)")
    assert report.errors["value", "float64"].ulp < 4
    assert any(problem.startswith("the derivative at x = ") for problem in report.problems)


def test_wrong_limits() -> None:
    assert check_activation("x * sigmoid(x + 1)").problems == ("the value at -inf is nan, the limit is 0",)
    assert "the value at inf is nan, the limit is 1" in check_activation("x / sqrt(1 + x**2)").problems
    report = check_activation("x * sigmoid(x)")
    assert report.ok
    assert report.limits == (0.0, math.inf)
    assert np.isnan(check_activation("sin(x)").limits).all()
    assert check_activation("atan(x)").limits == (pytest.approx(-math.pi / 2), pytest.approx(math.pi / 2))


def test_kinks_and_jumps() -> None:
    (kink,) = check_activation("where(x > 1, 2*x - 1, x)").kinks
    assert (kink.x, kink.slopes, kink.jumps) == (1.0, (1.0, 2.0), False)
    assert "note: kink at x = 0: the slope goes from 0 to 1; there it is 0" in texts("max(x, 0)")
    assert "note: jump at x = 0.5 from 0 to 1, which no gradient shows" in texts("where(x > 0.5, 1, 0)")
    assert check_activation("where(x > 0, x**2, 0)").kinks == ()
    assert check_activation("where(x > 0, x + 1, exp(x))").kinks == ()
    assert [k.x for k in check_activation("clip(x, -2, 3)").kinks] == [-2.0, 3.0]
    assert len(check_activation("abs(sin(x))").kinks) >= 6


def test_values_that_are_not_real_are_found() -> None:
    assert any("is not a real number" in problem for problem in check_activation("sqrt(x)").problems)
    assert any("is not a real number" in problem for problem in check_activation("log(x) * x").problems)


def test_wrong_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(importlib.import_module("pynn._formula.derivative").RULES, "sin", lambda a, y: neg(call("cos", a)))
    report = check_activation("x * sin(x) + 0.125 * x")
    assert any("differences give" in problem for problem in report.problems)


def test_parameters() -> None:
    text = texts("x * sigmoid(a*x) + b", a=2.0, b=0.5)
    assert "the limit is 0.5" in text
    assert check_activation("where(x > 0, x, a*x)", a=0.2).row == "leaky_relu(x, 0.2)"
    assert check_activation("elu", alpha=2.0).row == "elu(x, 2.0)"
    with pytest.raises(TypeError, match="beta: elu has the parameters alpha"):
        check_activation("elu", beta=2.0)
    with pytest.raises(TypeError, match="a: only formulas have parameters"):
        check_activation(np.tanh, a=1.0)


@pytest.mark.parametrize("name", [row["name"] for row in _core.ACTIVATIONS if row["name"] not in ("gelu", "gelu_tanh", "threshold")])
def test_rows_of_the_table_have_no_problems(name: str) -> None:
    report = check_activation(name)
    report.raise_if_wrong()
    row = next(row for row in _core.ACTIVATIONS if row["name"] == name)
    for dtype in ("float64", "float32"):
        assert report.errors["value", dtype].ulp <= max(row["ulp"], 4 if _core.isa() == "base" else 0)
        assert report.errors["derivative", dtype].ulp <= row["grad_ulp"] + 2


def test_layers() -> None:
    assert check_activation(pynn.LeakyReLU(0.3)).row == "leaky_relu(x, 0.3)"
    assert check_activation(pynn.GELU(approximate="tanh")).row == "gelu_tanh(x)"


def test_python_functions() -> None:
    assert check_activation(np.tanh, df=lambda x: 1 - np.tanh(x) ** 2).ok
    text = texts(lambda x: np.log(1 + np.exp(x)))
    assert "f is inf at x = 1000: a part overflows, or is not a number" in text
    assert "df is wrong at x = 0.0137: it gives 0, central differences give 1" in texts(lambda x: np.maximum(x, 0), df=lambda x: 0 * x)
    assert "f(nan) is 0, expected nan: NaN in the data would be hidden" in texts(lambda x: np.where(x > 0, x, 0 * np.nan_to_num(x)))
    assert "f returns float64 for float32" in texts(lambda x: np.tanh(x) * np.float64(2) + np.zeros(1))
    assert "f returns the shape (1,) for an input of shape" in texts(lambda x: x[:1])
    assert "the value at inf is nan, the limit is 1" in texts(lambda x: x / np.sqrt(1 + x * x))
    assert check_activation(pynn.Activation("sine", np.sin, np.cos)).ok


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="unknown name 'y'"):
        check_activation("y + x")
    with pytest.raises(TypeError, match="f: expected a formula"):
        check_activation(pynn.Linear(2, 2))
    with pytest.raises(TypeError, match="f: expected a formula"):
        check_activation(1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="df belongs to a Python function"):
        check_activation("x", df=np.tanh)


def test_exact_values_do_not_depend_on_cancellation() -> None:
    mp = mpmath.mp.clone()
    mp.dps = 400
    for text, x in (("exp(x) - 1 - x", 1e-30), ("log(1 + exp(x))", -300.0), ("1 - erf(x)", 20.0), ("sqrt(1 + x) - 1", 1e-60)):
        plain = {"exp(x) - 1 - x": lambda v: mp.exp(v) - 1 - v, "log(1 + exp(x))": lambda v: mp.log(1 + mp.exp(v))}
        other = {"1 - erf(x)": lambda v: mp.erfc(v), "sqrt(1 + x) - 1": lambda v: mp.sqrt(1 + v) - 1}
        expected = (plain | other)[text](mp.mpf(x))
        assert abs(exact(inlined(read(text)), {"x": x}) - expected) < abs(expected) * mp.mpf(10) ** -50


def test_constants_have_fifty_digits() -> None:
    for text, value in (("sqrt(2 / pi)", mpmath.sqrt(2 / mpmath.pi)), ("exp(-1.5) * e**2", mpmath.exp(0.5)), ("3**0.5", mpmath.sqrt(3))):
        assert float(evaluate.constant(read(f"x * ({text})").args[1])) == float(value)
