"""The engine of formulas: programs, their ufuncs, and errors in programs."""

import gc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pynn import _core

Code = list[tuple[Any, ...]]
OPS = {row["name"]: row for row in _core.FORMULA_OPS}
floats = pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])

MISH: Code = [("input", 0), ("softplus", 0), ("tanh", 1), ("mul", 0, 2)]
SNAKE: Code = [("input", 0), ("parameter", 0), ("mul", 1, 0), ("sin", 2), ("square", 3), ("div", 4, 1), ("add", 0, 5)]
HUBER: Code = [
    *(("input", 0), ("input", 1), ("parameter", 0), ("sub", 0, 1), ("abs", 3), ("lt", 4, 2), ("square", 3), ("constant", 0.5)),
    *(("mul", 6, 7), ("mul", 2, 7), ("sub", 4, 9), ("mul", 2, 10), ("select", 5, 8, 11)),
]


def same(a: Any, b: Any) -> None:
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert a.tobytes() == b.tobytes()


def sample(n: int, dtype: Any = np.float64) -> np.ndarray:
    return (np.random.default_rng(3).normal(size=n) * 3).astype(dtype)


def test_a_program_computes_its_formula(isa: str) -> None:
    x, t = sample(5000), sample(5000)[::-1]
    np.testing.assert_allclose(_core.Formula(MISH, [3]).ufunc(x), x * np.tanh(np.log1p(np.exp(x))), rtol=1e-14)
    snake = _core.Formula(SNAKE, [6], parameters=1).ufunc
    np.testing.assert_allclose(snake(x, 2.0), x + np.sin(2 * x) ** 2 / 2, rtol=1e-13, atol=1e-15)
    slopes = np.linspace(0.5, 2, x.size)
    np.testing.assert_allclose(snake(x, slopes), x + np.sin(slopes * x) ** 2 / slopes, rtol=1e-13, atol=1e-15)
    distance = abs(x - t)
    expected = np.where(distance < 1.5, distance**2 / 2, 1.5 * (distance - 0.75))
    np.testing.assert_allclose(_core.Formula(HUBER, [12], inputs=2, parameters=1).ufunc(x, t, 1.5), expected, rtol=1e-14)


@floats
def test_bits_do_not_depend_on_position_or_layout(dtype: Any, isa: str) -> None:
    x = sample(3001, dtype)
    parameter = np.linspace(0.5, 2, x.size, dtype=np.float64 if dtype == np.float64 else np.float32)
    for code, output, parameters in ((MISH, 3, []), (SNAKE, 6, [parameter])):
        ufunc = _core.Formula(code, [output], parameters=len(parameters)).ufunc
        expected = np.array([ufunc(v, *[p[i] for p in parameters]) for i, v in enumerate(x)])
        assert expected.dtype == dtype
        for view in (np.s_[:], np.s_[1:], np.s_[5:22], np.s_[::3], np.s_[::-1], np.s_[7:8], np.s_[:0]):
            same(ufunc(x[view], *[p[view] for p in parameters]), np.ascontiguousarray(expected[view]))
        out = x.copy()
        ufunc(out, *parameters, out=out)
        same(out, expected)


@floats
def test_bits_do_not_depend_on_threads(dtype: Any) -> None:
    import pynn

    x = sample(400_003, dtype)
    ufunc = _core.Formula(MISH, [3]).ufunc
    expected = np.concatenate([ufunc(piece) for piece in np.split(x, range(1000, x.size, 1000))])
    for threads in (1, 2, 7):
        with pynn.num_threads(threads):
            same(ufunc(x), expected)
            same(ufunc(x[::-5]), np.ascontiguousarray(expected[::-5]))


def test_an_output_may_be_the_input_that_later_instructions_read() -> None:
    """The derivative x + 1 is stored before the value reads x again."""
    code: Code = [("input", 0), ("constant", 1.0), ("add", 0, 1), ("tanh", 2), ("mul", 3, 0), ("sub", 4, 0)]
    ufunc = _core.Formula(code, [5]).ufunc
    x = sample(3000)
    expected = ufunc(x)
    ufunc(x, out=x)
    same(x, expected)


@pytest.mark.parametrize(
    ("op", "f"),
    [
        ("lt", np.less),
        ("le", np.less_equal),
        ("gt", np.greater),
        ("ge", np.greater_equal),
        ("eq", np.equal),
        ("ne", np.not_equal),
    ],
)
def test_conditions(op: str, f: Callable[..., Any], isa: str) -> None:
    """A selection may be fused with its comparison, which may also be used otherwise."""
    values = np.array([0.0, -0.0, 1.0, -2.0, np.nan, np.inf, -np.inf])
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    code: Code = [("input", 0), ("input", 1), (op, 0, 1), ("constant", 3.0), ("constant", 4.0), ("select", 2, 3, 4), ("add", 5, 2)]
    np.testing.assert_array_equal(_core.Formula(code, [5], inputs=2).ufunc(x, y), np.where(f(x, y), 3.0, 4.0))
    np.testing.assert_array_equal(_core.Formula(code, [6], inputs=2).ufunc(x, y), np.where(f(x, y), 4.0, 4.0))
    np.testing.assert_array_equal(_core.Formula(code, [2], inputs=2).ufunc(x, y), f(x, y).astype(float))
    both: Code = [*code[:3], ("and", 2, 0), ("or", 2, 1), ("select", 3, 0, 1), ("select", 4, 0, 1), ("select", 0, 0, 1)]
    np.testing.assert_array_equal(_core.Formula(both, [5], inputs=2).ufunc(x, y), np.where(f(x, y) & (x != 0), x, y))
    np.testing.assert_array_equal(_core.Formula(both, [6], inputs=2).ufunc(x, y), np.where(f(x, y) | (y != 0), x, y))
    np.testing.assert_array_equal(_core.Formula(both, [7], inputs=2).ufunc(x, y), np.where(x != 0, x, y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outer", ["add", "sub", "mul"])
@pytest.mark.parametrize("inner", ["add", "sub", "mul"])
@pytest.mark.parametrize("at", [0, 1])
def test_fused_operations_round_like_single_ones(outer: str, inner: str, at: int, dtype: Any, isa: str) -> None:
    f = {"add": np.add, "sub": np.subtract, "mul": np.multiply}
    x, y = sample(2000, dtype), sample(2000, dtype)[::-1].copy()
    for third in (0, 2):  # an input, or a parameter
        z = x if third == 0 else dtype(0.3)
        code: Code = [("input", 0), ("input", 1), ("parameter", 0), (inner, 0, 1), (outer, *((3, third) if at == 0 else (third, 3)))]
        middle = f[inner](x, y)
        expected = f[outer](middle, z) if at == 0 else f[outer](z, middle)
        same(_core.Formula(code, [4], inputs=2, parameters=1).ufunc(x, y, 0.3), expected)
        same(_core.Formula([*code, ("add", 4, 3)], [5], inputs=2, parameters=1).ufunc(x, y, 0.3), expected + middle)


def test_division_by_a_power_of_two_is_exact(isa: str) -> None:
    x = sample(500, np.float32)
    for divisor in (2.0, -0.25, 2.0**90, 3.0, 2.0**-140):
        ufunc = _core.Formula([("input", 0), ("constant", divisor), ("div", 0, 1)], [2]).ufunc
        with np.errstate(all="ignore"):
            same(ufunc(x), x / np.float32(divisor))


def test_outputs() -> None:
    """An output may be an input, a constant, a parameter or the same value as another one, and None if it is not needed."""
    code: Code = [("input", 0), ("constant", 2.0), ("parameter", 0), ("mul", 1, 2), ("mul", 0, 3)]
    x = sample(700)
    for output, expected in ((0, x), (1, 0 * x + 2), (2, 0 * x + 7), (3, 0 * x + 14), (4, 14 * x)):
        formula = _core.Formula(code, [output, None, output], parameters=1)
        np.testing.assert_array_equal(formula.ufunc(x, 7.0), expected)
        np.testing.assert_array_equal(formula.parameter_grads[0](x, 7.0), expected)
        np.testing.assert_array_equal(formula.ufunc(x, np.full(700, 7.0)), expected)
        assert formula.grad is None
        assert formula.input_grads == (None,)


def test_activations_in_programs() -> None:
    import pynn

    code: Code = [("input", 0), ("activation", "leaky_relu", 0, 0.1), ("derivative", "leaky_relu", 0, 0.1)]
    formula, x = _core.Formula(code, [1, 2]), sample(100)
    same(formula.ufunc(x), pynn.leaky_relu(x, 0.1))
    same(formula.grad(x), pynn.grad.leaky_relu(x, 0.1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([("gamma", 0)], [0]), "instruction 0: the operation does not exist"),
        (([("input", 1)], [0]), "instruction 0: input 1 does not exist; there are 1 inputs and 0 parameters"),
        (([("parameter", 0)], [0]), "instruction 0: parameter 0 does not exist"),
        (([("input", 0), ("add", 0, 1)], [1]), "instruction 1: an operand is not the index of an earlier"),
        (([("input", 0), ("add", 0, -1)], [1]), "instruction 1: an operand is not"),
        (([("input", 0), ("add", 0, 10**30)], [1]), "instruction 1: an operand is not"),
        (([("input", 0), ("add", 0)], [1]), "instruction 1: the operation has another number of operands"),
        (([("input", 0)], [1]), "output 0: value 1 does not exist"),
        (([("input", 0)], [-2]), r"outputs\[0\]: expected the index"),
        (([("input", 0)], ["0"]), r"outputs\[0\]: expected the index"),
        (([("input", 0)], []), "outputs: expected 1 to 64, got 0"),
        (([("input", 0)], [0] * 65), "outputs: expected 1 to 64, got 65"),
        (([("input", 0)], [0], 4), "inputs: expected 1 to 3, got 4"),
        (([("input", 0)], [0], 0), "inputs: expected 1 to 3, got 0"),
        (([("input", 0)], [0], 1, 17), "parameters: expected at most 16, got 17"),
        (([("input", 0)], [0], -1), "must not be negative"),
        (([3], [0]), "instruction 0: expected a tuple"),
        (([()], [0]), "instruction 0: expected a tuple"),
        (([("\ud800", 0)], [0]), "instruction 0: expected a tuple"),
        (([("constant", "x")], [0]), "instruction 0: expected a number"),
        (([("constant", 10**400)], [0]), "instruction 0: expected a number"),
        (([("constant",)], [0]), "instruction 0: expected a name and one number"),
        (([("input", 0), ("activation", "gamma", 0)], [1]), "instruction 1: expected the name of an activation"),
        (([("input", 0), ("activation", "leaky_relu", 0)], [1]), "instruction 1: the activation has another number"),
        (([("input", 0), ("activation", "relu", 1)], [1]), "instruction 1: an operand is not"),
    ],
)
def test_a_malformed_program_is_an_error(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Formula(*arguments)


def test_a_program_that_needs_too_much_memory_is_an_error() -> None:
    """All values of the first half are needed until the end."""
    n = 1100
    code: Code = [("input", 0), *(("exp", i) for i in range(n)), ("neg", n)]
    code += [("add", len(code) - 1 + i, n - i) for i in range(n)]
    with pytest.raises(ValueError, match="the formula is too large: it needs"):
        _core.Formula(code, [len(code) - 1]).ufunc  # noqa: B018
    code = [("input", 0), *(("cos", i) for i in range(300)), ("neg", 300)]
    code += [("add", len(code) - 1 + i, 300 - i) for i in range(300)]
    x, y = sample(1000), sample(1000)
    expected = 0.0
    for _ in range(300):
        y = np.cos(y)
        expected = expected + y
    np.testing.assert_allclose(_core.Formula(code, [len(code) - 1]).ufunc(x), expected - y, rtol=1e-12)


def test_ufuncs_outlive_their_formula_and_leave_nothing() -> None:
    ufunc = _core.Formula(MISH, [3]).ufunc
    gc.collect()
    assert math.isclose(ufunc(1.0), 0.8650983882673103, rel_tol=1e-14)
    for text in ("one", "two"):
        _core.set_doc(ufunc, text)
        gc.collect()
        assert text in ufunc.__doc__
        assert math.isclose(ufunc(1.0), 0.8650983882673103, rel_tol=1e-14)
    with pytest.raises(ValueError, match="not one of this module"):
        _core.set_doc(np.frompyfunc(abs, 1, 1), "text")
