"""Constraints: callbacks that limit weights after each step of `fit`, with Keras's names and formulas.

Examples
--------
>>> import numpy as np, pynn
>>> net = pynn.Sequential(pynn.Linear(3, 4, seed=0), "relu", pynn.Linear(4, 1, seed=1))
>>> X, y = np.eye(3), np.ones((3, 1))
>>> hist = net.fit(X, y, loss="mse", epochs=3, callbacks=pynn.constraints.NonNeg(), seed=0)
>>> bool((net[0].weight >= 0).all())
True
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Array, is_float, real_array
from ._graph import Parameter, listed
from ._training.callback import Callback, Logs

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"]

_EPS = 1e-7
"""Keras's epsilon, which is added to norms before dividing by them."""


def __dir__() -> list[str]:
    return __all__


class Constraint(Callback):
    """Base class of constraints: a subclass defines ``project``, which returns the nearest allowed array.

    As a callback of `fit`, a constraint is applied before the first step and after each step, which makes `fit` return to Python after
    each batch. Called with an array, ``constraint(w)`` returns the constrained array, as in Keras.

    Parameters
    ----------
    parameters : None, Parameter, or iterable of Parameter, optional
        What to constrain. None: each parameter of the model named ``weight``, of two or more dimensions.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> class Rounded(pynn.constraints.Constraint):
    ...     def project(self, w):
    ...         return np.round(w, 1)
    >>> Rounded()([0.16, 0.44])
    array([0.2, 0.4])
    """

    _any_thread = False

    def __init__(self, parameters: Parameter | Iterable[Parameter] | None = None) -> None:
        self.parameters = None if parameters is None else listed(parameters)

    def project(self, w: Array) -> Array:
        """Return the nearest array that satisfies the constraint."""
        raise NotImplementedError(f"{type(self).__name__} does not define project")

    def __call__(self, w: ArrayLike) -> Array:
        """Return the constrained array, of the dtype of the given one."""
        a = real_array(w, "w")
        return np.asarray(self.project(a if is_float(a, 4, 8) else a.astype(np.float64)))

    def _constrained(self) -> list[Parameter]:
        if self.parameters is not None:
            return self.parameters
        named = self.model.named_parameters()
        return [p for name, p in named if name.rpartition(".")[2] == "weight" and p.ndim > 1]

    def apply(self) -> None:
        """Constrain the parameters that training changes."""
        for p in self._constrained():
            if p.requires_grad:
                p.data = self(p.data)

    def on_train_begin(self, logs: Logs) -> None:
        """Constrain the initial values."""
        if not self._constrained():
            raise ValueError(f"{type(self).__name__}: the model has no parameter named 'weight' of two dimensions; pass parameters=")
        self.apply()

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Constrain the values after a step."""
        self.apply()


class _NormConstraint(Constraint):
    """Base class of constraints on the norms along some axes."""

    def __init__(self, axis: int | tuple[int, ...] | None = None, parameters: Any = None) -> None:
        super().__init__(parameters)
        self.axis = axis

    def _norms(self, w: Array) -> Array:
        axes = tuple(range(1, w.ndim)) if self.axis is None and w.ndim > 1 else self.axis
        return np.asarray(np.sqrt(np.square(w).sum(axes, keepdims=True)))


class MaxNorm(_NormConstraint):
    """Limit norms: weights of a larger norm are scaled down to it.

    ``w * clip(norm, 0, max_value) / (norm + 1e-7)``

    Parameters
    ----------
    max_value : float
        The largest norm.
    axis : int or tuple of int, optional
        The axes over which a norm is taken. None: all but the first, which gives each output its own norm; for a vector its only axis.
        Keras's kernels are transposed, so its default axis 0 of a Dense kernel is axis 1 here.
    parameters : Parameter, or iterable of Parameter, optional
        What to constrain, see `Constraint`.

    Raises
    ------
    ValueError
        If `max_value` is negative.

    Examples
    --------
    >>> import pynn
    >>> pynn.constraints.MaxNorm(1.0)([[3.0, 4.0], [0.3, 0.4]]).round(3)
    array([[0.6, 0.8],
           [0.3, 0.4]])
    """

    def __init__(self, max_value: float = 2.0, axis: int | tuple[int, ...] | None = None, parameters: Any = None) -> None:
        super().__init__(axis, parameters)
        if not max_value >= 0:
            raise ValueError(f"max_value: expected a number of 0 or more, got {max_value!r}")
        self.max_value = float(max_value)

    def project(self, w: Array) -> Array:
        """Return the scaled array."""
        norms = self._norms(w)
        return np.asarray(w * (np.clip(norms, 0, self.max_value) / (norms + w.dtype.type(_EPS))))


class MinMaxNorm(_NormConstraint):
    """Keep norms between two limits.

    ``w * (rate * clip(norm, min_value, max_value) + (1 - rate) * norm) / (norm + 1e-7)``

    Parameters
    ----------
    min_value, max_value : float
        The limits.
    rate : float
        1 reaches the limits at once; less moves towards them in each step.
    axis : int or tuple of int, optional
        As in `MaxNorm`.
    parameters : Parameter, or iterable of Parameter, optional
        What to constrain, see `Constraint`.

    Raises
    ------
    ValueError
        Unless ``0 <= min_value <= max_value`` and ``0 < rate <= 1``.

    Examples
    --------
    >>> import pynn
    >>> pynn.constraints.MinMaxNorm(1.0, 2.0)([[0.3, 0.4], [0.6, 0.8]]).round(3)
    array([[0.6, 0.8],
           [0.6, 0.8]])
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | tuple[int, ...] | None = None,
        parameters: Any = None,
    ) -> None:
        super().__init__(axis, parameters)
        if not (0 <= min_value <= max_value and 0 < rate <= 1):
            given = f"min_value={min_value!r}, max_value={max_value!r}, rate={rate!r}"
            raise ValueError(f"{given}: expected 0 <= min_value <= max_value and 0 < rate <= 1")
        self.min_value, self.max_value, self.rate = float(min_value), float(max_value), float(rate)

    def project(self, w: Array) -> Array:
        """Return the scaled array."""
        norms = self._norms(w)
        wanted = self.rate * np.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return np.asarray(w * (wanted / (norms + w.dtype.type(_EPS))))


class NonNeg(Constraint):
    """Replace negative weights by 0.

    Parameters
    ----------
    parameters : Parameter, or iterable of Parameter, optional
        What to constrain, see `Constraint`.

    Examples
    --------
    >>> import pynn
    >>> pynn.constraints.NonNeg()([-1.0, 2.0])
    array([0., 2.])
    """

    def project(self, w: Array) -> Array:
        """Return the array without negative numbers."""
        return np.maximum(w, 0)


class UnitNorm(_NormConstraint):
    """Scale weights to a norm of 1.

    ``w / (norm + 1e-7)``

    Parameters
    ----------
    axis : int or tuple of int, optional
        As in `MaxNorm`.
    parameters : Parameter, or iterable of Parameter, optional
        What to constrain, see `Constraint`.

    Examples
    --------
    >>> import pynn
    >>> pynn.constraints.UnitNorm()([[3.0, 4.0]]).round(3)
    array([[0.6, 0.8]])
    """

    def project(self, w: Array) -> Array:
        """Return the scaled array."""
        return np.asarray(w / (self._norms(w) + w.dtype.type(_EPS)))
