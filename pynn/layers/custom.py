"""Custom layers: classes that define ``forward`` and ``backward`` in NumPy, and can be used like built-in layers.

Examples
--------
>>> import numpy as np, pynn
>>> class Snake(pynn.Layer):
...     def __init__(self, features):
...         super().__init__()
...         self.features = features
...         self.alpha = pynn.Parameter(np.ones(features, "float32"))
...     def forward(self, x):
...         self.x = x
...         return x + np.sin(self.alpha.data * x) ** 2 / self.alpha.data
...     def backward(self, gy):
...         a = self.alpha.data
...         s, c = np.sin(a * self.x), np.cos(a * self.x)
...         self.alpha.grad += (gy * (2 * s * c * self.x / a - s**2 / a**2)).sum(0)
...         return gy * (1 + 2 * s * c)
>>> net = pynn.Sequential(pynn.Linear(2, 4, seed=0), Snake(4), pynn.Linear(4, 1, seed=1))
>>> hist = net.fit(np.ones((8, 2)), np.ones((8, 1)), loss="mse", epochs=3, seed=0)
>>> net[1]
Snake(features=4)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._arrays import Array
from .._graph import _set
from ._base import Layer
from .formula import FormulaLayer

__all__ = ["Activation"]


def __dir__() -> list[str]:
    return __all__


class Activation(Layer):
    """Create an elementwise activation from a formula, or from two NumPy functions.

    ``Activation("x * tanh(softplus(x))")`` is a formula of x, in the language that docs/formulas.md describes. It is compiled and
    differentiated, runs in C like the built-in activations, is saved as text, and may have parameters: numbers, or parameters that
    training changes. It is also a function of arrays, and ``activation.grad`` is its derivative.

    ``Activation(name, f, df)`` calls two Python functions: ``y = f(x)`` and ``gx = gy * df(x)``.

    The output has the shape and the dtype of the input.

    Parameters
    ----------
    formula : str
        The formula; or with `f` and `df` the name shown by ``repr``.
    f, df : callable
        The function and its derivative. Each maps an array to an array of the same shape.
    learn : str or iterable of str
        The names of the parameters that are learnt.
    channels : int
        1 for a single value of each learnt parameter, or the number of channels (axis 1 of the input) for one value per channel.
    name : str, optional
        The name in plots and comparisons; by default the formula with its parameters.
    dtype : {'float32', 'float64'}
        The dtype of learnt parameters, 'float32' by default, and of the computation with them.
    **parameters : float
        The values of the parameters of the formula; initial values of those that are learnt. They are attributes: numbers, or arrays
        of shape (channels,).

    Raises
    ------
    ValueError
        If the formula is invalid; the text points at the place. Also if a parameter has a wrong shape, or a call of `f` or `df` returns
        an array of another shape.
    TypeError
        If `f` or `df` is not callable.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> mish = pynn.Activation("x * tanh(softplus(x))")
    >>> mish([-1.0, 0.0, 1.0]).round(4).tolist(), float(mish.grad(0.0))
    ([-0.3034, 0.0, 0.8651], 0.6)
    >>> snake = pynn.Activation("x + sin(a*x)**2 / a", a=1.0, learn="a")
    >>> net = pynn.Sequential(pynn.Linear(2, 8, seed=0), snake, pynn.Linear(8, 1, seed=1))
    >>> [name for name, _ in net.named_parameters()]
    ['0.weight', '0.bias', '1.a', '2.weight', '2.bias']
    >>> pynn.Activation("sine", np.sin, np.cos)(np.zeros(2))
    array([0., 0.])
    """

    _is_activation = True
    _has_gain = True

    if TYPE_CHECKING:  # the parameters of a formula are attributes

        def __getattr__(self, name: str) -> Any: ...

    def __init__(
        self,
        formula: str | None = None,
        f: Callable[[Array], Array] | None = None,
        df: Callable[[Array], Array] | None = None,
        *,
        learn: str | Iterable[str] = (),
        channels: int = 1,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        **parameters: ArrayLike,
    ) -> None:
        if type(self) is Activation and formula is not None and f is None and df is None:
            _set(self, "__class__", FormulaActivation)
            FormulaLayer.__init__(self, formula, learn=learn, channels=channels, name=name, dtype=dtype, **parameters)  # type: ignore[arg-type]
            return
        super().__init__()
        for what, function in (("f", f), ("df", df)):
            if not callable(function):
                raise TypeError(f"{what}: expected a function of one array, got {function!r}")
        if learn or channels != 1 or dtype is not None or parameters:
            raise TypeError("learn, channels, dtype and parameters: only for an activation that is given by a formula")
        self.name = str(formula if name is None else name)
        self.f, self.df = cast("Callable[[Array], Array]", f), cast("Callable[[Array], Array]", df)

    @classmethod
    def named(
        cls,
        name: str,
        *,
        learn: str | Iterable[str] | None = None,
        channels: int = 1,
        dtype: DTypeLike | None = None,
        **parameters: ArrayLike,
    ) -> Activation:
        """Return the published activation with a name in `pynn.atlas`, as ``pynn.atlas[name].activation`` does.

        Parameters
        ----------
        name : str
            Its name, in any spelling: ``"Leaky ReLU"`` is ``"leaky_relu"``.
        learn : str or iterable of str
            The names of the parameters that are learnt. Those of the source by default; ``()`` for none.
        channels : int
            The number of values of each learnt parameter, as in `Activation`.
        dtype : {'float32', 'float64'}
            The dtype of learnt parameters, as in `Activation`.
        **parameters : float
            Values of parameters in place of the defaults.

        Raises
        ------
        KeyError
            If the atlas has no activation with that name.

        Examples
        --------
        >>> import pynn
        >>> pynn.Activation.named("snake", a=2.0)
        Activation('x + sin(a * x)**2 / a', a=2.0, learn='a', name='snake')
        """
        from .. import atlas

        return atlas[name].activation(learn=learn, channels=channels, dtype=dtype, **parameters)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output sample, which is that of the input sample."""
        return shape

    def forward(self, x: Array) -> Array:
        """Return ``f(x)``."""
        self._x = x
        return self._checked("f", self.f(x), x)

    def backward(self, gy: Array) -> Array:  # type: ignore[override]
        """Return ``gy * df(x)``."""
        return np.asarray(gy * self._checked("df", self.df(self._x), self._x))

    def _checked(self, what: str, y: Any, x: Array) -> Array:
        if np.shape(y) != x.shape:
            raise ValueError(f"Activation {self.name!r}: {what} returned shape {np.shape(y)}, expected {x.shape}")
        return np.asarray(y)

    def __repr__(self) -> str:
        names = (getattr(function, "__name__", "...") for function in (self.f, self.df))
        return f"Activation({self.name!r}, {', '.join(names)})"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Create a layer from what ``get_config`` of a formula returned; functions have no configuration."""
        return FormulaActivation.from_config(config) if cls is Activation else super().from_config(config)  # type: ignore[return-value]


class FormulaActivation(FormulaLayer, Activation, abstract=True):  # type: ignore[override]
    """What ``Activation(formula)`` returns."""


FormulaActivation.__name__ = "Activation"  # of the class in summaries, errors and files
