"""Plots: panels, lines, and errors for invalid arguments."""

import functools
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn._tables import REQUIRED, parse_parameters

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

ALONE = [row["name"] for row in _core.ACTIVATIONS if REQUIRED not in parse_parameters(row["params"]).defaults.values()]


@pytest.fixture(autouse=True)
def _pictures_in_memory() -> Iterator[None]:
    matplotlib.use("Agg")  # other tests may have selected another backend in this process
    yield
    pyplot.close("all")


def line(axes: Any, label: str) -> tuple[Any, Any]:
    """Return the points of a line, without its interruptions."""
    (found,) = [drawn for drawn in axes.lines if drawn.get_label() == label]
    x, y = found.get_data()
    return x[~np.isnan(y)], y[~np.isnan(y)]


def test_values_and_derivatives_share_two_panels() -> None:
    figure = pynn.plot.activations(["relu", "gelu", "tanh"])
    left, right = figure.axes
    for name in ("relu", "gelu", "tanh"):
        x, y = line(left, name)
        np.testing.assert_array_equal(y, getattr(pynn, name)(x))
        x, y = line(right, name)
        np.testing.assert_array_equal(y, getattr(pynn.grad, name)(x))
        assert (x[0], x[-1]) == (-7, 7)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["relu", "gelu", "tanh"]
    assert len({drawn.get_color() for drawn in left.lines if not drawn.get_label().startswith("_")}) == 3


def test_every_activation_has_a_panel() -> None:
    figure = pynn.plot.activations()
    assert [axes.get_title() for axes in figure.axes] == ALONE
    for axes, name in zip(figure.axes, ALONE, strict=True):
        x, y = line(axes, "value")
        np.testing.assert_array_equal(y, getattr(pynn, name)(x))
        x, y = line(axes, "derivative")
        np.testing.assert_array_equal(y, getattr(pynn.grad, name)(x))
    figure.canvas.draw()


@pytest.mark.parametrize("count", [1, 2, 8, 9, 12, 13])
def test_panels_for_any_number_of_functions(count: int) -> None:
    figure = pynn.plot.activations(ALONE[:count], derivatives=False)
    assert len(figure.axes) == (1 if count <= 8 else count)
    figure.canvas.draw()


def test_accepts_names_functions_classes_and_layers() -> None:
    x = np.linspace(-3, 2, 50)
    layer = pynn.LeakyReLU(0.2)
    layer(np.ones(3))
    figure = pynn.plot.activations(
        [pynn.silu, pynn.elu, functools.partial(pynn.leaky_relu, negative_slope=0.3), pynn.Tanh, layer, np.square], x, title="Six"
    )
    slopes = {
        "silu": pynn.grad.silu(x),
        "elu": pynn.grad.elu(x),
        "leaky_relu(negative_slope=0.3)": pynn.grad.leaky_relu(x, 0.3),
        "Tanh": 1 - np.tanh(x) ** 2,
        "LeakyReLU(negative_slope=0.2)": pynn.grad.leaky_relu(x, 0.2),
    }
    for label, expected in slopes.items():
        np.testing.assert_allclose(line(figure.axes[1], label)[1], expected, rtol=1e-12)
    np.testing.assert_allclose(line(figure.axes[1], "square")[1][1:-1], 2 * x[1:-1])
    assert figure.get_suptitle() == "Six"
    np.testing.assert_array_equal(layer.backward(np.ones(3)), np.ones(3))  # plotting does not change the state of the given layer


def test_accepts_a_single_function() -> None:
    for one in ("relu", pynn.relu, pynn.ReLU, pynn.ReLU()):
        assert len(pynn.plot.activations(one).axes) == 2


def test_lines_are_broken_at_discontinuities() -> None:
    left, right = pynn.plot.activations(["binary_step", "tanh"]).axes
    whole = {drawn.get_label(): drawn.get_ydata() for drawn in left.lines}
    assert np.isnan(whole["binary_step"]).sum() == 1
    assert not np.isnan(whole["tanh"]).any()
    assert not any(np.isnan(drawn.get_ydata()).any() for drawn in right.lines)
    (jump,) = [drawn for drawn in left.lines if drawn.get_label() == "_" and len(drawn.get_xdata()) == 2 and np.ptp(drawn.get_ydata())]
    np.testing.assert_array_equal(jump.get_ydata(), [0, 1])


def test_non_finite_values() -> None:
    def everywhere_nan(x: Any) -> Any:
        return x * np.nan

    with np.errstate(all="ignore"):
        pynn.plot.activations([np.log, everywhere_nan]).canvas.draw()


def test_invalid_arguments_raise_helpful_errors() -> None:
    with pytest.raises(ValueError, match=r"unknown activation 'reul'; did you mean 'relu'"):
        pynn.plot.activations(["reul"])
    with pytest.raises(TypeError, match="expected names, functions, layer classes or layers, got 3"):
        pynn.plot.activations([3])
    with pytest.raises(ValueError, match="at least one"):
        pynn.plot.activations([])
    for rows in (pynn.softmax, pynn.Softmax(), np.sum):
        with pytest.raises(ValueError, match=r"functions: cannot plot (softmax|Softmax\(dim=-1\)|sum); expected an elementwise function"):
            pynn.plot.activations(rows)
    for x in (np.zeros(3), [1.0], [[1.0, 2.0]], [1.0, np.nan]):
        with pytest.raises(ValueError, match="x: expected two or more increasing numbers"):
            pynn.plot.activations("relu", x)
    with pytest.raises(TypeError, match="x: dtype complex128"):
        pynn.plot.activations("relu", [1j, 2])


def test_matplotlib_is_imported_on_first_use() -> None:
    code = """
import sys, pynn
assert callable(pynn.plot.activations) and "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None
try:
    pynn.plot.activations("relu")
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pynn.plot requires matplotlib" in done.stdout
    assert 'pip install "pynn-c[plot]"' in done.stdout


def test_figure_can_be_pickled() -> None:
    pickle.loads(pickle.dumps(pynn.plot.activations("relu"))).canvas.draw()
