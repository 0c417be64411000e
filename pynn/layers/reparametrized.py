"""Layers whose weight is computed from other parameters in each call: weight and spectral normalization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from .._arrays import Array
from .._graph import Buffer, Parameter
from .._random import draw_seed
from ._base import Layer, check_initialized, output_shape_of
from ._config import layer_configs, layers_from_configs

__all__ = ["SpectralNorm", "WeightNorm"]


def __dir__() -> list[str]:
    return __all__


class _Reparametrized(Layer, abstract=True):
    """Base class of layers that compute a parameter of another layer, and then run that layer."""

    def _set(self, layer: Layer, name: str) -> Array:
        """Store the layer, and return the values of the parameter to compute."""
        Layer.__init__(self)
        check_initialized(layer, "layer")
        if name not in layer._parameters:
            known = ", ".join(map(repr, layer._parameters)) or "none"
            raise ValueError(f"name: {type(layer).__name__} has no parameter {name!r} of its own; it has {known}")
        self.name = name
        self.layer = layer
        return layer._parameters[name].data

    def _hidden(self) -> Parameter:
        return self.layer._parameters[self.name]

    def _all_parameters(self) -> dict[str, Parameter]:
        rest = self._children()["layer"]._all_parameters()
        return {**self._parameters, **{name: p for name, p in rest.items() if name != self.name}}

    def _all_state(self) -> dict[str, Parameter | Buffer]:
        rest = self._children()["layer"]._all_state()
        return {**self._parameters, **self._buffers, **{name: p for name, p in rest.items() if name != self.name}}

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output sample."""
        return output_shape_of(self.layer, shapes)

    def _weight(self) -> Array:
        """Return the computed parameter."""
        raise NotImplementedError

    def _add_gradients(self, gw: Array) -> None:
        """Add to the gradients of the parameters, given that of the computed parameter."""
        raise NotImplementedError

    def forward(self, *xs: Array) -> Any:
        """Compute the weight, and return the output of the layer."""
        self._hidden().data = self._weight()
        return self.layer(*xs)

    def backward(self, *gys: Any) -> Any:
        """Return the gradient of the input, and add to those of the parameters."""
        hidden = self._hidden()
        hidden.grad.fill(0)
        gx = self.layer.backward(*gys)
        self._add_gradients(hidden.grad)
        return gx

    def plain(self) -> Layer:
        """Return the layer inside with the computed weight as an ordinary parameter."""
        was, self._training = self._training, False
        try:
            self._hidden().data = self._weight()
        finally:
            self._training = was
        return self.layer

    @property
    def weight(self) -> Array:
        """The weight of the last call: a copy."""
        return self._hidden().data.copy()

    def get_config(self) -> dict[str, Any]:
        return {"layer": layer_configs([self.layer])[0], "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        make: Callable[..., Self] = cls
        return make(layers_from_configs([config["layer"]])[0], **{k: v for k, v in config.items() if k != "layer"})

    def __repr__(self) -> str:
        options = (f"{k}={v!r}" for k, v in self.get_config().items() if k != "layer")
        return f"{type(self).__name__}({', '.join([repr(self.layer), *options])})"


class WeightNorm(_Reparametrized):
    """Weight normalization: a layer whose weight is ``g * v / norm(v)``, with `g` and `v` trained (Salimans and Kingma, 2016).

    Parameters
    ----------
    layer : Layer
        The layer, such as `Linear` or `Conv2d`. Its weight becomes the product, and its other parameters are trained as before.
    name : str
        The parameter to compute.
    dim : int or None
        The axis along which each index has its own norm; None: one norm for the whole weight.

    Attributes
    ----------
    weight_g, weight_v : Parameter
        The norms and the directions, under PyTorch's names in ``state_dict``; they start with the weight of the layer.

    Raises
    ------
    ValueError
        If the layer has no such parameter or axis.

    Notes
    -----
    The weight is computed in Python in each call and for each batch of `fit`. `pynn.utils.remove_weight_norm` returns the layer itself.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.WeightNorm(pynn.Linear(3, 2, seed=0))
    >>> layer(np.ones((4, 3))).shape
    (4, 2)
    >>> [*layer.state_dict()]
    ['weight_g', 'weight_v', 'bias']
    """

    def __init__(self, layer: Layer, name: str = "weight", dim: int | None = 0) -> None:
        weight = self._set(layer, name)
        if dim is not None and not -weight.ndim <= dim < weight.ndim:
            raise ValueError(f"dim: {name} has shape {weight.shape}, so it has no axis {dim!r}")
        self.dim = None if dim is None else dim % weight.ndim
        self._axes = tuple(i for i in range(weight.ndim) if i != self.dim)
        setattr(self, f"{name}_g", Parameter(self._norm(weight).astype(weight.dtype)))
        setattr(self, f"{name}_v", Parameter(weight.copy()))

    def _norm(self, v: Array) -> Array:
        squares: Array = np.square(v, dtype=np.float64).sum(self._axes, keepdims=self.dim is not None)
        return np.sqrt(squares)

    def _pair(self) -> tuple[Parameter, Parameter]:
        return self._parameters[f"{self.name}_g"], self._parameters[f"{self.name}_v"]

    def _weight(self) -> Array:
        g, v = (p.data for p in self._pair())
        self._length = self._norm(v)
        return np.asarray(v * (g / self._length), v.dtype)

    def _add_gradients(self, gw: Array) -> None:
        g, v = self._pair()
        direction = v.data / self._length
        along = (gw * direction).sum(self._axes, keepdims=self.dim is not None)
        g.grad += along
        v.grad += (g.data / self._length) * (gw - direction * along)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}


class SpectralNorm(_Reparametrized):
    """Spectral normalization: a layer whose weight is divided by its largest singular value (Miyato et al., 2018).

    The singular value is estimated by power iteration, which continues with each call in training mode.

    Parameters
    ----------
    layer : Layer
        The layer, such as `Linear` or `Conv2d`. Its other parameters are trained as before.
    name : str
        The parameter to divide.
    n_power_iterations : int
        The number of iterations of each call in training mode.
    eps : float
        The smallest norm to divide by.
    dim : int, optional
        The axis of outputs. None: 1 for transposed convolutions, else 0.
    seed : int, optional
        The seed of the first vectors; None draws a fresh one.

    Attributes
    ----------
    weight_orig : Parameter
        The weight before the division, under PyTorch's name in ``state_dict``.
    weight_u, weight_v : numpy.ndarray
        The singular vectors, which are buffers.

    Raises
    ------
    ValueError
        If the layer has no such parameter or axis, or an argument is out of range.

    Notes
    -----
    As in PyTorch, the gradient takes the singular vectors as constants. The weight is computed in Python in each call and for each batch
    of `fit`. `pynn.utils.remove_spectral_norm` returns the layer itself.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.SpectralNorm(pynn.Linear(3, 3, seed=0), n_power_iterations=50, seed=0)
    >>> _ = layer(np.ones((4, 3)))
    >>> float(np.linalg.norm(layer.weight, 2).round(4))
    1.0
    """

    def __init__(
        self,
        layer: Layer,
        name: str = "weight",
        n_power_iterations: int = 1,
        eps: float = 1e-12,
        dim: int | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        weight = self._set(layer, name)
        dim = int(getattr(layer, "_transposed", False)) if dim is None else dim
        if weight.ndim < 2 or not -weight.ndim <= dim < weight.ndim:
            raise ValueError(f"dim: {name} has shape {weight.shape}, so it is no matrix with an axis {dim!r}")
        if isinstance(n_power_iterations, bool) or not isinstance(n_power_iterations, (int, np.integer)) or n_power_iterations < 1:
            raise ValueError(f"n_power_iterations: expected an integer of 1 or more, got {n_power_iterations!r}")
        if not eps > 0:
            raise ValueError(f"eps: expected a number over 0, got {eps!r}")
        self.n_power_iterations, self.eps, self.dim = int(n_power_iterations), float(eps), dim % weight.ndim
        setattr(self, f"{name}_orig", Parameter(weight.copy()))
        draws, matrix = np.random.Generator(np.random.Philox(key=draw_seed(seed))), self._matrix(weight)
        u, v = (self._unit(draws.standard_normal(size=(n,))) for n in matrix.shape)
        for _ in range(15):
            u, v = self._iterate(matrix, u)
        for end, vector in (("u", u), ("v", v)):
            self.register_buffer(f"{name}_{end}", vector.astype(weight.dtype))

    def _matrix(self, w: Array) -> Array:
        return np.moveaxis(w, self.dim, 0).reshape(w.shape[self.dim], -1)

    def _unit(self, x: Array) -> Array:
        return np.asarray(x / max(float(np.linalg.norm(x)), self.eps))

    def _iterate(self, matrix: Array, u: Array) -> tuple[Array, Array]:
        v = self._unit(matrix.T @ u)
        return self._unit(matrix @ v), v

    def _weight(self) -> Array:
        w = self._parameters[f"{self.name}_orig"].data
        matrix = self._matrix(w)
        buffers = [self._buffers[f"{self.name}_{end}"] for end in "uv"]
        u, v = (b.data.copy() for b in buffers)
        for _ in range(self.n_power_iterations if self.training else 0):
            u, v = self._iterate(matrix, u)
        if self.training:
            buffers[0].data, buffers[1].data = u, v
        self._vectors, self._sigma = (u, v), float(u @ (matrix @ v))
        return np.asarray(w / self._sigma, w.dtype)

    def _add_gradients(self, gw: Array) -> None:
        orig = self._parameters[f"{self.name}_orig"]
        first = np.moveaxis(orig.data, self.dim, 0).shape
        outer = np.moveaxis(np.outer(*self._vectors).reshape(first), 0, self.dim)
        orig.grad += (gw - (gw * self._hidden().data).sum() * outer) / self._sigma

    def get_config(self) -> dict[str, Any]:
        options = {"n_power_iterations": self.n_power_iterations, "eps": self.eps, "dim": self.dim}
        return {**super().get_config(), **options}
