"""Functions on parameters and layers, with PyTorch's names in `torch.nn.utils`.

Examples
--------
>>> import numpy as np, pynn
>>> net = pynn.Sequential(pynn.Conv2d(1, 4, 3, seed=0), pynn.BatchNorm2d(4), "relu")
>>> X = np.ones((2, 1, 5, 5))
>>> fused = pynn.utils.fuse_conv_bn(net)
>>> len(fused), bool(np.allclose(fused.predict(X), net.predict(X), atol=1e-6))
(2, True)
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Array, real_array
from ._graph import Parameter, listed
from .layers._base import Layer
from .layers.conv import _Conv
from .layers.linear import Linear
from .layers.norm import _BatchNorm
from .layers.reparametrized import SpectralNorm, WeightNorm, _Reparametrized
from .model import Sequential
from .optim import clip_grad_norm_, clip_grad_value_

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "fuse_conv_bn",
    "fuse_conv_bn_eval",
    "fuse_linear_bn_eval",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]

_L = TypeVar("_L", bound=Layer)


def __dir__() -> list[str]:
    return __all__


# ---- vectors ----------------------------------------------------------------------------------------------------------
def parameters_to_vector(parameters: Parameter | Iterable[Parameter]) -> Array:
    """Return the values of all parameters, one after another, as one vector.

    Parameters
    ----------
    parameters : Parameter or iterable of Parameter
        The parameters, such as ``net.parameters()``.

    Returns
    -------
    ndarray, shape (number of values,)
        A copy.

    Raises
    ------
    TypeError
        If another object than a parameter is given.

    Examples
    --------
    >>> import pynn
    >>> pynn.utils.parameters_to_vector(pynn.Linear(3, 2).parameters()).shape
    (8,)
    """
    members = listed(parameters)
    return np.concatenate([p.data.ravel() for p in members]) if members else np.zeros(0, np.float32)


def vector_to_parameters(vec: ArrayLike, parameters: Parameter | Iterable[Parameter]) -> None:
    """Copy the parts of a vector into parameters, the reverse of `parameters_to_vector`.

    Parameters
    ----------
    vec : array_like, shape (number of values,)
        The values.
    parameters : Parameter or iterable of Parameter
        The parameters; they keep their dtype.

    Raises
    ------
    TypeError
        If another object than a parameter is given.
    ValueError
        If the vector has another length; nothing has been changed then.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.Linear(2, 1)
    >>> pynn.utils.vector_to_parameters([1.0, 2.0, 3.0], layer.parameters())
    >>> layer.weight, layer.bias
    (array([[1., 2.]], dtype=float32), array([3.], dtype=float32))
    """
    members, values = listed(parameters), real_array(vec, "vec")
    if values.shape != (sum(p.numel() for p in members),):
        raise ValueError(f"vec: expected shape {(sum(p.numel() for p in members),)}, got {values.shape}")
    for p, part in zip(members, np.split(values, np.cumsum([p.numel() for p in members])[:-1]) if members else [], strict=True):
        p.data = part.reshape(p.shape)


# ---- normalization of weights -----------------------------------------------------------------------------------------
def weight_norm(module: Layer, name: str = "weight", dim: int | None = 0) -> WeightNorm:
    """Return a layer whose weight is ``g * v / norm(v)``: `pynn.WeightNorm` of the layer.

    Unlike PyTorch's function, it does not change the layer but returns another one that contains it.

    Parameters
    ----------
    module : Layer
        The layer.
    name, dim
        As in `pynn.WeightNorm`.

    Returns
    -------
    WeightNorm
        The layer to use instead.

    Raises
    ------
    ValueError
        If the layer has no such parameter or axis.

    Examples
    --------
    >>> import pynn
    >>> net = pynn.Sequential(pynn.utils.weight_norm(pynn.Linear(3, 2)), "relu")
    >>> [*net.state_dict()]
    ['0.weight_g', '0.weight_v', '0.bias']
    """
    return WeightNorm(module, name, dim)


def spectral_norm(
    module: Layer, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None, *, seed: int | None = None
) -> SpectralNorm:
    """Return a layer whose weight is divided by its largest singular value: `pynn.SpectralNorm` of the layer.

    Unlike PyTorch's function, it does not change the layer but returns another one that contains it.

    Parameters
    ----------
    module : Layer
        The layer.
    name, n_power_iterations, eps, dim, seed
        As in `pynn.SpectralNorm`.

    Returns
    -------
    SpectralNorm
        The layer to use instead.

    Raises
    ------
    ValueError
        If the layer has no such parameter or axis, or an argument is out of range.

    Examples
    --------
    >>> import pynn
    >>> [*pynn.utils.spectral_norm(pynn.Linear(3, 2)).state_dict()]
    ['weight_orig', 'weight_u', 'weight_v', 'bias']
    """
    return SpectralNorm(module, name, n_power_iterations, eps, dim, seed=seed)


def _remove(module: Layer, name: str, cls: type[_Reparametrized]) -> Layer:
    if not isinstance(module, cls) or module.name != name:
        raise ValueError(f"module: expected a {cls.__name__} of {name!r}, got {module!r}")
    return module.plain()


def remove_weight_norm(module: Layer, name: str = "weight") -> Layer:
    """Return the layer inside a `pynn.WeightNorm`, with the computed weight as an ordinary parameter.

    Parameters
    ----------
    module : WeightNorm
        The layer.
    name : str
        The parameter that it computes.

    Returns
    -------
    Layer
        The layer inside; in a net, put it in the place: ``net[0] = remove_weight_norm(net[0])``.

    Raises
    ------
    ValueError
        If the layer is no such layer.

    Examples
    --------
    >>> import pynn
    >>> pynn.utils.remove_weight_norm(pynn.utils.weight_norm(pynn.Linear(3, 2)))
    Linear(in_features=3, out_features=2, bias=True)
    """
    return _remove(module, name, WeightNorm)


def remove_spectral_norm(module: Layer, name: str = "weight") -> Layer:
    """Return the layer inside a `pynn.SpectralNorm`, with the computed weight as an ordinary parameter.

    Parameters
    ----------
    module : SpectralNorm
        The layer.
    name : str
        The parameter that it computes.

    Returns
    -------
    Layer
        The layer inside; in a net, put it in the place: ``net[0] = remove_spectral_norm(net[0])``.

    Raises
    ------
    ValueError
        If the layer is no such layer.

    Examples
    --------
    >>> import pynn
    >>> pynn.utils.remove_spectral_norm(pynn.utils.spectral_norm(pynn.Linear(3, 2)))
    Linear(in_features=3, out_features=2, bias=True)
    """
    return _remove(module, name, SpectralNorm)


# ---- fusion -----------------------------------------------------------------------------------------------------------
def _fused(layer: Any, bn: Any, output_axis: int, features: int) -> Any:
    """Return a copy of a layer that includes the normalization behind it."""
    if bn.num_features != features:
        raise ValueError(f"bn: it normalizes {bn.num_features} channels, and {type(layer).__name__} has {features} outputs")
    mean, var = bn.running_mean, bn.running_var
    if mean is None or var is None:
        raise ValueError("bn: it has no running statistics (track_running_stats=False), so its evaluation is not a fixed affine map")
    scale = np.ones(features) if bn.weight is None else bn.weight.astype(np.float64)
    scale = scale / np.sqrt(var.astype(np.float64) + bn.eps)
    made = type(layer).from_config({**layer.get_config(), "bias": True})
    made.weight = layer.weight * scale.reshape([-1 if axis == output_axis else 1 for axis in range(layer.weight.ndim)])
    bias = np.zeros(features) if layer.bias is None else layer.bias.astype(np.float64)
    made.bias = (bias - mean) * scale + (0.0 if bn.bias is None else bn.bias)
    return made.train(layer.training)


def fuse_conv_bn_eval(conv: _L, bn: Layer) -> _L:
    """Return a convolution that computes a convolution and the batch normalization behind it, as in evaluation.

    Parameters
    ----------
    conv : Conv1d, Conv2d, ConvTranspose1d or ConvTranspose2d
        The convolution. A transposed one must have one group.
    bn : BatchNorm1d or BatchNorm2d
        The normalization, with running statistics.

    Returns
    -------
    Layer
        A new convolution of the same kind, with a bias.

    Raises
    ------
    TypeError
        If the layers are others.
    ValueError
        If the numbers of channels differ, or there are no running statistics.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> conv, bn = pynn.Conv1d(2, 3, 3, seed=0), pynn.BatchNorm1d(3).eval()
    >>> x = np.ones((1, 2, 5))
    >>> bool(np.allclose(pynn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6))
    True
    """
    if not isinstance(conv, _Conv) or not isinstance(bn, _BatchNorm):
        raise TypeError(f"expected a convolution and a batch normalization, got {type(conv).__name__} and {type(bn).__name__}")
    if conv._transposed and conv.groups > 1:
        raise ValueError(f"conv: a transposed convolution with {conv.groups} groups cannot be fused")
    fused: _L = _fused(conv, bn, int(conv._transposed), conv.out_channels)
    return fused


def fuse_linear_bn_eval(linear: Linear, bn: Layer) -> Linear:
    """Return a linear layer that computes a linear layer and the batch normalization behind it, as in evaluation.

    Parameters
    ----------
    linear : Linear
        The layer, for input (rows, features).
    bn : BatchNorm1d
        The normalization, with running statistics.

    Returns
    -------
    Linear
        A new layer with a bias.

    Raises
    ------
    TypeError
        If the layers are others.
    ValueError
        If the numbers of features differ, or there are no running statistics.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> linear, bn = pynn.Linear(2, 3, seed=0), pynn.BatchNorm1d(3).eval()
    >>> bool(np.allclose(pynn.utils.fuse_linear_bn_eval(linear, bn)(np.eye(2)), bn(linear(np.eye(2))), atol=1e-6))
    True
    """
    if not isinstance(linear, Linear) or not isinstance(bn, _BatchNorm):
        raise TypeError(f"expected a Linear and a batch normalization, got {type(linear).__name__} and {type(bn).__name__}")
    fused: Linear = _fused(linear, bn, 0, linear.out_features)
    return fused


def fuse_conv_bn(net: _L) -> _L:
    """Return a copy of a net for prediction, with each convolution and the batch normalization behind it in one layer.

    Parameters
    ----------
    net : Layer
        A `pynn.Sequential`, or a net that contains some, such as `pynn.Residual`; pairs are searched in each of them.

    Returns
    -------
    Layer
        A net with the same predictions but for rounding, and fewer layers. Layers that were used several times stay as they are.

    Raises
    ------
    TypeError
        If the net is no layer.

    Examples
    --------
    >>> import pynn
    >>> net = pynn.Sequential(pynn.Conv1d(1, 2, 3), pynn.BatchNorm1d(2), "relu")
    >>> pynn.utils.fuse_conv_bn(net)
    Sequential(Conv1d(in_channels=1, out_channels=2, kernel_size=3), ReLU())
    """
    if not isinstance(net, Layer):
        raise TypeError(f"net: expected a pynn.Layer, got {type(net).__name__}")
    made = copy.deepcopy(net)
    uses: dict[int, int] = {}
    for _, leaf in made._leaves():
        uses[id(leaf)] = uses.get(id(leaf), 0) + 1
    for part in [*made.modules()]:
        if isinstance(part, Sequential):
            for i in reversed(range(len(part) - 1)):
                pair = part[i], part[i + 1]
                if _fits(*pair) and all(uses.get(id(layer)) == 1 for layer in pair):
                    part[i] = fuse_conv_bn_eval(*pair)
                    del part[i + 1]
    return made


def _fits(conv: Layer, bn: Layer) -> bool:
    """Return whether a pair of layers can be fused."""
    if not isinstance(conv, _Conv) or not isinstance(bn, _BatchNorm) or bn.running_mean is None:
        return False
    return not (conv._transposed and conv.groups > 1)
