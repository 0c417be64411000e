"""Convert the arrays of a layer to another dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._arrays import check_dtype
from .._graph import Buffer, Parameter, _set, moment

if TYPE_CHECKING:
    from ._base import Layer

_DEVICES = ("cpu", "cuda", "mps", "xpu", "meta")
"""Names of devices in PyTorch, of which only the first exists here."""


def parse(args: tuple[Any, ...], dtype: Any, device: Any) -> str | None:
    """Return the dtype among the arguments of ``layer.to``, or None."""
    for arg in args:
        if str(arg).partition(":")[0] in _DEVICES:
            device = arg
        elif isinstance(arg, Parameter | np.ndarray):
            dtype = arg.dtype
        elif not isinstance(arg, bool):  # PyTorch's non_blocking
            dtype = arg
    if device is not None and str(device) != "cpu":
        raise ValueError(f"device: pynn computes on CPUs only, got {str(device)!r}; leave it out")
    if dtype is None:
        return None
    try:
        return check_dtype(str(dtype).removeprefix("torch.") if type(dtype).__module__ == "torch" else dtype)
    except ValueError as error:
        raise ValueError(f"{error}; files may hold float16: pynn.io.save_file") from None


def convert(root: Layer, dtype: str | None) -> None:
    """Convert the parameters and the floating-point buffers of a layer and all layers inside it, in place."""
    if dtype is None:
        return
    layers = [*root.modules()]
    inside = set(layers)
    for layer in layers:
        outside = [owner for owner in layer._owners if owner not in inside and owner.dtype not in (None, dtype)]
        if outside:
            what = f"a {type(outside[0]).__name__} that also contains other layers"
            raise ValueError(f"to: {type(layer).__name__} is part of {what}; convert that net as a whole: net.to({dtype!r})")
    held: dict[int, Parameter | Buffer] = {}
    for layer in layers:
        for p in (*layer._parameters.values(), *layer._buffers.values()):
            assert isinstance(p, Parameter | Buffer)
            if p._array.dtype.kind == "f":
                held[id(p)] = p
    with _core.Writing([p._gate for p in held.values()]):
        for p in held.values():
            p.convert(dtype)
    _core.note_move()
    for layer in layers:
        if layer.dtype is not None:
            _set(layer, "dtype", dtype)
        _set(layer, "_since", moment())
        layer._show_buffers()
        layer._drop_plans()
