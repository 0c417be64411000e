"""Detection of losses, gradients and parameters that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._arrays import Array
from .messages import warn

if TYPE_CHECKING:
    from .net import Net


class DivergenceError(ArithmeticError):
    """Raised when a loss, a gradient or a parameter becomes NaN or infinite during training.

    ``fit`` has then restored the weights of the last good epoch, or the initial ones. The state of the optimizer is not restored.

    Attributes
    ----------
    epoch : int
        The epoch in which it happened, from 1.
    step : int
        The step at which it happened, counted by the optimizer from 1.
    layer : str or None
        The first layer with a parameter, an output or a gradient that was not finite; None if the cause was not in a layer.
    row : int or None
        The index in X of the first affected row, if known; for batches from an iterable, the index in the last batch.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> model = pynn.Sequential(pynn.Linear(2, 1, seed=0))
    >>> try:
    ...     model.fit([[1.0, np.nan], [0.0, 1.0]], [1.0, 2.0], loss="mse", seed=0)
    ... except pynn.DivergenceError as error:
    ...     print(error.epoch, error.row)
    1 0
    """

    def __init__(self, message: str, epoch: int, step: int, layer: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.epoch, self.step, self.layer, self.row = epoch, step, layer, row

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.epoch, self.step, self.layer, self.row)


class Guard:
    """Keep the last good weights, and raise when an epoch is not finite.

    The state is copied after each epoch, which takes as much memory as the parameters, and the time to copy and check them.
    """

    run: _core.Fit
    owners: Mapping[int, tuple[str, str]]
    data: tuple[Array, ...]
    rows: Array | None
    batch: int | None

    def __init__(self, net: Net, on_nan: str) -> None:
        if on_nan not in ("raise", "ignore"):
            raise ValueError(f"on_nan: expected 'raise' or 'ignore', got {on_nan!r}")
        self.net, self.raises, self.warned = net, on_nan == "raise", False
        self.pairs: list[tuple[Array, Array]] = []
        self.learnt: list[Array] = []

    def begin(self, run: _core.Fit, owners: Mapping[int, tuple[str, str]], data: tuple[Array, ...], rows: Array | None) -> None:
        """Copy the present weights; from now on only this thread changes the net.

        ``rows`` are indices in X if the data are only some of its rows; ``batch`` is set to the number of the last batch from an iterable.
        """
        self.run, self.owners, self.data, self.rows, self.batch = run, owners, data, rows, None
        if self.raises:
            self.pairs = [(p.data, p.data.copy()) for p in self.net._all_state().values()]
            self.learnt = [p.data for p in self.net.parameters()]

    def check(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Raise if the epoch was not finite, or with ``on_nan="ignore"`` warn once."""
        if not self.raises:
            if math.isnan(logs["loss"]) and not self.warned:
                self.warned = True
                text = f"the loss is NaN in epoch {epoch + 1}: X holds NaN or infinity, the learning rate is too high, or {_EMPTY}"
                warn(text, RuntimeWarning)
            return
        origin, lost = self.run.origin, not math.isfinite(logs["loss"])
        if origin is None and not lost and self._finite():
            for live, good in self.pairs:
                np.copyto(good, live)
            return
        if origin is not None:
            found = _described(self.net, origin, self.owners, self.data, self.rows, self.batch)
        else:
            found = _bad_parameter(self.net, _scale(self.data))
        for live, good in self.pairs:
            np.copyto(live, good)
        what = f"the loss is {logs['loss']}" if lost else "a gradient is not finite" if origin is not None else "a parameter is not finite"
        step = self.run.step + (origin is not None or math.isinf(logs["loss"]))  # an epoch in which no row counts has taken all its steps
        text = f"{what} in epoch {epoch + 1}, step {step}: {found.text}; the last good weights have been restored"
        raise DivergenceError(text, epoch + 1, step, found.layer, found.row)

    def _finite(self) -> bool:
        """Return whether all parameters are finite."""
        return bool(_core.all_finite(self.learnt))


def check_step(
    net: Net, run: _core.Fit, logs: Mapping[str, float], owners: Mapping[int, tuple[str, str]], data: tuple[Array, ...]
) -> None:
    """Raise if a single step was not finite; the core has not taken it."""
    if run.origin is None and math.isfinite(logs["loss"]):
        return
    if run.origin is None and math.isnan(logs["loss"]):
        warn(f"the loss is nan: {_EMPTY}", RuntimeWarning)
        return
    found = _described(net, run.origin, owners, data, None, None) if run.origin is not None else _bad_parameter(net, _scale(data))
    what = "a gradient is not finite" if math.isfinite(logs["loss"]) else f"the loss is {logs['loss']}"
    text = f"{what} in step {run.step + 1}: {found.text}; the weights are unchanged"
    raise DivergenceError(text, 1, run.step + 1, found.layer, found.row)


_EMPTY = "no row counts: every label is the loss's ignore_index, or all sample or class weights are 0"


class _Found:
    def __init__(self, text: str, layer: str | None = None, row: int | None = None) -> None:
        self.text, self.layer, self.row = text, layer, row


_LARGE = 30.0
"""Inputs of a larger magnitude count as unscaled, since standardised ones rarely reach it."""
_SEEN_ROWS = 4096


def too_large(data: tuple[Array, ...], row: int, dtype: str | None) -> str | None:
    """Return a message about a row of inputs that is finite in float64 but not in float32; None otherwise."""
    for i, a in enumerate(data):
        if a.dtype != np.float64 or dtype != "float32":
            continue
        with np.errstate(over="ignore"):
            invalid = np.flatnonzero(~np.isfinite(a[row].astype(np.float32)))
        if invalid.size and np.isfinite(value := a[row].flat[invalid[0]]):
            name = "X" if len(data) == 1 else f"X[{i}]"
            place = f"column {invalid[0]}" if a.ndim == 2 else f"element {invalid[0]}"
            return f"{name}: {value:.6g} in %s, {place} is too large for float32; scale X, or create the layers with dtype='float64'"
    return None


def _scale(data: tuple[Array, ...]) -> str:
    """Return advice for unscaled inputs, or an empty string."""
    with np.errstate(all="ignore"):
        large = [float(np.abs(part).max()) for a in data if (part := a[:_SEEN_ROWS]).size and part.dtype.kind == "f"]
        large += [float(max(part.max(), -float(part.min()))) for a in data if (part := a[:_SEEN_ROWS]).size and part.dtype.kind in "iu"]
    most = max((value for value in large if math.isfinite(value)), default=0.0)
    if most <= _LARGE:
        return ""
    return f"; X holds numbers as large as {most:.3g}: scale its columns first, (X - X.mean(axis=0)) / X.std(axis=0)"


def _described(
    net: Net,
    origin: tuple[str, int, int, int | None],
    owners: Mapping[int, tuple[str, str]],
    data: tuple[Array, ...],
    rows: Array | None,
    batch: int | None,
) -> _Found:
    """Describe where the first number that was not finite occurred, with advice."""
    found = _place(net, origin, owners, data, rows, batch)
    if origin[0] not in ("input", "target"):
        found.text += _scale(data)
    return found


def _place(
    net: Net,
    origin: tuple[str, int, int, int | None],
    owners: Mapping[int, tuple[str, str]],
    data: tuple[Array, ...],
    rows: Array | None,
    batch: int | None,
) -> _Found:
    place, node, _, at = origin
    row = at if at is None or rows is None else int(rows[at])
    where = "" if row is None else f"row {row}" if batch is None else f"row {row} of batch {batch}"
    name, kind = owners.get(node, ("", ""))
    layer = f"layer {name} ({kind})"
    calm = "lower the learning rate, or scale the targets"
    if place == "input" and at is not None and (text := too_large(data, at, net.dtype or "float32")) is not None:
        return _Found(text % where, row=row)
    if place in ("input", "target"):
        return _Found(f"{'X' if place == 'input' else 'y'} holds NaN or infinity in {where}", row=row)
    if place == "parameter":
        return _bad_parameter(net)
    if place == "output":
        return _Found(f"the output for {where} of X is not finite after layer {name} ({kind})", name, row)
    if place == "loss":
        return _Found(f"the loss itself, or its gradient, is not finite{f' in {where}' if where else ''}: {calm}", row=row)
    if place == "gradient":
        return _Found(f"the gradient that {layer} returns for {where} of X is not finite", name, row)
    return _Found(f"the gradient of a parameter of {layer} is not finite: {calm}", name)


def _bad_parameter(net: Net, advice: str = "") -> _Found:
    """Find the layer with a parameter that is not finite."""
    for name, layer in net._leaves():
        for parameter in layer.parameters():
            if not np.isfinite(parameter.data).all():
                where = f"layer {name} ({type(layer).__name__})"
                return _Found(f"{where} has a {parameter.name} that is not finite: the learning rate is too high{advice}", layer=name)
    return _Found(_EMPTY)
