"""Run a layer once on given arrays, without initial values, gradients or state that outlives the call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from .. import _core
from .._arrays import Array, is_float, real_array
from .._graph import Buffer, Builder, Parameter
from .._random import skip_initial_values
from ..layers._base import Layer

_L = TypeVar("_L", bound=Layer)


class _Given(Buffer):
    """An array of the caller in place of a parameter. It has no gradient, but a normalization must not take it as frozen."""

    requires_grad = True


def common_dtype(input: Array, weight: Array) -> str:
    """Return the dtype to compute in: that of the weight if it is a float array, else that of the input."""
    for a in (weight, input):
        if a.dtype.kind == "f":
            return "float64" if is_float(a, 8) else "float32"
    return "float32"


def bare(make: Callable[..., _L], *args: Any, **options: Any) -> _L:
    """Create a layer without drawing initial values; `fill` then provides all of them."""
    with skip_initial_values(sys.maxsize):
        return make(*args, **options)


def fill(layer: Layer, arrays: Mapping[str, ArrayLike | None], *, buffers: bool = False) -> None:
    """Use the given arrays as the layer's parameters, or as its running statistics; None keeps the initial values.

    Parameters are not copied if they have the layer's dtype. Running statistics must have it, because the layer writes to them.
    """
    held: dict[str, Any] = cast(Any, layer._buffers if buffers else layer._parameters)
    for name, given in arrays.items():
        if given is None:
            continue
        a = real_array(given, name)
        if a.shape != held[name]._array.shape:
            raise ValueError(f"{name}: expected shape {held[name]._array.shape}, got {a.shape}")
        if buffers and (a is not given or a.dtype != layer.dtype or not a.flags.carray):
            what = f"a writable C-contiguous {layer.dtype} array, since it is updated in place"
            raise ValueError(f"{name}: expected {what}, got {type(given).__name__} of {a.dtype}")
        held[name] = _Given(np.require(a, layer.dtype, ["C", "A"]), name)


def apply(layer: Layer, *inputs: ArrayLike, training: bool = False) -> Any:
    """Return the output of a layer that is used only once."""
    xs = tuple(real_array(x, "input") for x in inputs)
    if training or getattr(layer, "return_indices", False):
        return layer(*xs)
    rows, _, batched = layer._split(xs[0])
    shapes = [layer._split(x)[1] for x in xs]
    if any(layer._split(x)[0] != rows for x in xs):
        raise ValueError(f"{type(layer).__name__}: inputs have different numbers of rows: {', '.join(str(len(x)) for x in xs)}")
    builder = Builder(layer._compute_dtype(*xs), shapes, batched=batched, training=False)
    layer._build(builder, type(layer).__name__)
    plan = _core.Plan(builder.finish(), rows, "predict")
    y = plan.forward(*(xs if batched else [x[np.newaxis] for x in xs]))
    y = y if batched else y[0]
    return y.astype(np.float16) if not layer.dtype and is_float(xs[0], 2) else y


def as_given(array: ArrayLike | Parameter | None, name: str) -> Array | None:
    """Return an array of real numbers, None for None, and the values of a parameter."""
    return None if array is None else real_array(array.data if isinstance(array, Parameter) else array, name)
