"""The checks of a layer: gradients, shapes, dtypes and side effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._arrays import Array, sample_shape
from ..layers._base import Layer, check_initialized
from ..model import Input, Model


def check_layer(
    layer: Layer,
    shape: int | Sequence[int] | Sequence[Sequence[int]],
    *,
    batch: int = 3,
    independent: bool = True,
    integers: int | None = None,
    seed: int = 0,
) -> None:
    """Check a layer, and raise an error that describes the first defect.

    Checks in training and in evaluation mode:

    - the shapes and dtypes of outputs and gradients;
    - the gradients of inputs and parameters, against central differences;
    - that parameter gradients accumulate, and that inputs are not modified;
    - that the output does not depend on memory layout, on the other samples of the batch, or on an enclosing net;
    - an empty batch.

    Parameters
    ----------
    layer : Layer
        The layer to check, preferably with ``dtype="float64"``. In float32, central differences allow only a coarse check.
    shape : int or sequence of int, or sequence of those
        The shape of one sample, or the sample shape of each input.
    batch : int
        The number of samples.
    independent : bool
        Whether the output of a sample must not depend on the rest of the batch in training. Pass False for layers such as batch
        normalization.
    integers : int, optional
        For layers that take indices: inputs are integers from 0 to ``integers - 1``.
    seed : int
        The seed of the random inputs.

    Raises
    ------
    AssertionError
        If a check fails. The message describes the defect, the mode and the position.
    TypeError
        If `layer` is not a layer, or its ``__init__`` does not call ``super().__init__()``.

    Examples
    --------
    >>> import pynn, pynn.testing
    >>> pynn.testing.check_layer(pynn.Linear(4, 3, dtype="float64"), (4,))
    >>> class Wrong(pynn.Layer):
    ...     def forward(self, x): return x**2
    ...     def backward(self, gy): return gy
    >>> pynn.testing.check_layer(Wrong(), (4,))
    Traceback (most recent call last):
    AssertionError: Wrong, training mode: the gradient of the input is wrong at (0, 0): backward gives ..., central differences give ...
    """
    check_initialized(layer, "layer")
    several = isinstance(shape, (list, tuple)) and bool(shape) and not isinstance(shape[0], (int, np.integer))
    given: Any = shape if several else [shape]
    shapes = [sample_shape(s) for s in given]
    mode = {part: part.training for part in (layer, *layer._descendants())}
    try:
        for training in (True, False):
            layer.train(training)
            LayerCheck(layer, shapes, batch, integers, seed, training).run(independent or not training)
    finally:
        for part, was in mode.items():
            part.training = was


def as_tuple(y: Any) -> tuple[Any, ...]:
    return y if isinstance(y, tuple) else (y,)


def gradient_defect(
    got: Array, x: Array, f: Callable[[], float], rng: np.random.Generator, step: float, tolerance: float, *, kinks: bool = False
) -> str | None:
    """Compare a gradient with central differences of ``f`` at up to 40 elements of ``x``, and describe the first that differs.

    The array ``x`` is changed in place and restored. With ``kinks``, elements at which ``f`` is not differentiable are left out:
    there the slope depends on the step.
    """
    places = [*np.ndindex(x.shape)]
    chosen = [places[i] for i in np.sort(rng.permutation(len(places))[:40])]
    near, left_out = tolerance * (1 + float(np.abs(got).max(initial=0))), []
    for i in chosen:
        slope = _slope(x, i, f, step)
        if abs(float(got[i]) - slope) <= near:
            continue
        text = f"{tuple(map(int, i))}: backward gives {float(got[i]):.6g}, central differences give {slope:.6g}"
        if not kinks or abs(_slope(x, i, f, step / 8) - slope) <= near / 2:
            return text
        left_out.append(text)
    if 2 * len(left_out) > len(chosen):
        return f"{left_out[0]}; at most elements the slope depends on the step, so the result has kinks, or needs float64"
    return None


def _slope(x: Array, i: tuple[int, ...], f: Callable[[], float], step: float) -> float:
    was = x[i]
    x[i] = was + step
    high, above = f(), float(x[i])
    x[i] = was - step
    low, below = f(), float(x[i])
    x[i] = was
    return (high - low) / (above - below)


class LayerCheck:
    """The checks of one layer in one mode."""

    def __init__(
        self,
        layer: Layer,
        shapes: list[tuple[int, ...]],
        batch: int,
        integers: int | None,
        seed: int,
        training: bool,
        *,
        kinks: bool = False,
    ) -> None:
        self.layer, self.shapes, self.batch, self.integers = layer, shapes, batch, integers
        self.name = f"{type(layer).__name__}, {'training' if training else 'evaluation'} mode"
        self.rng = np.random.default_rng(seed)
        self.dtype = layer.dtype or "float64"
        self.training, self.tick, self.kinks = training, layer._ticks, kinks
        self.step, self.tolerance = (1e-5, 1e-5) if self.dtype == "float64" else (1e-2, 3e-2)

    def require(self, ok: object, text: str) -> None:
        if not ok:
            raise AssertionError(f"{self.name}: {text}")

    def draw(self, rows: int) -> list[Array]:
        """Return random inputs away from multiples of 1/2, where many activations are not differentiable."""
        if self.integers is not None:
            return [self.rng.integers(self.integers, size=(rows, *shape)) for shape in self.shapes]
        xs = [self.rng.normal(size=(rows, *shape)) * 2 for shape in self.shapes]
        return [np.where(np.abs(x - np.round(2 * x) / 2) < 0.02, x + 0.05, x).astype(self.dtype) for x in xs]

    def call(self, xs: Sequence[Array]) -> tuple[Array, ...]:
        """Call the layer with its counter of calls reset, so that it draws the same random numbers."""
        self.layer._ticks = self.tick
        return as_tuple(self.layer(*xs))

    def run(self, independent: bool) -> None:
        xs = self.draw(self.batch)
        kept = [x.copy() for x in xs]
        ys = self.call(xs)
        for y in ys:
            self.require(isinstance(y, np.ndarray), f"a call returns {type(y).__name__}, expected an array")
            self.require(
                y.ndim and len(y) == self.batch, f"{self.batch} samples give an output of shape {np.shape(y)}, expected ({self.batch}, ...)"
            )
            self.require(np.isfinite(y).all(), "the output contains NaN or infinity for finite input")
        first = [y.copy() for y in ys]
        for x, was in zip(xs, kept, strict=True):
            self.require(np.array_equal(x, was), "the input was changed in place")
        again = self.call(xs)
        for a, b in zip(first, again, strict=True):
            self.require(self.equal(a, b), "a second call with the same input gives a different output")
        gys = [self.rng.normal(size=y.shape).astype(y.dtype) for y in ys]
        self.gradients(xs, gys)
        self.layouts(xs, first)
        self.dtypes(xs, first)
        self.empty(first)
        if independent:
            self.independence(xs, first)
        self.net(xs, first)

    def equal(self, a: Array, b: Array) -> bool:
        near = 1e-9 if self.dtype == "float64" else 1e-4
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=near, atol=near, equal_nan=True))

    def gradients(self, xs: list[Array], gys: list[Array]) -> None:
        self.layer.zero_grad()
        given = [g.copy() for g in gys]
        gxs = [np.array(g) for g in as_tuple(self.layer.backward(*gys))]
        grads = {name: g.copy() for name, g in self.layer.grads.items()}
        self.call(xs)
        self.layer.backward(*gys)
        for name, g in self.layer.grads.items():
            self.require(self.equal(g, 2 * grads[name]), f"a second backward does not add to the gradient of {name}; use += instead of =")
        self.require(len(gxs) == len(xs), f"backward returns {len(gxs)} gradients for {len(xs)} inputs")
        for g, was in zip(gys, given, strict=True):
            self.require(np.array_equal(g, was), "backward changed gy in place")
        for i, (x, gx) in enumerate(zip(xs, gxs, strict=True)):
            what = "the input" if len(xs) == 1 else f"input {i}"
            self.require(gx.shape == x.shape, f"the gradient of {what} has shape {gx.shape}, expected {x.shape}")
            if self.integers is None:
                self.compare(f"the gradient of {what}", gx, x, lambda: self.loss(xs, given))
        for name, p in self.layer.named_parameters():
            if p.requires_grad:
                self.compare(f"the gradient of {name}", grads[name], p.data, lambda: self.loss(xs, given))

    def loss(self, xs: list[Array], gys: list[Array]) -> float:
        return float(sum((y.astype("f8") * g).sum() for y, g in zip(self.call(xs), gys, strict=True)))

    def compare(self, what: str, got: Array, x: Array, f: Callable[[], float]) -> None:
        if text := gradient_defect(got, x, f, self.rng, self.step, self.tolerance, kinks=self.kinks):
            raise AssertionError(f"{self.name}: {what} is wrong at {text}")

    def layouts(self, xs: list[Array], want: list[Array]) -> None:
        strided = [np.repeat(x, 2, axis=0)[::2] for x in xs]
        turned = [np.asfortranarray(x) for x in xs]
        for how, other in (("every other row of an array", strided), ("Fortran order", turned)):
            for a, b in zip(self.call(other), want, strict=True):
                self.require(self.equal(a, b), f"the same input in another memory layout ({how}) gives a different output")

    def dtypes(self, xs: list[Array], want: list[Array]) -> None:
        if self.integers is not None:
            return
        for dtype in ("float32", "float64"):
            ys = self.call([x.astype(dtype) for x in xs])
            expected = self.layer.dtype or dtype
            for y, same in zip(ys, want, strict=True):
                if same.dtype.kind == "f":
                    self.require(y.dtype == expected, f"{dtype} input gives {y.dtype} output, expected {expected}")

    def empty(self, want: list[Array]) -> None:
        xs = [x[:0] for x in self.draw(1)]
        try:
            ys = self.call(xs)
            gxs = as_tuple(self.layer.backward(*[np.zeros_like(y) for y in ys]))
        except Exception as e:
            raise AssertionError(f"{self.name}: an empty batch raises {type(e).__name__}: {e}") from e
        for y, like in zip(ys, want, strict=True):
            self.require(y.shape == (0, *like.shape[1:]), f"an empty batch gives shape {y.shape}, expected {(0, *like.shape[1:])}")
        for gx, x in zip(gxs, xs, strict=True):
            self.require(np.shape(gx) == x.shape, f"an empty batch gives a gradient of shape {np.shape(gx)}, expected {x.shape}")

    def independence(self, xs: list[Array], want: list[Array]) -> None:
        others = self.draw(self.batch)
        for x, other in zip(xs, others, strict=True):
            other[0] = x[0]
        for y, like in zip(self.call(others), want, strict=True):
            self.require(self.equal(y[0], like[0]), "the output of a sample depends on the other samples of the batch")

    def net(self, xs: list[Array], want: list[Array]) -> None:
        symbols: tuple[Any, ...] = tuple(Input(shape) for shape in self.shapes)
        net = Model(symbols, self.layer(*symbols))
        net._ticks = self.tick
        for y, like in zip(as_tuple(net(*xs)), want, strict=True):
            self.require(self.equal(np.asarray(y, like.dtype), like), "the layer gives a different output inside a net than by itself")
        if not self.training:
            for y, like in zip(as_tuple(net.predict(tuple(xs) if len(xs) > 1 else xs[0])), want, strict=True):
                self.require(self.equal(np.asarray(y, like.dtype), like), "predict gives a different output than a call in evaluation mode")
