"""Plots of activation functions and training histories. Requires matplotlib: ``pip install "pynn-c[plot]"``."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import activations as _activations
from . import grad as _grad
from ._arrays import real_array
from ._compiled import is_formula
from ._tables import REQUIRED, parse_parameters, unknown_name
from .layers._base import Layer
from .layers.custom import Activation
from .layers.formula import FormulaLayer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._training.find_lr import LRSweep
    from ._training.health import Health
    from ._training.history import History
    from ._training.net import Net

__all__ = ["activations", "history", "lr_sweep", "plot_gradient_flow"]


def __dir__() -> list[str]:
    return __all__


# Distinguishable with colour vision deficiency (Okabe and Ito, 2008), without the pale colours.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B")
_GREY = "#B8B8B8"
_MOST_OVERLAID = len(_COLOURS)
"""The largest number of functions that share two panels. More functions get separate panels."""


_Line = tuple[str, NDArray[Any], NDArray[Any]]
"""A label, the values and the derivatives of a function."""


class _Curve(NamedTuple):
    label: str
    value: Callable[[Any], Any]
    derivative: Callable[[Any], Any] | None
    """None if the derivative must be estimated from differences."""


def activations(functions: Any = None, x: ArrayLike | None = None, derivatives: bool = True, *, title: str | None = None) -> Figure:
    """Plot activation functions and their derivatives.

    Up to eight functions share two panels, values on the left and derivatives on the right. With more functions, each has its own
    panel. Lines are interrupted at discontinuities.

    Parameters
    ----------
    functions : str, function, layer or an iterable of them, optional
        Names (``"relu"``), formulas (``"x * sigmoid(2*x)"``), elementwise functions (``pynn.gelu`` or any other), layer classes
        (``pynn.ReLU``) and layers (``pynn.LeakyReLU(0.1)``). The derivatives of functions from elsewhere are estimated from
        differences along `x`. Default: every activation without required arguments.
    x : array_like, optional
        The points at which to evaluate the functions, increasing and of one dimension. Default: from -7 to 7.
    derivatives : bool, default True
        Whether to plot the derivatives.
    title : str, optional
        The title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, to show (``matplotlib.pyplot.show()``), save (``figure.savefig("relu.png")``) or extend.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If an element of `functions` has another type.
    ValueError
        If a name is unknown, a function is not elementwise (such as softmax), or `x` is not increasing.

    Examples
    --------
    >>> import pynn
    >>> figure = pynn.plot.activations(["relu", "gelu", pynn.LeakyReLU(0.1)])
    >>> [axes.get_title() for axes in figure.axes]
    ['value', 'derivative']
    >>> [line.get_label() for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    ['relu', 'gelu', 'LeakyReLU(negative_slope=0.1)']
    """
    at = _points(x)
    curves = [_curve(f) for f in _listed(functions)]
    lines = [_evaluate(c, at) for c in curves]
    draw = _plot_overlaid if len(lines) <= _MOST_OVERLAID else _plot_separately
    figure = draw(at, lines, derivatives)
    if title is not None:
        figure.suptitle(title)
    return figure


def history(
    logs: Mapping[str, list[float]], names: Iterable[str] | None = None, epochs: Mapping[str, Sequence[int]] | None = None
) -> Figure:
    """Plot the metrics of a training over the epochs: one panel per metric, with its values on training and validation data.

    Parameters
    ----------
    logs : mapping of str to list of float
        ``History.history``.
    names : iterable of str, optional
        The metrics to plot, without ``val_``. Default: all except ``seconds``.
    epochs : mapping of str to sequence of int, optional
        The epochs of the values of each metric, counted from 1. Default: consecutive epochs from 1.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a name is unknown, or the history is empty.

    Examples
    --------
    >>> import pynn
    >>> figure = pynn.plot.history({"loss": [3.0, 2.0, 1.0], "val_loss": [3.1, 2.3, 1.6]})
    >>> [axes.get_title() for axes in figure.axes]
    ['loss']
    """
    known = [name for name in dict.fromkeys(name.removeprefix("val_") for name in logs) if name != "seconds"]
    drawn = known if names is None else [names] if isinstance(names, str) else list(names)
    for name in drawn:
        if name not in (*known, *logs):
            raise unknown_name("number of the history", name, known)
    if not drawn:
        raise ValueError("history: nothing to plot; it has no epochs")
    columns = min(len(drawn), 3)
    rows = -(-len(drawn) // columns)
    figure, grid = _panels(rows, columns, (4.6 * columns, 3.4 * rows))
    for axes, name in zip(grid.flat, drawn, strict=False):
        axes.set_title(name)
        axes.set_xlabel("epoch")
        axes.grid(color="#EEEEEE", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
        for label, key, colour in (("training", name, _COLOURS[0]), ("validation", f"val_{name}", _COLOURS[1])):
            if key in logs:
                marker = "o" if len(logs[key]) < 20 else None
                at = range(1, len(logs[key]) + 1) if epochs is None else epochs[key]
                axes.plot(at, logs[key], label=label, color=colour, marker=marker, markersize=3.5)
    for axes in grid.flat[len(drawn) :]:
        axes.remove()
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def lr_sweep(found: LRSweep) -> Figure:
    """Plot the losses of a learning rate sweep, raw and smoothed, with the suggested learning rate.

    Parameters
    ----------
    found : LRSweep
        The result of `find_lr`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the sweep has no steps.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
    >>> figure = pynn.plot.lr_sweep(model.find_lr(np.eye(2), np.ones(2), loss="mse", seed=0))
    >>> figure.axes[0].get_xscale()
    'log'
    """
    if not len(found.lr):
        raise ValueError("found: nothing to plot; the first loss was not finite")
    figure, [[axes]] = _panels(1, 1, (6.4, 4.0))
    axes.plot(found.lr, found.loss, color=_GREY, linewidth=1, label="loss")
    axes.plot(found.lr, found.smoothed, color=_COLOURS[0], label="smoothed")
    low, high = min(found.smoothed.min(), found.loss.min()), found.smoothed[: found.smoothed.argmin() + 1].max()
    margin = 0.15 * (high - low) or 1.0
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - margin, high + 2 * margin))
    if found.suggestion == found.suggestion:
        at = found.smoothed[(found.lr == found.suggestion).argmax()]
        axes.axvline(found.suggestion, color=_COLOURS[1], linewidth=1, linestyle="--")
        axes.plot([found.suggestion], [at], "o", color=_COLOURS[1], label=f"suggestion {found.suggestion:.2g}")
    axes.grid(color="#EEEEEE", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    return figure


def plot_gradient_flow(source: Net | History | Health) -> Figure:
    """Plot the gradient norm of each layer, and the relative size of its parameter updates.

    Gradients vanish if their norm decreases towards the first layers.

    Parameters
    ----------
    source : Sequential, Model, History or Health
        A health report, or a model or history with the reports of a `pynn.callbacks.HealthMonitor`: these are plotted as one line per
        epoch, from pale to dark.

    Returns
    -------
    matplotlib.figure.Figure
        A figure with two panels on logarithmic scales.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If `source` has another type.
    ValueError
        If the reports contain no gradients.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.linspace(-1, 1, 64)[:, None]
    >>> model = pynn.Sequential(pynn.Linear(1, 8), "tanh", pynn.Linear(8, 1))
    >>> hist = model.fit(X, X**2, loss="mse", epochs=3, callbacks=[pynn.callbacks.HealthMonitor()])
    >>> figure = pynn.plot.plot_gradient_flow(hist)
    >>> [axes.get_title() for axes in figure.axes[:2]]
    ['gradient', 'update / parameters']
    """
    reports = _reports(source)
    names = list(dict.fromkeys(row.layer for health in reports for row in health if not np.isnan(row.gradient)))
    if not names:
        raise ValueError("source: its reports contain no gradients; call fit with health=True, or pass targets y to health()")
    figure, grid = _panels(1, 2, (5.2 + 0.25 * len(names), 3.8))
    import matplotlib as mpl

    colours = mpl.colors.ListedColormap(mpl.colormaps["Blues"](np.linspace(0.3, 1, max(len(reports), 2))))
    for axes, title, field in zip(grid[0], ("gradient", "update / parameters"), ("gradient", "update"), strict=True):
        axes.set_title(title)
        axes.set_xlabel("layer")
        axes.set_yscale("log")
        axes.grid(color="#EEEEEE", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        for i, health in enumerate(reports):
            known = {row.layer: getattr(row, field) for row in health}
            values = np.array([known.get(name, np.nan) for name in names])
            shade = colours(i if len(reports) > 1 else 1)
            axes.plot(range(len(names)), np.where(values > 0, values, np.nan), color=shade, marker="o", markersize=3.5)
        bottom, top = axes.get_ylim()
        wider = max(100 * bottom / top, 1) ** 0.5  # at least two decades, so that small differences look small
        axes.set_ylim(bottom / wider, top * wider)
        axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0)
    if len(reports) > 1:
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0.5, len(reports) + 0.5), colours)
        figure.colorbar(scale, ax=grid[0, 1], label="epoch")
    return figure


def _reports(source: Any) -> list[Health]:
    """Return the health reports of all epochs, or a list with a single report."""
    from ._training.health import Health

    if isinstance(source, Health):
        return [source]
    kept = getattr(source, "health", None)
    if isinstance(kept, list):
        return kept
    if not callable(kept):
        raise TypeError(f"source: expected a model, a History or a Health, got {source!r}")
    past = source.history.health if source.history is not None else []
    return past or [source.health()]


def _panels(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, NDArray[Any]]:
    """Return a figure with rows x columns panels, and the array of panels."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError('pynn.plot requires matplotlib: pip install "pynn-c[plot]", or pip install matplotlib') from error
    figure, grid = pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
    figure._ipython_display_ = functools.partial(_display, figure)
    return figure, grid


def _display(figure: Figure) -> None:
    """Let IPython display the figure as usual, but close it in pyplot first.

    A notebook's backend displays every open figure of pyplot when the cell ends. A figure that is also the value of the cell's last
    line would therefore appear twice.
    """
    from matplotlib import get_backend, pyplot

    if "inline" in get_backend() and _closes_figures():
        pyplot.close(figure)
    raise NotImplementedError("displayed like any other figure")


def _closes_figures() -> bool:
    """Return whether the inline backend closes figures at the end of a cell, which ``InlineBackend.close_figures`` decides."""
    from matplotlib_inline.config import InlineBackend

    return bool(InlineBackend.instance().close_figures)


def _points(x: ArrayLike | None) -> NDArray[np.float64]:
    at = np.linspace(-7, 7, 2801) if x is None else real_array(x, "x").astype(np.float64)
    if at.ndim != 1 or at.size < 2 or not (np.diff(at) > 0).all():
        raise ValueError(f"x: expected two or more increasing numbers in one dimension, got an array of shape {at.shape}")
    return at


def _listed(functions: Any) -> list[Any]:
    if functions is None:
        rows = _activations.activations.items()
        return [name for name, row in rows if REQUIRED not in parse_parameters(row["params"]).defaults.values()]
    one = isinstance(functions, (str, Layer)) or callable(functions) or not isinstance(functions, Iterable)
    listed = [functions] if one else list(functions)
    if not listed:
        raise ValueError("functions: expected at least one, got none")
    return listed


def _curve(given: Any) -> _Curve:
    if isinstance(given, type) and issubclass(given, Layer):
        given = given()
    if isinstance(given, Layer):
        layer = copy.deepcopy(given)  # because calls and backward change the layer's state
        label = layer.name if isinstance(layer, FormulaLayer) else repr(layer).removesuffix("()")
        return _Curve(label, layer, lambda x: layer.backward(np.ones_like(layer(x))))
    known = {name: getattr(_activations, name) for name in (*_activations.activations, *_activations.aliases)}
    if isinstance(given, str):
        if given not in known and is_formula(given):
            return _curve(Activation(given))
        if given not in known:
            raise unknown_name("activation", given, known)
        return _Curve(given, known[given], getattr(_grad, given))
    if not callable(given):
        raise TypeError(f"functions: expected names, functions, layer classes or layers, got {given!r}")
    partial = given if isinstance(given, functools.partial) else functools.partial(given)
    name = next((n for n, f in known.items() if f is partial.func), None)
    derivative = functools.partial(getattr(_grad, name), *partial.args, **partial.keywords) if name else None
    return _Curve(_label(partial), given, derivative)


def _label(call: functools.partial[Any]) -> str:
    arguments = [*map(repr, call.args), *(f"{name}={value!r}" for name, value in call.keywords.items())]
    name = getattr(call.func, "__name__", repr(call.func))
    return f"{name}({', '.join(arguments)})" if arguments else name


def _evaluate(curve: _Curve, x: NDArray[np.float64]) -> _Line:
    """Evaluate a curve at ``x``, and check that it is elementwise."""
    y, first = np.asarray(curve.value(x)), np.asarray(curve.value(x[:1]))
    if y.shape != x.shape or not np.allclose(first, y[:1], equal_nan=True):
        raise ValueError(f"functions: cannot plot {curve.label}; expected an elementwise function")
    return curve.label, y, np.asarray(curve.derivative(x)) if curve.derivative else np.gradient(y, x)


def _jumps(y: NDArray[Any]) -> NDArray[np.intp]:
    """Return the indices of discontinuities: large differences, ten times those on either side."""
    seen = np.where(np.isfinite(y), y, np.nan)
    if np.isnan(seen).all():
        return np.zeros(0, np.intp)
    step = np.abs(np.diff(seen))
    neighbours = np.maximum(np.append(step[1:], 0), np.append(0, step[:-1]))
    return np.flatnonzero((step > 10 * neighbours) & (step > 0.02 * (np.nanmax(seen) - np.nanmin(seen))))


def _plot_line(axes: Axes, x: NDArray[Any], y: NDArray[Any], label: str, **style: Any) -> None:
    """Plot a line, dotted across discontinuities."""
    jumps = _jumps(y)
    middle = (x[jumps] + x[jumps + 1]) / 2
    axes.plot(np.insert(x, jumps + 1, middle), np.insert(y, jumps + 1, np.nan), label=label, **style)
    for i, at in zip(jumps, middle, strict=True):
        axes.plot([at, at], y[i : i + 2], label="_", **style | {"linestyle": (0, (1, 2)), "linewidth": 1.0})


def _style_axes(axes: Axes, title: str, x: NDArray[Any]) -> None:
    axes.set_title(title)
    axes.axhline(0, color=_GREY, linewidth=0.8, zorder=0)
    axes.axvline(0, color=_GREY, linewidth=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(x[0], x[-1])


def _plot_overlaid(x: NDArray[Any], lines: list[_Line], derivatives: bool) -> Figure:
    panels = ["value", "derivative"][: 1 + derivatives]
    figure, grid = _panels(1, len(panels), (5.2 * len(panels), 4.4))
    for axes, panel in zip(grid[0], panels, strict=True):
        _style_axes(axes, panel, x)
        axes.set_xlabel("x")
        axes.grid(color="#EEEEEE", linewidth=0.8)
        axes.set_axisbelow(True)
        for i, (label, value, slope) in enumerate(lines):  # with decreasing width, so that overlapping lines stay visible
            _plot_line(axes, x, value if panel == "value" else slope, label, color=_COLOURS[i], linewidth=1.8 + 0.35 * (len(lines) - 1 - i))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(lines) if len(lines) <= 4 else -(-len(lines) // 2), frameon=False)
    return figure


def _plot_separately(x: NDArray[Any], lines: list[_Line], derivatives: bool) -> Figure:
    columns = 4 if len(lines) <= 12 else 6
    rows = -(-len(lines) // columns)
    figure, grid = _panels(rows, columns, (2.3 * columns, 2.0 * rows + 0.4), sharex=True)
    for i, (axes, (label, y, slope)) in enumerate(zip(grid.flat, lines, strict=False)):
        _style_axes(axes, label, x)
        axes.title.set_fontsize("medium" if len(label) < 20 else "x-small")
        axes.tick_params(labelbottom=i + columns >= len(lines))
        axes.locator_params(nbins=4)
        _plot_line(axes, x, y, "value", color=_COLOURS[0], linewidth=2.2)
        if derivatives:
            _plot_line(axes, x, slope, "derivative", color=_COLOURS[1], linewidth=1.4)
    for axes in grid.flat[len(lines) :]:
        axes.remove()
    if derivatives:
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure
