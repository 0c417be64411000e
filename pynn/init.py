"""Initial values: PyTorch's `torch.nn.init`, in place on arrays and parameters.

Each function whose name ends in an underscore fills an array or a `Parameter` and returns it. Those that draw random numbers accept
``seed=``.

Examples
--------
>>> import numpy as np, pynn
>>> w = pynn.init.kaiming_normal_(np.empty((100, 50)), nonlinearity="relu", seed=0)
>>> bool(abs(w.std() - 0.2) < 0.01)
True
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ._arrays import Array
from ._graph import Parameter
from ._random import DRAW_CHUNK, draw_seed
from ._tables import unknown_name
from .activations import gelu
from .layers._base import Layer
from .layers._lazy import Lazy
from .layers._weighted import Biased

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def __dir__() -> list[str]:
    return __all__


T = TypeVar("T", Array, Parameter)
_GAINS = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
_LINEAR = ("linear", "sigmoid", *(f"conv{'_transpose' * t}{n}d" for t in (0, 1) for n in (1, 2, 3)))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that keeps the variance of the values across an activation.

    Parameters
    ----------
    nonlinearity : str
        'linear', 'sigmoid', 'tanh', 'relu', 'leaky_relu', 'selu', or 'conv1d' and the like, which count as linear.
    param : float, optional
        The slope of 'leaky_relu'; 0.01 by default.

    Returns
    -------
    float
        PyTorch's values: 1, 1, 5/3, sqrt(2), sqrt(2 / (1 + param**2)), 3/4.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> import pynn
    >>> round(pynn.init.calculate_gain("relu"), 4)
    1.4142
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else float(param)) ** 2))
    if nonlinearity not in _GAINS:
        raise unknown_name("nonlinearity", nonlinearity, (*_LINEAR, *_GAINS, "leaky_relu"))
    return _GAINS[nonlinearity]


def _array(given: Any, ndim: tuple[int, ...] = ()) -> Array:
    a = given.data if isinstance(given, Parameter) else given
    if not isinstance(a, np.ndarray) or a.dtype.kind != "f":
        raise TypeError(f"expected an array or a Parameter of real numbers, got {type(given).__name__}")
    if ndim and a.ndim not in ndim:
        raise ValueError(f"expected an array of {' or '.join(map(str, ndim))} dimensions, got shape {a.shape}")
    return a


def _draws(seed: int | None) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(draw_seed(seed)))


def _fans(a: Array) -> tuple[int, int]:
    if a.ndim < 2:
        raise ValueError(f"fan in and fan out need an array of 2 dimensions or more, got shape {a.shape}")
    inner = math.prod(a.shape[2:])
    return a.shape[1] * inner, a.shape[0] * inner


def _fan(a: Array, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise unknown_name("mode", mode, ("fan_in", "fan_out"))
    return _fans(a)[mode == "fan_out"]


def _within(array: Array, values: Array, a: float, b: float, *, half_open: bool) -> None:
    """Write values into an array, and move those that its dtype rounds out of [a, b], or [a, b), to the nearest number within."""
    kind = array.dtype.type
    with np.errstate(over="ignore"):
        low, high = kind(a), kind(b)
    if float(low) < a:
        low = np.nextafter(low, kind(np.inf))
    if float(high) > b or (half_open and float(high) == b and a < b):
        high = np.nextafter(high, kind(-np.inf))
    if not low <= high:
        raise ValueError(f"a, b: {array.dtype} has no number between {a} and {b}")
    with np.errstate(over="ignore", under="ignore"):
        np.clip(values.astype(array.dtype), low, high, out=array)


def _fill(array: Array, draw: Callable[[int], Array], put: Callable[[Array, Array], None] = np.copyto) -> None:
    """Fill an array in chunks with the numbers that ``draw`` returns: signals are handled between two calls of NumPy only."""
    whole = array if array.flags.c_contiguous else np.empty(array.shape, array.dtype)
    flat = whole.reshape(-1)
    for start in range(0, flat.size, DRAW_CHUNK):
        part = flat[start : start + DRAW_CHUNK]
        put(part, draw(part.size))
    if whole is not array:
        array[...] = whole


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, *, seed: int | None = None) -> T:
    """Fill with numbers uniform in [a, b).

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    a, b : float
        The bounds. With ``a == b`` all values are that number. The upper bound is excluded also after rounding to the array's dtype.
    seed : int, optional
        None draws a fresh one.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        Unless ``a <= b`` and both are finite, or if the array's dtype has no number between them.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.init.uniform_(np.empty((2, 3)), -0.1, 0.1, seed=0)
    >>> bool((abs(w) <= 0.1).all())
    True
    """
    array = _array(tensor)
    if not a <= b or not math.isfinite(b - a):
        raise ValueError(f"a, b: expected finite numbers with a <= b, got {a} and {b}")
    draws = _draws(seed)
    _fill(array, lambda n: draws.uniform(a, b, n), lambda part, values: _within(part, values, a, b, half_open=True))
    return tensor


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, *, seed: int | None = None) -> T:
    """Fill with normally distributed numbers.

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    mean, std : float
        Mean and standard deviation.
    seed : int, optional
        None draws a fresh one.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.init.normal_(np.empty(10000), std=0.02, seed=0)
    >>> bool(abs(w.std() - 0.02) < 0.001)
    True
    """
    array = _array(tensor)
    draws = _draws(seed)
    _fill(array, lambda n: draws.normal(mean, std, n).astype(array.dtype))
    return tensor


def trunc_normal_(tensor: T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, *, seed: int | None = None) -> T:
    """Fill with normal numbers between a and b.

    The distribution is inverted between the bounds, which may be infinite or lie far from the mean.

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype. Numbers that its dtype would round out of [a, b] become the nearest number within.
    mean, std : float
        Mean and standard deviation of the distribution before it is truncated.
    a, b : float
        The bounds.
    seed : int, optional
        None draws a fresh one.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        If ``a < b`` does not hold, ``std`` is not over 0, a number is NaN, or the array's dtype has no number between the bounds.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.init.trunc_normal_(np.empty(1000), a=40.0, b=41.0, seed=0)
    >>> bool(w.min() >= 40 and w.max() < 40.5)
    True
    """
    array = _array(tensor)
    if not a < b:
        raise ValueError(f"a, b: expected a < b, got {a} and {b}")
    if not 0 < std < math.inf or not math.isfinite(mean):
        raise ValueError(f"mean, std: expected finite numbers, and std over 0, got {mean} and {std}")
    low, high = (a - mean) / std, (b - mean) / std
    if min(abs(low), abs(high)) > _FARTHEST and (low > 0) == (high > 0):
        raise ValueError(f"a, b: [{a}, {b}] lies too far from the mean {mean}: over {_FARTHEST} deviations of {std}")
    sign = -1.0 if low + high > 0 else 1.0  # in the left half, where probabilities are small, they keep their relative accuracy
    low, high = sorted((sign * low, sign * high))
    values = 1.0 - _draws(seed).random(array.size)  # in (0, 1]
    for start in range(0, array.size, _BLOCK):  # a block fits in the cache
        part = values[start : start + _BLOCK]
        part[:] = mean + std * sign * _quantiles(part, low, high)
    _within(array, values.reshape(array.shape), a, b, half_open=False)
    return tensor


_FARTHEST = 45
"""The largest distance of an interval from the mean, in standard deviations."""
_BLOCK = 8192
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def _log_cdf(x: Array) -> tuple[Array, Array]:
    """Return the logarithm of the normal distribution at x <= 0 or a little more, and its derivative."""
    far = x < -30
    near = np.where(x == 0, 1e-300, x)
    p = np.asarray(gelu(near) / near)
    if not far.any():
        return np.log(p), np.exp(-0.5 * near * near - _HALF_LOG_TAU) / p
    p, z = np.where(far, 1.0, p), np.where(far, x, -40.0)
    term, series = np.ones_like(z), np.ones_like(z)
    for k in range(1, 18, 2):  # the asymptotic series 1 - 1/z^2 + 3/z^4 - 15/z^6 ...
        term = term * -k / z**2
        series += term
    log_density = -0.5 * near**2 - _HALF_LOG_TAU
    log_p = np.where(far, log_density - np.log(-z) + np.log(series), np.log(p))
    return log_p, np.where(far, -z / series, np.exp(log_density) / p)


def _quantiles(u: Array, low: float, high: float) -> Array:
    """Return where a normal distribution cut to [low, high], whose middle is not positive, reaches the probabilities u in (0, 1]."""
    if (high - low) * max(-low, high, 1.0) < 1e-9:  # the density is level there
        return np.asarray(low + u * (high - low))
    ends = np.array([max(low, -1e9), min(high, 0.0)])
    (log_low, log_high), _ = _log_cdf(ends)
    if low == -math.inf:
        log_low = -math.inf
    if high <= 0:
        return _inverse(log_high + np.log1p((1 - u) * np.expm1(log_low - log_high)), low, high)
    above = 1.0 if high == math.inf else -math.expm1(_log_cdf(np.array([-high]))[0][0])  # the probability below high
    p = (bottom := math.exp(log_low)) + u * (above - bottom)
    left = p <= 0.5
    rest = (1.0 - above) + (1 - u) * (above - bottom)  # above, on the right half
    x = _inverse(np.log(np.where(left, p, np.maximum(rest, 1e-320))), -math.inf, 0.0)
    return np.asarray(np.where(left, x, -x))


def _inverse(log_p: Array, low: float, high: float) -> Array:
    """Return where the logarithm of the normal distribution, at most that of 1/2, has these values: Newton's method."""
    t = np.sqrt(-2 * np.minimum(log_p, -1e-3))  # the start: Abramowitz and Stegun, 26.2.23
    x = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t
    for _ in range(4 if (log_p < -400).any() else 3):
        found, slope = _log_cdf(x)
        x = np.minimum(x - (found - log_p) / slope, 0.0)
    return np.asarray(np.clip(x, low, high))


def constant_(tensor: T, val: float) -> T:
    """Fill with one number.

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    val : float
        The number.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.init.constant_(np.empty(2), 0.5)
    array([0.5, 0.5])
    """
    _array(tensor)[...] = val
    return tensor


def ones_(tensor: T) -> T:
    """Fill with ones.

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.init.ones_(np.empty(2))
    array([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: T) -> T:
    """Fill with zeros.

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.init.zeros_(np.empty(2))
    array([0., 0.])
    """
    return constant_(tensor, 0.0)


def eye_(tensor: T) -> T:
    """Fill a matrix with the identity: ones on the diagonal, zeros elsewhere.

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        If `tensor` is not a matrix.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.init.eye_(np.empty((2, 3)))
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """
    array = _array(tensor, (2,))
    array[...] = np.eye(*array.shape)
    return tensor


def dirac_(tensor: T, groups: int = 1) -> T:
    """Fill the weights of a convolution so that it passes its channels through unchanged, as many as it can.

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    groups : int
        The groups of the convolution; each passes its own channels through.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        If `tensor` does not have 3 to 5 dimensions, or the output channels cannot be divided by `groups`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.init.dirac_(np.empty((2, 2, 3)))[0]
    array([[0., 1., 0.],
           [0., 0., 0.]])
    """
    array = _array(tensor, (3, 4, 5))
    if groups < 1 or array.shape[0] % groups:
        raise ValueError(f"groups: {array.shape[0]} output channels do not divide by {groups}")
    array[...] = 0
    each: int = array.shape[0] // groups
    centre: tuple[int, ...] = tuple(n // 2 for n in array.shape[2:])
    for g in range(groups):
        for d in range(min(each, array.shape[1])):
            array[(g * each + d, d, *centre)] = 1
    return tensor


def xavier_uniform_(tensor: T, gain: float = 1.0, *, seed: int | None = None) -> T:
    """Fill with numbers uniform in ``+-gain * sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio, 2010).

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    gain : float
        Multiplies the values, see `calculate_gain`.
    seed : int, optional
        None draws a fresh one.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        If `tensor` has fewer than two dimensions.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.init.xavier_uniform_(np.empty((10, 20)), seed=0)
    >>> bool(abs(w).max() < (6 / 30) ** 0.5)
    True
    """
    bound = gain * math.sqrt(6 / max(sum(_fans(_array(tensor))), 1))
    return uniform_(tensor, -bound, bound, seed=seed)


def xavier_normal_(tensor: T, gain: float = 1.0, *, seed: int | None = None) -> T:
    """Fill with normal numbers of deviation ``gain * sqrt(2 / (fan_in + fan_out))`` (Glorot and Bengio, 2010).

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    gain : float
        Multiplies the values, see `calculate_gain`.
    seed : int, optional
        None draws a fresh one.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        If `tensor` has fewer than two dimensions.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.init.xavier_normal_(np.empty((100, 100)), seed=0)
    >>> bool(abs(w.std() - 0.1) < 0.005)
    True
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(_fans(_array(tensor))), 1)), seed=seed)


def kaiming_uniform_(tensor: T, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, seed: int | None = None) -> T:
    """Fill with numbers uniform in ``+-gain * sqrt(3 / fan)`` (He et al., 2015).

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    a : float
        The slope of ``nonlinearity="leaky_relu"``.
    mode : {'fan_in', 'fan_out'}
        Whether to preserve the variance of the values in the forward pass or that of the gradients in the backward pass.
    nonlinearity : str
        The activation behind the weights, a name that `calculate_gain` accepts.
    seed : int, optional
        None draws a fresh one.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        If `tensor` has fewer than two dimensions, or a name is unknown.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.init.kaiming_uniform_(np.empty((50, 24)), nonlinearity="relu", seed=0)
    >>> bool(abs(w).max() < 0.5)
    True
    """
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / max(_fan(_array(tensor), mode), 1))
    return uniform_(tensor, -bound, bound, seed=seed)


def kaiming_normal_(tensor: T, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, seed: int | None = None) -> T:
    """Fill with normal numbers of deviation ``gain / sqrt(fan)`` (He et al., 2015).

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    a : float
        The slope of ``nonlinearity="leaky_relu"``.
    mode : {'fan_in', 'fan_out'}
        Whether to preserve the variance of the values in the forward pass or that of the gradients in the backward pass.
    nonlinearity : str
        The activation behind the weights, a name that `calculate_gain` accepts.
    seed : int, optional
        None draws a fresh one.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        If `tensor` has fewer than two dimensions, or a name is unknown.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.init.kaiming_normal_(np.empty((100, 50)), nonlinearity="relu", seed=0)
    >>> bool(abs(w.std() - 0.2) < 0.01)
    True
    """
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(max(_fan(_array(tensor), mode), 1)), seed=seed)


def orthogonal_(tensor: T, gain: float = 1.0, *, seed: int | None = None) -> T:
    """Fill with an orthogonal matrix, all axes but the first taken together as columns (Saxe et al., 2013).

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    gain : float
        Multiplies the matrix.
    seed : int, optional
        None draws a fresh one.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        If `tensor` has fewer than two dimensions.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.init.orthogonal_(np.empty((3, 5)), seed=0)
    >>> bool(np.allclose(w @ w.T, np.eye(3)))
    True
    """
    array = _array(tensor)
    if array.ndim < 2:
        raise ValueError(f"expected an array of 2 dimensions or more, got shape {array.shape}")
    if not array.size:
        return tensor
    rows, columns = array.shape[0], array.size // array.shape[0]
    q, r = np.linalg.qr(_draws(seed).normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    array[...] = (gain * (q.T if rows < columns else q)).reshape(array.shape)
    return tensor


def sparse_(tensor: T, sparsity: float, std: float = 0.01, *, seed: int | None = None) -> T:
    """Fill a matrix with normal numbers, and a share of each column with zeros (Martens, 2010).

    Parameters
    ----------
    tensor : ndarray or Parameter
        The array to fill, of a floating-point dtype.
    sparsity : float
        The share of zeros in each column, from 0 to 1.
    std : float
        The standard deviation of the other values.
    seed : int, optional
        None draws a fresh one.

    Returns
    -------
    ndarray or Parameter
        `tensor` itself.

    Raises
    ------
    ValueError
        If `tensor` is not a matrix, or `sparsity` is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.init.sparse_(np.empty((10, 4)), 0.9, seed=0)
    >>> (w != 0).sum(0).tolist()
    [1, 1, 1, 1]
    """
    array, rng = _array(tensor, (2,)), _draws(seed)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity: expected a number from 0 to 1, got {sparsity}")
    array[...] = rng.normal(0, std, array.shape)
    for column in array.T:
        column[rng.permutation(len(column))[: math.ceil(sparsity * len(column))]] = 0
    return tensor


# ---- whole nets -----------------------------------------------------------------------------------------------------
_BY_NAME: dict[str, Callable[..., Any]] = {
    f.__name__.rstrip("_"): f
    for f in (
        uniform_,
        normal_,
        trunc_normal_,
        ones_,
        zeros_,
        eye_,
        dirac_,
        xavier_uniform_,
        xavier_normal_,
        kaiming_uniform_,
        kaiming_normal_,
        orthogonal_,
    )
}
"""The functions that `apply` accepts by name: those whose only required argument is the array."""

_NORMAL = np.linspace(-8, 8, 1601)
_DENSITY = np.exp(-0.5 * _NORMAL**2) / np.exp(-0.5 * _NORMAL**2).sum()
"""The standard normal distribution as points and weights."""


def _values_of(activation: Layer, x: Array, *, training: bool = False) -> Array:
    """Return the outputs of an activation for the numbers ``x``."""
    columns = getattr(activation, "num_parameters", 1)
    with np.errstate(all="ignore"):
        return np.asarray(copy.deepcopy(activation).train(training)(np.outer(x, np.ones(columns)))[:, 0])


def _is_identity(activation: Layer) -> bool:
    """Return whether an activation returns its input."""
    return bool(np.array_equal(_values_of(activation, _NORMAL), _NORMAL))


def _fixed_slope(activation: Layer) -> float | None:
    """Return the slope for small negative numbers if it is constant, and positive numbers are returned as they are.

    None if the slope is trained or random.
    """
    x = np.array([-3.0, -2.0, -1.0, 1.0, 3.0])
    y = _values_of(activation, x)
    slope = float(-y[2])
    constant = np.allclose(y, np.where(x < 0, slope * x, x), rtol=1e-12)
    is_fixed = not activation.parameters() and np.array_equal(y, _values_of(activation, x, training=True))
    return slope if constant and is_fixed else None


def _auto(weight: Parameter, after: Layer | None, seed: int) -> None:
    """Fill weights according to the activation behind them."""
    if after is None:
        xavier_uniform_(weight, seed=seed)
        return
    y = _values_of(after, _NORMAL)
    low, high = np.interp((-3.0, 3.0), _NORMAL, y)
    mean, power = float(y @ _DENSITY), float(y**2 @ _DENSITY)
    slope = _fixed_slope(after)
    if slope is not None:
        kaiming_normal_(weight, slope, seed=seed)
    elif abs(mean) < 1e-3 and abs(power - 1) < 1e-3:  # preserves mean 0 and variance 1, like SELU
        kaiming_normal_(weight, nonlinearity="linear", seed=seed)
    elif 2.5 < high < 4 and -1.1 < low < 0.5:  # passes large positive numbers and suppresses negative ones, like ReLU
        kaiming_normal_(weight, nonlinearity="relu", seed=seed)
    else:
        is_like_tanh = np.abs(y - np.tanh(_NORMAL)).max() < 0.05
        xavier_uniform_(weight, calculate_gain("tanh") if is_like_tanh else 1.0, seed=seed)


def apply(net: Layer, how: str | Callable[[Parameter], Any] = "auto", seed: int | None = None) -> None:
    """Give the linear and convolutional layers of a net new values; see `Net.apply_init`."""
    if not callable(how) and how not in ("auto", "torch", *_BY_NAME):
        raise unknown_name("initialisation", how, ("auto", "torch", *_BY_NAME))
    fill = _BY_NAME.get(how) if isinstance(how, str) else how
    seeded = fill is not None and "seed" in inspect.signature(fill).parameters
    leaves = [layer for _, layer in net._leaves()]
    lazy = next((layer for layer in leaves if isinstance(layer, Lazy)), None)
    if lazy is not None:
        raise ValueError(f"apply_init: {lazy!r} has no weights before its first input; call the net once before")
    places = [i for i, layer in enumerate(leaves) if isinstance(layer, Biased) and layer not in leaves[:i]]
    seeds = np.random.SeedSequence(draw_seed(seed)).generate_state(2 * len(places), np.uint64)
    for i, place in enumerate(places):
        weight, bias = (leaves[place]._parameters.get(name) for name in ("weight", "bias"))
        first, second = int(seeds[2 * i]), int(seeds[2 * i + 1])
        assert weight is not None
        if how == "auto":
            _auto(weight, _activation_after(leaves, place), first)
        elif how == "torch":
            kaiming_uniform_(weight, math.sqrt(5), seed=first)
        elif fill is not None:
            fill(weight, **({"seed": first} if seeded else {}))
        if bias is not None and how == "torch":
            bound = 1 / math.sqrt(max(_fans(weight.data)[0], 1))
            uniform_(bias, -bound, bound, seed=second)
        elif bias is not None:
            zeros_(bias)


def _activation_after(leaves: list[Layer], place: int) -> Layer | None:
    """Return the next activation, skipping normalisation, dropout and reshaping; None if another weight comes first."""
    for layer in leaves[place + 1 :]:
        if isinstance(layer, Biased):
            return None
        if layer._has_gain and not _is_identity(layer):
            return layer
    return None
