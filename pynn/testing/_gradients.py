"""Gradients of layers and losses, compared with central differences."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._arrays import Array
from ..layers._base import Layer, check_initialized
from ..losses._base import Loss
from ..losses._examples import example_arguments
from ..model import Input, Model
from ._layers import LayerCheck, as_tuple, gradient_defect

_ROWS = 3
_SIDE = 6
"""The length of axes whose length a layer leaves open."""


def assert_gradients(layer_or_loss: Layer | Loss, *inputs: Any, seed: int = 0) -> None:
    """Assert that the gradients of a layer, a net or a loss equal central differences.

    The gradients of inputs and parameters are compared at up to 40 elements each, of a layer in training and in evaluation mode.
    Elements at which the result has a kink, as that of ReLU at 0, are left out. `check_layer` checks more of a layer.

    Parameters
    ----------
    layer_or_loss : Layer or Loss
        What to check, preferably in float64. In float32, central differences allow only a coarse check.
    *inputs : array_like
        The arguments of the call: the inputs of a layer, the first axis being the batch, or the input and the target of a loss.
        Without them, random inputs of a shape that the layer accepts, or the arguments of the loss's example. Required for a
        layer that takes indices, and for a custom loss.
    seed : int
        The seed of the random numbers.

    Raises
    ------
    AssertionError
        If a gradient is wrong. The message names the gradient, the position, and both values.
    TypeError
        If the object is neither a layer nor a loss.
    ValueError
        If there are no inputs, and none of the shapes that are tried fits.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> from pynn.testing import assert_gradients
    >>> assert_gradients(pynn.Linear(4, 3, dtype="float64"))
    >>> assert_gradients(pynn.losses.HuberLoss(delta=0.7), [0.5, 2.0], [1.0, 0.0])
    >>> assert_gradients(pynn.losses.FunctionLoss(lambda x, t: ((x - t) ** 2, x - t)), np.array([1.0, 3.0]), np.zeros(2))
    Traceback (most recent call last):
    AssertionError: FunctionLoss: the gradient of input is wrong at (0,): backward gives 0.5, central differences give 1
    """
    if isinstance(layer_or_loss, Loss):
        _check_loss(layer_or_loss, inputs, seed)
    elif isinstance(layer_or_loss, Layer):
        check_initialized(layer_or_loss, "layer_or_loss")
        _check_layer(layer_or_loss, [np.array(x) for x in inputs], seed)
    else:
        raise TypeError(f"layer_or_loss: expected a pynn.Layer or a pynn.Loss, got {layer_or_loss!r}")


# ---- layers ---------------------------------------------------------------------------------------------------------
def _check_layer(layer: Layer, xs: list[Array], seed: int) -> None:
    shapes = [x.shape[1:] for x in xs] or [_accepted_shape(layer)]
    whole = 0 if any(x.dtype.kind in "iu" for x in xs) else None
    mode = {part: part.training for part in (layer, *layer._descendants())}
    try:
        for training in (True, False):
            layer.train(training)
            check = LayerCheck(layer, shapes, _ROWS, whole, seed, training, kinks=True)
            given = [x if whole is not None else x.astype(check.dtype) for x in xs] or check.draw(_ROWS)
            check.gradients(given, [check.rng.normal(size=y.shape).astype(y.dtype) for y in check.call(given)])
    finally:
        for part, was in mode.items():
            part.training = was


def _accepted_shape(layer: Layer) -> tuple[int, ...]:
    """Return a sample shape that a layer accepts: its features or channels are among the lengths of the axes of its parameters."""
    lengths = dict.fromkeys([_SIDE, *(n for p in layer.parameters() for n in p.shape)])
    for shape in _shapes(lengths):
        try:
            symbol: Any = Input(shape)
            Model(symbol, layer(symbol))
        except Exception:  # custom layers may raise anything for a shape that does not fit
            continue
        return shape
    raise ValueError(f"{type(layer).__name__}: no input was given, and none of the shapes tried fits; give one: assert_gradients(layer, x)")


def _shapes(lengths: dict[int, None]) -> Iterator[tuple[int, ...]]:
    for further in range(4):
        for length in lengths:
            yield (length, *[_SIDE] * further)


# ---- losses ---------------------------------------------------------------------------------------------------------
def _check_loss(loss: Loss, inputs: tuple[Any, ...], seed: int) -> None:
    names = loss._row["inputs"].split()
    arrays = [np.array(a) for a in inputs or _example(loss)]
    arrays = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    value = _values(loss, arrays)
    weights = np.random.default_rng(seed).normal(size=value.shape) if loss.reduction == "none" else None
    grads = as_tuple(loss.backward() if weights is None else loss.backward(weights))
    differentiated = [(name, x) for name, x in zip(names, arrays, strict=False) if name != "target"]
    for grad, (name, x) in zip(grads, differentiated, strict=False):
        if x.dtype.kind != "f":
            raise ValueError(f"{name}: expected an array of floating-point numbers, got {x.dtype}")
        f = _weighted(loss, arrays, weights)
        if text := gradient_defect(np.asarray(grad), x, f, np.random.default_rng(seed), 1e-5, 1e-5, kinks=True):
            raise AssertionError(f"{type(loss).__name__}: the gradient of {name} is wrong at {text}")


def _values(loss: Loss, arrays: list[Array]) -> Array:
    """Call a loss. A loss of sequences gets normalized log-probabilities, since its gradient is that of the logits."""
    first, *others = arrays
    if loss._row["kind"] == "s":
        first = first - np.logaddexp.reduce(first, axis=-1, keepdims=True)
    return np.asarray(loss(first, *others))


def _weighted(loss: Loss, arrays: list[Array], weights: Array | None) -> Callable[[], float]:
    """Return a function of no arguments that computes the loss, or the weighted sum of its values."""
    return lambda: float((_values(loss, arrays) * (1.0 if weights is None else weights)).sum())


def _example(loss: Loss) -> tuple[Any, ...]:
    if "example" not in loss._row:
        raise ValueError(f"{type(loss).__name__}: give its arguments: assert_gradients(loss, input, target)")
    return tuple(ast.literal_eval(f"({example_arguments(loss._row)})"))
