"""Dropout and noise: layers that add randomness in training and return their input in evaluation."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .._arrays import Array
from .._graph import Builder
from .._random import draw_seed
from ._base import Layer

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "FeatureAlphaDropout", "GaussianNoise"]


def __dir__() -> list[str]:
    return __all__


class _Stochastic(Layer, abstract=True):
    """A layer with a seed. Its random numbers depend on the seed, the training step or call number, and the element's index."""

    @property
    def seed(self) -> int | None:
        """The seed that was given, or None. Assigning a seed restarts the sequence of random numbers."""
        return self._seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self._set_seed(seed)
        self._drop_plans(seen=False)

    def _set_seed(self, seed: int | None) -> None:
        self._seed_value = draw_seed(seed)
        self._seed = seed

    def _add_random(self, builder: Builder, where: str, kind: str, **config: float) -> None:
        builder.random |= self.training and builder.training
        builder.add(kind, where, {"seed": self._seed_value, **config}, training=self.training)

    def _seed_config(self) -> dict[str, Any]:
        return {} if self.seed is None else {"seed": self.seed}


def _check_p(p: object) -> float:
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)) or not 0 <= float(p) <= 1:
        raise ValueError(f"p: expected a probability from 0 to 1, got {p!r}")
    return float(p)


def _check_std(std: object) -> float:
    if isinstance(std, bool) or not isinstance(std, (int, float, np.number)) or not 0 <= float(std) < math.inf:
        raise ValueError(f"std: expected a number of 0 or more, got {std!r}")
    return float(std)


class _Dropout(_Stochastic, abstract=True):
    """Base class of the dropout layers."""

    _alpha: ClassVar[bool] = False
    _channels: ClassVar[bool] = False

    def __init__(self, p: float = 0.5, inplace: bool = False, *, seed: int | None = None) -> None:
        super().__init__()
        self.p = _check_p(p)
        self.inplace = bool(inplace)
        self._set_seed(seed)

    def _build(self, builder: Builder, where: str) -> None:
        self._add_random(builder, where, "dropout", p=_check_p(self.p), alpha=self._alpha, channels=self._channels)

    def get_config(self) -> dict[str, Any]:
        return {"p": self.p, **({"inplace": True} if self.inplace else {}), **self._seed_config()}


class Dropout(_Dropout):
    """Zero each element with probability `p` in training, and scale the others by ``1 / (1 - p)`` (Srivastava et al., 2014).

    In evaluation and in `predict` the layer returns its input. The mask depends only on the seed, the step number of `fit` (or the
    number of earlier calls) and the element's index, so it is the same for any number of threads. The output has the shape of the
    input.

    Parameters
    ----------
    p : float
        The probability that an element is zeroed.
    inplace : bool
        Accepted for compatibility with PyTorch; has no effect, because the plan decides where results are written.
    seed : int, optional
        The seed of the masks; None draws a fresh one.

    Raises
    ------
    ValueError
        If `p` is not a number from 0 to 1.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> layer = pynn.Dropout(0.25, seed=0)
    >>> y = layer(np.ones(10_000))
    >>> sorted({round(float(v), 4) for v in y}), bool(abs(y.mean() - 1) < 0.05)
    ([0.0, 1.3333], True)
    >>> bool((layer.backward(np.ones(10_000)) == y).all()), bool((layer.eval()(y) == y).all())
    (True, True)
    """


class Dropout1d(_Dropout):
    """Zero whole channels with probability `p` in training (Tompson et al., 2015).

    Input and output ``(N, C, L)`` or ``(C, L)``; otherwise as `Dropout`.

    Parameters
    ----------
    p, inplace, seed
        As in `Dropout`, for each channel of each sample.

    Raises
    ------
    ValueError
        If `p` is not a number from 0 to 1, or the input has another number of dimensions.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> y = pynn.Dropout1d(0.5, seed=0)(np.ones((50, 4, 3)))
    >>> bool((y.min(2) == y.max(2)).all())
    True
    """

    _channels = True

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        if x.ndim not in (2, 3):
            raise ValueError(f"Dropout1d: expected an array of shape (N, C, L) or (C, L), got shape {x.shape}")
        return (1, x.shape, False) if x.ndim == 2 else super()._split(x)


class Dropout2d(_Dropout):
    """Zero whole channels of images with probability `p` in training (Tompson et al., 2015).

    Input and output ``(N, C, H, W)``, or as in PyTorch ``(N, C, L)``; otherwise as `Dropout`.

    Parameters
    ----------
    p, inplace, seed
        As in `Dropout`, for each channel of each sample.

    Raises
    ------
    ValueError
        If `p` is not a number from 0 to 1.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> y = pynn.Dropout2d(0.5, seed=0)(np.ones((50, 4, 3, 3)))
    >>> bool((y.min((2, 3)) == y.max((2, 3))).all())
    True
    """

    _channels = True


class AlphaDropout(_Dropout):
    """Dropout that preserves mean 0 and variance 1, for nets with SELU (Klambauer et al., 2017).

    Dropped elements become SELU's limit, -1.7581; then all elements are scaled and shifted by constants that depend on `p`. The
    output has the shape of the input.

    Parameters
    ----------
    p, inplace, seed
        As in `Dropout`.

    Raises
    ------
    ValueError
        If `p` is not a number from 0 to 1.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> y = pynn.AlphaDropout(0.2, seed=0)(np.random.default_rng(0).normal(size=100_000))
    >>> bool(abs(y.mean()) < 0.02), bool(abs(y.var() - 1) < 0.02)
    (True, True)
    """

    _alpha = True


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels.

    Input and output ``(N, C, ...)``.

    Parameters
    ----------
    p, inplace, seed
        As in `Dropout`, for each channel of each sample.

    Raises
    ------
    ValueError
        If `p` is not a number from 0 to 1.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> y = pynn.FeatureAlphaDropout(0.5, seed=0)(np.zeros((50, 4, 3)))
    >>> bool((y.min(2) == y.max(2)).all())
    True
    """

    _alpha = _channels = True


class GaussianNoise(_Stochastic):
    """Add Gaussian noise in training (Sietsma and Dow, 1991).

    ``y = x + std * z`` with z standard normal. In evaluation and in `predict` the layer returns its input. The output has the shape
    of the input.

    Parameters
    ----------
    std : float
        The standard deviation of the noise.
    seed : int, optional
        The seed of the noise, as in `Dropout`.

    Raises
    ------
    ValueError
        If `std` is negative, not finite or not a number.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> y = pynn.GaussianNoise(0.5, seed=0)(np.zeros(100_000))
    >>> bool(abs(y.mean()) < 0.01), bool(abs(y.std() - 0.5) < 0.01)
    (True, True)
    """

    def __init__(self, std: float = 0.1, *, seed: int | None = None) -> None:
        super().__init__()
        self.std = _check_std(std)
        self._set_seed(seed)

    def _build(self, builder: Builder, where: str) -> None:
        self._add_random(builder, where, "gaussian_noise", std=_check_std(self.std))

    def get_config(self) -> dict[str, Any]:
        return {"std": self.std, **self._seed_config()}
