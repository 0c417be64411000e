"""What happens when a training leaves the finite numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._layer import Array

if TYPE_CHECKING:
    from ._training import Net

_BLOCK = 4096
"""Rows that are looked at a time."""


class DivergenceError(ArithmeticError):
    """A loss or a parameter became NaN or infinite while training.

    ``fit`` has put back the weights of the last epoch that went well, or those it began with. The optimizer keeps its state.

    Attributes
    ----------
    epoch : int
        The epoch it happened in, from 0.
    step : int
        The update it happened at, counted by the optimizer from 1.
    layer : str or None
        The first layer with a parameter or an output that was not finite, where it could be found.
    row : int or None
        The first row of X with such an output.
    """

    def __init__(self, message: str, epoch: int, step: int, layer: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.epoch, self.step, self.layer, self.row = epoch, step, layer, row

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.epoch, self.step, self.layer, self.row)


class Guard:
    """Keeps the last good weights, and raises when an epoch leaves the finite numbers.

    A copy of the state is made after each epoch: as much memory again as the parameters take, and the time to copy and look through them.
    """

    def __init__(self, net: Net, on_nan: str) -> None:
        if on_nan not in ("raise", "ignore"):
            raise ValueError(f"on_nan: expected 'raise' or 'ignore', got {on_nan!r}")
        self.net, self.raises, self.warned = net, on_nan == "raise", False
        self.good: Mapping[str, Any] = {}

    def begin(self) -> None:
        """Keep the weights of now; the net is this thread's alone from here on."""
        self.good = self.net.state_dict() if self.raises else {}

    def check(self, epoch: int, step: int, logs: Mapping[str, float], data: tuple[Array, ...] | None) -> None:
        """Raise, or with on_nan="ignore" warn once, ``data`` being where to look for the row."""
        lost = not math.isfinite(logs["loss"])
        if not self.raises:
            if math.isnan(logs["loss"]) and not self.warned:
                self.warned = True
                text = f"the loss is NaN in epoch {epoch}: X holds NaN or infinity, or the learning rate is too high"
                warnings.warn(text, RuntimeWarning, stacklevel=4)
            return
        broken = next((p.name for p in self.net.parameters() if not np.isfinite(p.data).all()), None)
        if not lost and broken is None:
            self.good = self.net.state_dict()
            return
        found = _find(self.net, data)
        self.net.load_state_dict(self.good)
        what = f"the loss is {logs['loss']}" if lost else "a parameter is not finite"
        text = f"{what} in epoch {epoch}, step {step}: {found.text}; the last good weights are back"
        raise DivergenceError(text, epoch, step, found.layer, found.row)


class _Found:
    def __init__(self, text: str, layer: str | None = None, row: int | None = None) -> None:
        self.text, self.layer, self.row = text, layer, row


def _first_bad(a: Array) -> int | None:
    """Return the first row that is not finite."""
    if a.dtype.kind != "f" or np.isfinite(a).all():
        return None
    return int(np.flatnonzero(~np.isfinite(a.reshape(len(a), -1)).all(1))[0])


def _find(net: Net, data: tuple[Array, ...] | None) -> _Found:
    """Say where it began: a row of X, a layer's parameter, or a layer's output."""
    for start in range(0, len(data[0]) if data else 0, _BLOCK):
        for a in data or ():
            if (bad := _first_bad(a[start : start + _BLOCK])) is not None:
                return _Found(f"X holds NaN or infinity in row {start + bad}", row=start + bad)
    for name, layer in net._leaves():
        for parameter in layer.parameters():
            if not np.isfinite(parameter.data).all():
                where = f"layer {name} ({type(layer).__name__})"
                return _Found(f"{where} has a {parameter.name} that is not finite: the learning rate is too high", layer=name)
    text = "the loss itself, or its gradient, left the finite numbers: lower the learning rate, or scale the targets"
    return _first_output(net, data) or _Found(text)


def _first_output(net: Net, data: tuple[Array, ...] | None) -> _Found | None:
    """Find the first row whose output is not finite, and with it the first layer of a Sequential."""
    for start in range(0, len(data[0]) if data else 0, _BLOCK):
        block = tuple(a[start : start + _BLOCK] for a in data or ())
        out = net.predict(block if len(block) > 1 else block[0])
        bad = [row for a in (out if isinstance(out, tuple) else (out,)) if (row := _first_bad(a)) is not None]
        if not bad:
            continue
        row = min(bad)
        name = _first_layer(net, tuple(a[row : row + 1] for a in block)) if hasattr(net, "append") else None
        where = f" after layer {name}" if name is not None else ""
        return _Found(f"the output for row {start + row} of X is not finite{where}", layer=name, row=start + row)
    return None


def _first_layer(net: Any, x: tuple[Array, ...]) -> str | None:
    for i, name in enumerate(net._children()):
        out = net[: i + 1].predict(x if len(x) > 1 else x[0])
        if any(not np.isfinite(a).all() for a in (out if isinstance(out, tuple) else (out,))):
            return str(name)
    return None
